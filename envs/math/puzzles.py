"""Families of word problems with a shape of their own: ages, remainders, averages, ratios and fractions.

Each family is a function that tells its story and returns the unit of the answer. The level adds a calculation at a
time. Every sentence has wordings for train (even places) and for test (odd places).
"""

import itertools
import math
from fractions import Fraction

from agentrl.envs.math.story import Draw, Story

__all__ = ["ages", "averages", "packing", "ratios", "recipe"]


def ages(story: Story, draw: Draw) -> str:
    """Who is how old, compared with whom."""
    names = [draw.name() for _ in range(draw.num_steps + 1)]
    age = draw.whole(4, 8 + draw.size // 4)
    story.tell(
        f"{names[0]} is {age} years old.",
        f"The age of {names[0]} is {age}.",
    )
    story.start(age)
    for before, who in itertools.pairwise(names):
        kind = draw.whole(1, 4)
        gap = draw.whole(2, min(30, 3 + draw.size // 2))
        if kind == 1 and story.value < 25:
            times = draw.whole(2, 4)
            story.tell(
                f"{who} is {times} times as old as {before}.",
                f"Multiply the age of {before} by {times} to get that of {who}.",
            )
            story.times(times)
        elif (kind == 2 or story.value > 75) and story.value > gap + 2:
            story.tell(
                f"{who} is {gap} years younger than {before}.",
                f"{before} was born {gap} years before {who}.",
            )
            story.take(gap)
        elif kind == 3 and story.value % 2 == 0 and story.value > 6:
            story.tell(
                f"{who} is half as old as {before}.",
                f"{before} has lived twice as many years as {who}.",
            )
            story.over(2)
        else:
            story.tell(
                f"{who} is {gap} years older than {before}.",
                f"When {before} was born, {who} was already {gap}.",
            )
            story.add(gap)
    if draw.level >= 4:
        years = draw.whole(3, 30)
        story.tell(
            f"How old will {names[-1]} be in {years} years?",
            f"What will be the age of {names[-1]} after another {years} years?",
        )
        story.add(years)
    else:
        story.tell(
            f"How old is {names[-1]}?",
            f"What is the age of {names[-1]}?",
            f"How many years old is {names[-1]}?",
            f"Find the age of {names[-1]} in years.",
        )
    return "years"


def packing(story: Story, draw: Draw) -> str:
    """Division with a remainder."""
    who, item = draw.name(), draw.item()
    size = draw.whole(3, 6 + draw.size // 4)
    full = draw.whole(3, draw.size + 4)
    rest = draw.whole(1, size - 1)
    total = size * full + rest
    story.start(total)
    if draw.level == 1:
        story.tell(f"{who} has {total} {item}.", f"There are {total} {item} on the table of {who}.")
    else:
        first = draw.whole(1, total - 1)
        story.tell(
            f"{who} has {first} {item} and gets {total - first} more.",
            f"There are {first} {item} in the shop of {who}, and {total - first} are delivered.",
        )
        story.start(first)
        story.add(total - first)
    if draw.level >= 3:
        given = draw.whole(2, max(2, int(story.value) // 4))
        story.tell(f"{given} of them are given away.", f"Of these, {given} go to a neighbour.")
        story.take(given)
    if draw.level >= 4:
        times = draw.whole(2, 6)
        story.tell(
            f"In the following year {who} has {times} times as many {item}.",
            f"A year later the number of {item} is {times} times as large.",
        )
        story.times(times)
    if draw.level == 5:
        more = draw.small()
        story.tell(f"{more} {item} are added.", f"{who} finds {more} further {item}.")
        story.add(more)
    count = int(story.value)
    box = draw.say("boxes", "bags", "jars", "cases")
    story.tell(
        f"The {item} are packed into {box} of {size}.",
        f"{who} puts them into {box}, {size} {item} to each.",
    )
    kind = draw.whole(1, 3)
    if kind == 1 and count % size:
        story.tell(
            f"How many {item} do not fill a whole one and stay behind?",
            f"What number of {item} remains when no more of the {box} can be filled?",
        )
        story.calculate(f"{count} mod {size}", Fraction(count % size))
    elif kind == 2:
        story.tell(
            f"How many {box} can be filled completely?",
            f"What is the largest number of full {box}?",
        )
        story.calculate(f"floor({count} / {size})", Fraction(count // size))
    else:
        story.tell(
            f"How many {box} are needed so that all {item} are packed?",
            f"At least how many {box} does {who} need for all of the {item}?",
        )
        story.calculate(f"ceil({count} / {size})", Fraction(-(-count // size)))
    return ""


def averages(story: Story, draw: Draw) -> str:
    """Means, and what is missing to reach one."""
    who = draw.name()
    num = draw.level + 2
    mean = draw.whole(8, draw.size + 20)
    scores = [mean + draw.whole(-min(mean - 1, draw.size), draw.size) for _ in range(num - 1)]
    scores.append(mean * num - sum(scores))
    if scores[-1] < 1:
        scores[-1] += num * math.ceil((1 - scores[-1]) / num)
    listed = ", ".join(str(score) for score in scores[:-1])
    what = draw.say("points in a quiz", "points on a test", "goals in a season", "runs in an innings")
    total = sum(scores)
    if draw.level <= 2:
        story.tell(
            f"{who} scores {listed} and {scores[-1]} {what}.",
            f"The results of {who} are {listed} and {scores[-1]} {what}.",
        )
        story.calculate(" + ".join(map(str, scores)), Fraction(total))
        if draw.level == 1:
            story.tell("How many is that together?", "What is the sum?")
            return ""
        story.tell("What is the average?", "Calculate the mean of these results.")
        story.over(num)
        return ""
    story.tell(
        f"{who} scores {listed} {what}.",
        f"So far the results of {who} are {listed} {what}.",
    )
    target = total // num
    story.tell(
        f"The average of these and one more result is to be {target}.",
        f"With one further result, {who} wants to reach a mean of {target}.",
    )
    story.calculate(f"{target} * {num}", Fraction(target * num))
    known = sum(scores[:-1])
    story.note(" + ".join(map(str, scores[:-1])), Fraction(known))
    story.take(known)
    if draw.level >= 4:
        times = draw.whole(2, 5)
        other = draw.name()
        story.tell(
            f"{other} scores {times} times as much as {who} needs for that.",
            f"The next result of {other} is {times} times as large as the one {who} has to reach.",
        )
        story.times(times)
        if draw.level == 5:
            more = draw.small()
            third = draw.name()
            story.tell(f"{third} scores {more} more than {other}.", f"That of {third} is larger than this by {more}.")
            story.add(more)
            other = third
        story.tell(f"What does {other} score?", f"Which result does {other} get?")
        return ""
    story.tell("Which result is needed?", "What does the further result have to be?")
    return ""


def ratios(story: Story, draw: Draw) -> str:
    """Something shared in a ratio."""
    num = 2 if draw.level <= 2 else 3
    names = [draw.name() for _ in range(num)]
    parts: list[int] = []
    while len(parts) < num:
        part = draw.whole(2 if draw.level == 1 else 1, 4 + draw.level)
        parts += [part] if part not in parts else []
    share = draw.whole(3, draw.size + 5)
    item = draw.item()
    total = share * sum(parts)
    ratio = ":".join(map(str, parts))
    people = f"{', '.join(names[:-1])} and {names[-1]}"
    if draw.level == 1:
        story.tell(
            f"For every {parts[0]} {item} that {names[0]} gets, {names[1]} gets {parts[1]}.",
            f"{names[1]} receives {parts[1]} {item} whenever {names[0]} receives {parts[0]}.",
        )
        story.tell(
            f"{names[0]} has {parts[0] * share} {item} now. How many does {names[1]} have?",
            f"In the end {names[0]} owns {parts[0] * share}. What number of {item} does {names[1]} own?",
        )
        story.start(parts[0] * share)
        story.over(parts[0])
        story.times(parts[1])
        return ""
    story.tell(
        f"{people} share {total} {item} in the ratio {ratio}.",
        f"{total} {item} are divided among {people}, in this order, as {ratio}.",
    )
    story.calculate(" + ".join(map(str, parts)), Fraction(sum(parts)))
    story.calculate(f"{total} / {sum(parts)}", Fraction(share))
    if draw.level == 2:
        story.tell(
            f"How many {item} does {names[1]} get?",
            f"What is the number of {item} for {names[1]}?",
        )
        story.times(parts[1])
        return ""
    high, low = parts.index(max(parts)), parts.index(min(parts))
    if draw.level == 3:
        gap = parts[high] - parts[low]
        story.note(f"{parts[high]} - {parts[low]}", Fraction(gap))
        story.times(gap)
        story.tell(
            f"How many {item} more does {names[high]} get than {names[low]}?",
            f"By how many {item} is the part of {names[high]} larger than that of {names[low]}?",
        )
        return ""
    story.times(parts[high])
    given = draw.whole(1, max(1, int(story.value / 2)))
    story.tell(
        f"{names[high]} then gives {given} {item} to {names[low]}.",
        f"Later {names[low]} gets {given} of the {item} that {names[high]} has.",
    )
    if draw.level == 4:
        story.take(given)
        story.tell(
            f"How many {item} does {names[high]} have left?",
            f"What number of {item} is {names[high]} left with?",
        )
        return ""
    story.calculate(f"{share} * {parts[low]}", Fraction(share * parts[low]))
    story.add(given)
    times = draw.whole(3, 9)
    story.tell(
        f"Each of the {item} of {names[low]} is then sold for ${times}.",
        f"{names[low]} sells all {item} that are in the own part by then, for ${times} apiece.",
    )
    story.times(times)
    story.tell(f"How many dollars does {names[low]} take in?", "What sum in dollars does that bring?")
    return "dollars"


def recipe(story: Story, draw: Draw) -> str:
    """Amounts that are fractions."""
    who = draw.name()
    food = draw.say("soup", "stew", "pudding", "bread", "sauce", "batter")
    upper, lower = draw.pick([(1, 2), (3, 4), (1, 4), (3, 8), (5, 8), (3, 2), (5, 4), (7, 8), (2, 5), (4, 5)])
    amount = Fraction(upper, lower)
    people = draw.whole(2, 8)
    story.start(amount)
    if draw.level == 1:
        story.tell(
            f"One helping of {food} takes {upper}/{lower} cup of flour.",
            f"{who} needs {upper}/{lower} cup of flour for a single portion of {food}.",
        )
        portions = draw.whole(3, 12)
        story.times(portions)
        story.tell(
            f"How many cups of flour does {who} need for {portions} helpings?",
            f"What amount of flour, in cups, do {portions} portions take?",
        )
        return "cups"
    guests = people * draw.whole(2, 4) + draw.whole(0, 1) * draw.whole(1, people)
    story.tell(
        f"A {food} for {people} people takes {upper}/{lower} cup of flour.",
        f"{who} needs {upper}/{lower} cup of flour to make {food} for {people} guests.",
    )
    story.tell(f"{who} cooks for {guests} people.", f"Today there are {guests} guests.")
    story.times(guests)
    story.over(people)
    if draw.level >= 3:
        extra_upper, extra_lower = draw.pick([(1, 2), (1, 4), (3, 4), (1, 8)])
        story.tell(
            f"The tin needs another {extra_upper}/{extra_lower} cup of flour.",
            f"On top, {extra_upper}/{extra_lower} cup of flour goes on the table.",
        )
        story.add(Fraction(extra_upper, extra_lower))
    if draw.level >= 4:
        days = draw.whole(3, 3 + draw.size // 8)
        story.tell(f"This is done on {days} days.", f"The same is cooked {days} times.")
        story.times(days)
    if draw.level == 5:
        bag = draw.whole(2, 9)
        story.tell(f"A bag holds {bag} cups of flour.", f"Flour is sold in bags of {bag} cups.")
        story.over(bag)
        story.tell(
            "How many bags of flour is that? Give the exact number, as a fraction if need be.",
            "To how many bags does the flour used amount? Answer exactly, a fraction is fine.",
        )
        return "bags"
    story.tell(
        "How many cups of flour are needed? Give the exact number, as a fraction if need be.",
        "What amount of flour, in cups, is used? Answer exactly, a fraction is fine.",
    )
    return "cups"
