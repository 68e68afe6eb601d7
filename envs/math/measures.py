"""Families of word problems about measures: areas, rates of work, time, money that grows, percentages.

Each family is a function that tells its story and returns the unit of the answer. The level adds a calculation at a
time. Every sentence has wordings for train (even places) and for test (odd places).
"""

import math
from fractions import Fraction

from agentrl.envs.math.answers import show
from agentrl.envs.math.story import Draw, Story

__all__ = ["clock", "fence", "interest", "savings", "workers"]


def fence(story: Story, draw: Draw) -> str:
    """Rectangles: area, border, a path around them, what it costs."""
    who = draw.name()
    width, length = draw.whole(3, draw.size + 6), draw.whole(4, draw.size + 12)
    place = draw.say("garden", "field", "yard", "meadow", "courtyard", "lawn")
    story.tell(
        f"{who} has a rectangular {place} that is {width} meters wide and {length} meters long.",
        f"The {place} of {who} is a rectangle with sides of {width} m and {length} m.",
        f"A {place} in the shape of a rectangle, {length} meters by {width} meters, belongs to {who}.",
        f"{who} measures a rectangular {place}: {length} m long, {width} m wide.",
    )
    if draw.level == 1:
        story.start(width)
        story.times(length)
        story.tell(
            "What is its area in square meters?",
            "How many square meters does it cover?",
        )
        return "square meters"
    if draw.level >= 4:
        path = draw.whole(1, 5)
        story.tell(
            f"A path {path} meters wide runs all around it on the outside.",
            f"All around its outside there is a strip of gravel that is {path} m wide.",
        )
        outer_width, outer_length = width + 2 * path, length + 2 * path
        story.note(f"{width} + {2 * path}", Fraction(outer_width))
        story.note(f"{length} + {2 * path}", Fraction(outer_length))
        story.note(f"{outer_width} * {outer_length}", Fraction(outer_width * outer_length))
        story.start(width)
        story.times(length)
        inner = story.value
        story.calculate(f"{outer_width * outer_length} - {show(inner)}", outer_width * outer_length - inner)
        cost = draw.whole(2, draw.size) if draw.level == 5 else 0
        if cost:
            story.tell(
                f"Paving this path costs ${cost} a square meter.",
                f"Each square meter of the strip costs ${cost}.",
            )
            story.times(cost)
            story.tell("What does it cost in dollars?", "How many dollars does that make?")
            return "dollars"
        story.tell(
            "What is the area of the path in square meters?",
            "How many square meters does the strip of gravel cover?",
        )
        return "square meters"
    story.start(width)
    story.add(length)
    story.times(2)
    if draw.level == 2:
        story.tell(
            "How many meters of fence go once around it?",
            "What is its perimeter in meters?",
        )
        return "meters"
    cost = draw.whole(2, draw.size)
    story.tell(
        f"A fence goes once around it and costs ${cost} a meter.",
        f"Walling it in on all sides costs ${cost} for every meter.",
    )
    story.times(cost)
    story.tell("What does that cost in dollars?", "How many dollars must be paid?")
    return "dollars"


