"""What is asked of notes and letters: wordings for both splits, and the cells that find the answers."""

from __future__ import annotations

from agentrl.envs.python.domains import letters as data
from agentrl.envs.python.family import Family

__all__ = ["FAMILIES"]

_TOWN = '\ntown = {p["person"]: p["town"] for p in people}\n'
_WORTH = """
def worth(r):
    return r["amount"] * rates[r["day"][:7]][r["currency"]]
"""
FAMILIES = (
    Family(
        name="letters-paid-by",
        levels=(1, 2),
        world=data.world,
        ask=data.ask_paid_by,
        train=("How many crowns did $who pay in all?", "Add up the crowns that $who paid."),
        test=(
            "What is the total, in crowns, of what $who paid?",
            "Sum all payments by $who; how many crowns are they?",
        ),
        cell='print(sum(n["crowns"] for n in notes if n["who"] == $who))',
    ),
    Family(
        name="letters-paid-for",
        levels=(1, 2),
        world=data.world,
        ask=data.ask_paid_for,
        train=("How many crowns were paid for $item in all?", "Add up the crowns paid for $item."),
        test=("What did $item cost altogether, in crowns?", "Sum the crowns of every payment for $item."),
        cell='print(sum(n["crowns"] for n in notes if n["item"] == $item))',
    ),
    Family(
        name="letters-most-paid",
        levels=(2,),
        world=data.world,
        ask=data.ask_most_for,
        train=(
            "Who paid the most crowns in all, payments for $item left out?",
            "Without what was paid for $item, who paid the most crowns?",
        ),
        test=(
            "Ignore payments for $item: name the person with the greatest total of crowns.",
            "Whose payments sum to the most, when those for $item are not counted?",
        ),
        cell="""
paid = {}
for n in notes:
    if n["item"] != $item:
        paid[n["who"]] = paid.get(n["who"], 0) + n["crowns"]
print(max(paid, key=paid.get))""",
    ),
    Family(
        name="letters-sent-in-year",
        levels=(3,),
        world=data.world,
        ask=data.ask_sent_by,
        train=(
            "How many crowns did $sender send in letters of the year $year?",
            "Add up the crowns in the letters that $sender wrote in $year.",
        ),
        test=(
            "In $year, what total of crowns went out with letters from $sender?",
            "Sum the money, in crowns, of all letters by $sender dated $year.",
        ),
        cell='print(sum(r["amount"] for r in letters if r["sender"] == $sender and r["day"].startswith($year)))',
    ),
    Family(
        name="letters-last-about",
        levels=(3, 4),
        world=data.world,
        ask=data.ask_last_about,
        train=(
            "On which day did $sender last send money for $item?",
            "What is the date of the last letter in which $sender pays for $item?",
        ),
        test=(
            "Find the latest date of a letter by $sender with money for $item.",
            "When did $sender write for the last time with a payment for $item?",
        ),
        cell='print(max(r["day"] for r in letters if r["sender"] == $sender and r["item"] == $item))',
    ),
    Family(
        name="letters-balance",
        levels=(3, 4),
        world=data.world,
        ask=data.ask_balance,
        train=(
            "By how many crowns is what $name received more than what $name sent? Where it is less, the number "
            "is negative.",
            "What is left of the crowns that $name received when those that $name sent are taken away (maybe "
            "below zero)?",
        ),
        test=(
            "Subtract the crowns sent by $name from those that came to $name; keep the sign.",
            "Crowns to $name minus crowns from $name: what is the difference, with its sign?",
        ),
        cell="""
print(sum(r["amount"] * ((r["to"] == $name) - (r["sender"] == $name)) for r in letters))""",
    ),
    Family(
        name="letters-into-town",
        levels=(4,),
        world=data.world,
        ask=data.ask_into_town,
        train=(
            "How many crowns did people in $town receive from people of other towns?",
            "Add up the crowns that came to $town from senders who live elsewhere.",
        ),
        test=(
            "What total of crowns reached $town in letters from outside the town?",
            "Sum the money of letters to people in $town whose senders do not live there.",
        ),
        cell=_TOWN
        + """
print(sum(r["amount"] for r in letters if town[r["to"]] == $town and town[r["sender"]] != $town))""",
    ),
    Family(
        name="letters-never-paid",
        levels=(4, 5),
        world=data.world,
        ask=data.ask_never_wrote,
        train=(
            "Which people sent no letter with money for $item in $year?",
            "Name the people who did not pay for $item in any letter of $year.",
        ),
        test=(
            "Who, of all people, never wrote with a payment for $item in $year?",
            "In $year, whose letters hold no payment for $item? Count people without letters too.",
        ),
        cell="""
wrote = {r["sender"] for r in letters if r["item"] == $item and r["day"].startswith($year)}
print(", ".join(p["person"] for p in people if p["person"] not in wrote))""",
    ),
    Family(
        name="letters-between-towns",
        levels=(5,),
        world=data.world,
        ask=data.ask_town_worth,
        train=(
            "How much money, in crowns, did people in $a send to people in $b?",
            "Add up in crowns what went from senders in $a to receivers in $b.",
        ),
        test=(
            "Converted to crowns, what total did letters from $a carry to $b?",
            "What is all money from people of $a to people of $b worth in crowns?",
        ),
        cell=_TOWN
        + _WORTH
        + """
print(round(sum(worth(r) for r in letters if town[r["sender"]] == $a and town[r["to"]] == $b), 2))""",
    ),
    Family(
        name="letters-largest-giver",
        levels=(5,),
        world=data.world,
        ask=data.ask_giver,
        train=(
            "Who sent the most money for $item in $year, counted in crowns?",
            "Converted to crowns, whose payments for $item in letters of $year are the highest in all?",
        ),
        test=(
            "Name the person who spent most on $item by letters of $year, in crowns.",
            "In $year, the letters of which sender hold the greatest worth in crowns for $item?",
        ),
        cell=_WORTH
        + """
sent = {}
for r in letters:
    if r["item"] == $item and r["day"].startswith($year):
        sent[r["sender"]] = sent.get(r["sender"], 0) + worth(r)
print(max(sent, key=sent.get))""",
    ),
    Family(
        name="letters-balance-of-trade",
        levels=(5,),
        world=data.world,
        ask=data.ask_trade_debt,
        train=(
            "By how many crowns is what people who work in the $trade received worth more than what they sent "
            "(negative where it is less)?",
            "Take, in crowns, all that people of the $trade received less all that they sent: what is it, with "
            "its sign?",
        ),
        test=(
            "For those whose trade is $trade, subtract the crowns' worth sent from that received; keep the sign.",
            "Worth in crowns of letters to people of the trade $trade minus that of letters from them: what "
            "results, signed?",
        ),
        cell=_WORTH
        + """
mine = {p["person"] for p in people if p["trade"] == $trade}
print(round(sum(worth(r) * ((r["to"] in mine) - (r["sender"] in mine)) for r in letters), 2))""",
    ),
)
