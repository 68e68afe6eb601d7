"""What is asked of a library: wordings for both splits, and the cells that find the answers."""

from __future__ import annotations

from agentrl.envs.python.domains import library as data
from agentrl.envs.python.family import Family

__all__ = ["FAMILIES"]

_FINE = """
member = {m["member"]: m for m in members}
def fine(loan):
    rule = rules[member[loan["member"]]["kind"]]
    return min(rule["fine"]["at_most"], rule["fine"]["each_day"] * max(0, days(loan) - rule["free_days"]))
"""
FAMILIES = (
    Family(
        name="books-pages-of-author",
        levels=(1, 2),
        world=data.world,
        ask=data.ask_author_pages,
        train=("How many pages do the books of $author have in all?", "Add up the pages of all books by $author."),
        test=(
            "What is the total of pages written by $author?",
            "Sum the pages over the books whose author is $author.",
        ),
        cell='print(sum(b["pages"] for b in books if b["author"] == $author))',
    ),
    Family(
        name="books-mean-since",
        levels=(1, 2),
        world=data.world,
        ask=data.ask_mean_since,
        train=(
            "What is the mean number of pages of the books from $year or later?",
            "How many pages does a book from $year or later have on average?",
        ),
        test=(
            "Take the books that are not older than $year: what do their pages average to?",
            "Find the average pages of all books whose year is at least $year.",
        ),
        cell="""
found = [b["pages"] for b in books if b["year"] >= $year]
print(round(sum(found) / len(found), 2))""",
    ),
    Family(
        name="books-longest-author",
        levels=(2,),
        world=data.world,
        ask=data.ask_longest_author,
        train=(
            "Whose books from the years $year to $last have the most pages on average?",
            "Of the books from $year to $last, which author's have the highest mean of pages?",
        ),
        test=(
            "Among books of the years $year through $last, name the author with the greatest average of pages.",
            "By mean of pages, which author leads in the years $year through $last?",
        ),
        cell="""
pages = {}
for b in books:
    if $year <= b["year"] <= $last:
        pages.setdefault(b["author"], []).append(b["pages"])
print(max(pages, key=lambda author: sum(pages[author]) / len(pages[author])))""",
    ),
    Family(
        name="loans-days-of-member",
        levels=(3,),
        world=data.world,
        ask=data.ask_member_days,
        train=("How many days do the loans of $member last in all?", "Add up the days of all loans of $member."),
        test=(
            "For how many days, summed over all loans, did $member keep books?",
            "What is the total of days over the loans that $member made?",
        ),
        cell='print(sum(days(loan) for loan in loans if loan["member"] == $member))',
    ),
    Family(
        name="loans-longest-out",
        levels=(3, 4),
        world=data.world,
        ask=data.ask_longest_out,
        train=(
            "Which book by $author was out for the most days, all its loans together?",
            "Of the books of $author, which one's loans last the longest in all?",
        ),
        test=(
            "Name the title by $author with the greatest total of loan days.",
            "What book of $author spent the most days on loan?",
        ),
        cell="""
out = {}
for loan in loans:
    if loan["author"] == $author:
        out[loan["title"]] = out.get(loan["title"], 0) + days(loan)
print(max(out, key=out.get))""",
    ),
    Family(
        name="loans-author-of-town",
        levels=(4,),
        world=data.world,
        ask=data.ask_town_author,
        train=(
            "Whose books were on loan to members from $town for the most days?",
            "By the days of loans to members who live in $town, which author comes first?",
        ),
        test=(
            "Members in $town kept the books of which author longest, all loans added?",
            "Name the author whose loans to people of $town have the greatest total of days.",
        ),
        cell="""
town = {m["member"]: m["town"] for m in members}
out = {}
for loan in loans:
    if town[loan["member"]] == $town:
        out[loan["author"]] = out.get(loan["author"], 0) + days(loan)
print(max(out, key=out.get))""",
    ),
    Family(
        name="loans-fullest-day",
        levels=(4, 5),
        world=data.world,
        ask=data.ask_fullest_day,
        train=(
            "On which day were most loans of members of the kind $kind running? A loan runs from its day out up "
            "to, but without, its day back.",
            "Counting a loan from its day out and no more on its day back, on which day had members of the kind "
            "$kind the most loans at once?",
        ),
        test=(
            "Find the day with the most open loans to members of kind $kind; the day out is one of a loan's "
            "days, the day back is not.",
            "When did members of kind $kind hold the most loans at the same time, day out included and day back "
            "excluded?",
        ),
        cell="""
from datetime import timedelta
kind = {m["member"]: m["kind"] for m in members}
running = {}
for loan in loans:
    if kind[loan["member"]] == $kind:
        for at in range(days(loan)):
            day_ = date.fromisoformat(loan["out"]) + timedelta(days=at)
            running[day_] = running.get(day_, 0) + 1
print(max(running, key=running.get))""",
    ),
    Family(
        name="loans-fines-of-town",
        levels=(5,),
        world=data.world,
        ask=data.ask_town_fines,
        train=(
            "What do all members of the kind $kind from $town have to pay in fines, together?",
            "Add up the fines for all loans of members of the kind $kind who live in $town.",
        ),
        test=(
            "How much in fines is due from people in $town whose kind is $kind?",
            "Apply the rules to every loan: what is the total for $kind members in $town?",
        ),
        cell=_FINE
        + """
def mine(name):
    return member[name]["town"] == $town and member[name]["kind"] == $kind
print(round(sum(fine(loan) for loan in loans if mine(loan["member"])), 2))""",
    ),
    Family(
        name="loans-worst-member",
        levels=(5,),
        world=data.world,
        ask=data.ask_worst_member,
        train=(
            "Which member from $town has to pay the most in fines, when books by $author are left out?",
            "Without the loans of books by $author, who from $town owes the highest total of fines?",
        ),
        test=(
            "Ignore books of $author: name the person in $town with the greatest sum of fines.",
            "Whose fines are the largest in $town, if those for books by $author are not counted?",
        ),
        cell=_FINE
        + """
due = {}
for loan in loans:
    if loan["author"] != $author and member[loan["member"]]["town"] == $town:
        due[loan["member"]] = due.get(loan["member"], 0) + fine(loan)
print(max(due, key=due.get))""",
    ),
    Family(
        name="loans-mean-age",
        levels=(5,),
        world=data.world,
        ask=data.ask_mean_age,
        train=(
            "Over the loans of books by $author that lasted more than $limit days, how old in full years was the "
            "borrower on the day out, on average?",
            "For each loan of a book by $author of over $limit days, take the member's age in whole years on the "
            "day out: what is the mean?",
        ),
        test=(
            "How old (in completed years, when the loan began) are the people who kept books of $author longer "
            "than $limit days, averaged over loans?",
            "Average, over loans longer than $limit days of books by $author, the completed years of age that "
            "the member had at the start.",
        ),
        cell="""
born = {m["member"]: date.fromisoformat(m["born"]) for m in members}
def age(loan):
    then, birth = date.fromisoformat(loan["out"]), born[loan["member"]]
    return then.year - birth.year - ((then.month, then.day) < (birth.month, birth.day))
found = [age(loan) for loan in loans if loan["author"] == $author and days(loan) > $limit]
print(round(sum(found) / len(found), 2))""",
    ),
)