def workers(story: Story, draw: Draw) -> str:
    """Machines that work at a rate, alone and together."""
    item = draw.item()
    if draw.level >= 4:
        first, second = draw.name(), draw.name()
        slow, quick = draw.whole(6, 24), draw.whole(2, 12)
        story.tell(
            f"{first} needs {slow} hours to paint a barn alone, and {second} needs {quick} hours.",
            f"Working alone, {first} builds a shed in {slow} hours and {second} builds one in {quick} hours.",
        )
        story.calculate(f"1/{slow} + 1/{quick}", Fraction(1, slow) + Fraction(1, quick))
        if draw.level == 4:
            story.tell(
                "How many hours do they need together? Give the exact number, as a fraction if need be.",
                "In how many hours is it done when both work at once? Answer exactly, a fraction is fine.",
            )
            story.calculate(f"1 / ({show(story.value)})", 1 / story.value)
            return "hours"
        third, hours = draw.name(), draw.whole(4, 40)
        story.tell(
            f"{third}, alone, needs {hours} hours.",
            f"{third} would take {hours} hours without the others.",
        )
        story.add(Fraction(1, hours))
        story.calculate(f"1 / ({show(story.value)})", 1 / story.value)
        minutes = 60
        story.tell(
            "How many minutes do all three need together? Give the exact number, as a fraction if need be.",
            "In how many minutes do the three finish when they work at once? Answer exactly, a fraction is fine.",
        )
        story.times(minutes)
        return "minutes"
    rate, hours = draw.whole(3, draw.size + 5), draw.whole(2, draw.size)
    story.tell(
        f"A machine makes {rate} {item} an hour.",
        f"Every hour, {rate} {item} come out of a machine.",
    )
    story.start(rate)
    if draw.level >= 2:
        machines = draw.whole(2, 9)
        story.tell(f"There are {machines} such machines.", f"A hall has {machines} machines of this kind.")
        story.times(machines)
    if draw.level >= 3:
        slower = draw.whole(1, int(story.value) - 1)
        story.tell(
            f"Because of the heat they make {slower} {item} an hour fewer, all together.",
            f"Taken together, {slower} {item} an hour have to be thrown away.",
        )
        story.take(slower)
    story.times(hours)
    story.tell(
        f"How many {item} are made in {hours} hours?",
        f"What number of good {item} is there after {hours} hours?",
    )
    return ""


def clock(story: Story, draw: Draw) -> str:
    """Lengths of time in other units."""
    who = draw.name()
    tasks = draw.shuffled(
        draw.say("swims;cleans the stable;practices the violin;draws", "runs;cooks;plays chess;writes letters").split(
            ";"
        )
    )
    hours = draw.whole(2, min(draw.size, 20))
    story.tell(
        f"{who} {tasks[0]} for {hours} hours.",
        f"For {hours} hours {who} {tasks[0]}.",
    )
    story.start(hours)
    story.times(60)
    unit = "minutes"
    extra = draw.whole(5, 55)
    if draw.level >= 2:
        story.tell(
            f"Then {who} {tasks[1]} for {extra} minutes.",
            f"After that, {who} {tasks[1]}, which takes {extra} minutes.",
        )
        story.add(extra)
    if draw.level >= 3:
        days = draw.whole(2, 3 + draw.size // 5)
        story.tell(
            f"This happens on each of {days} days.",
            f"{who} does so on {days} days.",
        )
        story.times(days)
    if draw.level >= 4:
        lost = draw.whole(1, max(1, int(story.value / 3)))
        story.tell(
            f"One day it ends {lost} minutes early.",
            f"On the last day, {lost} minutes are left out.",
        )
        story.take(lost)
    if draw.level == 5:
        people = draw.whole(3, 12)
        story.tell(
            f"{people} people do the same as {who}, who is one of them.",
            f"Altogether {people} persons, {who} among them, spend just as much time.",
        )
        story.times(people)
        story.times(60)
        unit = "seconds"
    story.tell(
        f"How many {unit} is that altogether?",
        f"What is the whole time in {unit}?",
    )
    return unit


def savings(story: Story, draw: Draw) -> str:
    """A sum that grows by the same amount, then by a growing one."""
    who = draw.name()
    first, weeks = draw.whole(2, draw.size + 3), draw.whole(3, 4 + draw.size // 2)
    if draw.level <= 2:
        have = draw.whole(5, 10 * draw.size)
        if draw.level == 2:
            story.tell(f"{who} has ${have}.", f"In the money box of {who} there are ${have}.")
        story.tell(
            f"Every week {who} puts ${first} into the money box, for {weeks} weeks.",
            f"For {weeks} weeks {who} saves ${first} a week.",
        )
        story.start(first)
        story.times(weeks)
        if draw.level == 2:
            story.add(have)
            story.tell("How many dollars are in it then?", "How many dollars does that make with the rest?")
        else:
            story.tell("How many dollars are saved?", "What sum in dollars comes together?")
        return "dollars"
    step = draw.whole(1, 9)
    last = first + step * (weeks - 1)
    story.tell(
        f"In the first week {who} saves ${first}, and in every following week ${step} more than in the week before.",
        f"{who} starts by saving ${first} in a week and raises this by ${step} each week.",
    )
    story.calculate(f"{first} + {step} * {weeks - 1}", Fraction(last))
    if draw.level == 3:
        story.tell(
            f"How many dollars are saved in week number {weeks} alone?",
            f"What is put aside in week number {weeks}, in dollars?",
        )
        return "dollars"
    story.calculate(f"({first} + {last}) * {weeks} / 2", Fraction((first + last) * weeks, 2))
    if draw.level == 5:
        have, spent = draw.whole(20, 20 * draw.size), draw.whole(1, max(1, int(story.value / 2)))
        story.tell(
            f"Before, {who} had ${have}, and at the end ${spent} is spent on a bicycle.",
            f"There were ${have} in the box at the start; when all is done, {who} takes out ${spent}.",
        )
        story.add(have)
        story.take(spent)
        story.tell(
            f"How many dollars does {who} have after {weeks} weeks and the purchase?",
            f"With {weeks} weeks of saving, how many dollars are left in the box?",
        )
        return "dollars"
    story.tell(
        f"How many dollars are saved in {weeks} weeks altogether?",
        f"What is the sum, in dollars, of all that is put aside in {weeks} weeks?",
    )
    return "dollars"


def interest(story: Story, draw: Draw) -> str:
    """Percentages of a whole, and the whole from a percentage."""
    place = draw.place()
    percent = draw.pick([5, 10, 20, 25, 40, 50, 60, 75])
    unit = 100 // math.gcd(100, percent)
    total = unit * draw.whole(2, draw.size + 4)
    group = draw.say("sheep", "bicycles", "houses", "boats", "pupils", "windows")
    part = total * percent // 100
    if draw.level == 2:
        story.tell(
            f"{part} of the {total} {group} of {place} are old.",
            f"Of {total} {group} in {place}, {part} are old.",
        )
        story.calculate(f"{part} / {total}", Fraction(part, total))
        story.times(100)
        story.tell("What percent is that?", "Give the share of the old ones in percent.")
        return "%"
    if draw.level == 3:
        story.tell(
            f"{part} {group} of {place} are old, which is {percent}% of all of them.",
            f"In {place}, {percent}% of the {group} are old, namely {part}.",
        )
        story.calculate(f"{part} / {percent}", Fraction(part, percent))
        story.times(100)
        story.take(part)
        story.tell(f"How many {group} are not old?", f"What is the number of {group} that are not old?")
        return ""
    story.tell(
        f"There are {total} {group} in {place}, and {percent}% of them are old.",
        f"{place} has {total} {group}; of these, {percent}% are old.",
    )
    story.start(total)
    story.times(Fraction(percent, 100))
    if draw.level == 1:
        story.tell(f"How many {group} are old?", "What is the number of the old ones?")
        return ""
    scale = draw.whole(2, 6)
    fitting = [each for each in (10, 20, 25, 40, 50) if story.value * scale * each % 100 == 0]
    replaced = draw.pick(fitting) if fitting else 100
    story.tell(
        f"In a second town there are {scale} times as many old {group}.",
        f"Another town counts {scale} times as many old {group} as {place}.",
    )
    story.times(scale)
    story.tell(
        f"Of these, {replaced}% are mended.",
        f"There, {replaced}% of the old ones get repaired.",
    )
    story.times(Fraction(replaced, 100))
    if draw.level == 5:
        each, cost = draw.whole(2, 12), draw.whole(3, draw.size)
        story.tell(
            f"For each, {each} parts at ${cost} are used.",
            f"Every repair takes {each} parts that cost ${cost} apiece.",
        )
        story.times(each)
        story.times(cost)
        story.tell("What does that cost in dollars?", "How many dollars is that altogether?")
        return "dollars"
    story.tell(
        "How many is that? Give the exact number.",
        "What number is that, exactly?",
    )
    return ""
