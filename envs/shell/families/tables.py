"""Levels 2 to 4: tables through pipelines of sort, uniq, cut, awk, join, comm and jq."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Iterable

from agentrl.envs.shell.family import Case, Check, Family, Goal, family
from agentrl.envs.shell.words import Draw, text

__all__ = ["FAMILIES", "counted", "fields"]


def fields(wanted: Iterable[object]) -> Check:
    """Return a check that compares lines field by field: how many blanks lie between them means nothing."""
    rows = [str(line).split() for line in wanted]
    return lambda found: [line.split() for line in found.decode("utf-8", "replace").strip().split("\n")] == rows


def counted(draw: Draw, words: list[str], least: int = 3) -> list[str]:
    """Return a drawn order of the words, each as often as no other."""
    numbers = draw.shuffled(range(least, least + len(words) * 2))[: len(words)]
    return draw.shuffled([word for word, number in zip(words, numbers, strict=True) for _ in range(number)])


@family(
    "unique-sorted",
    2,
    train=("Write the different lines of $a, sorted, to $b.", "Sort $a and drop the lines that come again, into $b."),
    test=("The file $b shall list, in order, each line of $a just once.",),
)
def unique(draw: Draw) -> Case:
    first, second = draw.file(), draw.file()
    lines = counted(draw, draw.some("stems", 7), 1)
    return Case(
        params={"a": first, "b": second},
        files={first: text(lines)},
        goal=Goal(files={second: text(sorted(set(lines)))}),
        oracle=(f"sort -u {first} > {second}",),
        wrong=(f"uniq {first} > {second}", f"sort {first} > {second}", f"sort {first} | uniq -u > {second}"),
    )


@family(
    "most-frequent",
    2,
    3,
    train=(
        "Write the $n most frequent lines of $a to $b, each as COUNT LINE, the most frequent first.",
        "Which $n lines stand most often in $a? Write COUNT LINE for each to $b, largest count first.",
    ),
    test=("The file $b shall rank the $n commonest lines of $a, as COUNT LINE, from most to least.",),
)
def frequent(draw: Draw) -> Case:
    first, second, num = draw.file("log"), draw.file(), draw.whole(3, 4)
    lines = counted(draw, draw.some("stems", 5 + draw.level))
    wanted = [f"{count} {line}" for line, count in Counter(lines).most_common(num)]
    return Case(
        params={"a": first, "b": second, "n": num},
        files={first: text(lines)},
        goal=Goal(checks={second: fields(wanted)}),
        oracle=(f"sort {first} | uniq -c | sort -rn | head -n {num} > {second}",),
        wrong=(
            f"sort {first} | uniq -c | sort -n | head -n {num} > {second}",
            f"uniq -c {first} | sort -rn | head -n {num} > {second}",
            f"sort {first} | uniq -c | sort -rn | awk '{{print $2}}' | head -n {num} > {second}",
        ),
    )


def _sales(draw: Draw, num: int) -> tuple[str, list[dict[str, object]]]:
    """Draw rows of a table, and write them as CSV."""
    people, goods = draw.people(4), draw.some("stems", 5)
    rows: list[dict[str, object]] = [
        {"id": 100 + at, "name": draw.pick(people), "item": draw.pick(goods), "units": draw.whole(1, 95)}
        for at in range(num)
    ]
    lines = [",".join(map(str, row.values())) for row in rows]
    return "\n".join(["id,name,item,units", *lines]) + "\n", rows


@family(
    "sum-column",
    2,
    3,
    train=(
        "Write the sum of the column units of $a to $b.",
        "Add up the column units of the table $a; write the sum, and nothing else, to $b.",
    ),
    test=("How many units are in $a together? $b shall hold that number alone.",),
)
def column_sum(draw: Draw) -> Case:
    first, second = draw.file("csv"), draw.file()
    content, rows = _sales(draw, 10 * draw.level)
    total = sum(int(str(row["units"])) for row in rows)
    return Case(
        params={"a": first, "b": second},
        files={first: content.encode()},
        goal=Goal(checks={second: fields([total])}),
        oracle=(f"awk -F, 'NR > 1 {{ s += $4 }} END {{ print s }}' {first} > {second}",),
        wrong=(
            f"awk -F, 'NR > 1 {{ s += $1 }} END {{ print s }}' {first} > {second}",
            f"awk -F, 'NR > 2 {{ s += $4 }} END {{ print s }}' {first} > {second}",
            f"tail -n +2 {first} | wc -l > {second}",
        ),
    )


@family(
    "filter-table",
    2,
    3,
    train=(
        "Write the header of $a and its rows with more than $n units to $b.",
        "Filter the table $a into $b: keep the header and the rows whose units are above $n.",
    ),
    test=("The table $b shall be $a with only those rows that have over $n units, under the same header.",),
)
def filter_table(draw: Draw) -> Case:
    first, second, least = draw.file("csv"), draw.file("csv"), draw.whole(30, 60)
    content, _ = _sales(draw, 12 * draw.level)
    lines = content.splitlines()
    kept = [lines[0], *(line for line in lines[1:] if int(line.split(",")[3]) > least)]
    return Case(
        params={"a": first, "b": second, "n": least},
        files={first: content.encode()},
        goal=Goal(files={second: text(kept)}),
        oracle=(f"awk -F, 'NR == 1 || $4 > {least}' {first} > {second}",),
        wrong=(
            f"awk -F, 'NR > 1 && $4 > {least}' {first} > {second}",
            f"awk -F, 'NR == 1 || $4 < {least}' {first} > {second}",
            f"cp {first} {second}",
        ),
    )


@family(
    "group-sums",
    3,
    4,
    train=(
        "Write to $b, for each name in $a, a line NAME TOTAL with the sum of its units, sorted by name.",
        "Group the table $a by name and add up units; $b gets lines NAME TOTAL in the order of the names.",
    ),
    test=("Per name of $a, the file $b shall have one line: the name, a blank, all its units together. Sort by name.",),
)
def group_sums(draw: Draw) -> Case:
    first, second = draw.file("csv"), draw.file()
    content, rows = _sales(draw, 20 * draw.level)
    sums: Counter[str] = Counter()
    for row in rows:
        sums[str(row["name"])] += int(str(row["units"]))
    return Case(
        params={"a": first, "b": second},
        files={first: content.encode()},
        goal=Goal(checks={second: fields(f"{name} {sums[name]}" for name in sorted(sums))}),
        oracle=(
            f"tail -n +2 {first} | awk -F, '{{ s[$2] += $4 }} END {{ for (n in s) print n, s[n] }}' | sort > {second}",
        ),
        wrong=(
            f"tail -n +2 {first} | cut -d, -f2 | sort | uniq -c | awk '{{print $2, $1}}' > {second}",
            f"tail -n +2 {first} | awk -F, '{{ s[$3] += $4 }} END {{ for (n in s) print n, s[n] }}' | sort > {second}",
            f"awk -F, '{{ s[$2] += $4 }} END {{ for (n in s) print n, s[n] }}' {first} | sort > {second}",
        ),
    )


@family(
    "numeric-order",
    2,
    train=(
        "Sort the lines of $a by the number in their second column, smallest first, into $b.",
        "Order $a by its second column, a number, from small to large; write that to $b.",
    ),
    test=("The file $b shall have the lines of $a with the numbers of the second column rising.",),
)
def numeric(draw: Draw) -> Case:
    first, second = draw.file(), draw.file()
    numbers = draw.shuffled([draw.whole(2, 9), draw.whole(11, 99), draw.whole(100, 900), draw.whole(1000, 9000), 10])
    lines = [f"{word} {number}" for word, number in zip(draw.some("stems", 5), numbers, strict=True)]
    ordered = sorted(lines, key=lambda line: int(line.split()[1]))
    return Case(
        params={"a": first, "b": second},
        files={first: text(lines)},
        goal=Goal(files={second: text(ordered)}),
        oracle=(f"sort -k2,2n {first} > {second}",),
        wrong=(
            f"sort -k2,2nr {first} > {second}",
            f"sort -k2 {first} > {second}; echo >> {second}",
            f"sort {first} | tac > {second}; echo . >> {second}",
        ),
    )


@family(
    "json-field",
    2,
    3,
    train=(
        "The file $a is a JSON list. Write the field $key of each object to $b, one a line, in their order.",
        "Take the $key of every object in the JSON list $a; $b gets one a line.",
    ),
    test=("Line by line $b shall hold what the objects of the JSON list $a have as $key.",),
)
def json_field(draw: Draw) -> Case:
    first, second = draw.file("json"), draw.file()
    keys = draw.some("stems", 4)
    rows = [{each: draw.pick(draw.words(5)) + str(at) for each in keys} for at in range(6 * draw.level)]
    key = draw.pick(keys)
    return Case(
        params={"a": first, "b": second, "key": key},
        files={first: json.dumps(rows, indent=2 if draw.chance(0.5) else None).encode()},
        goal=Goal(files={second: text([row[key] for row in rows])}),
        oracle=(f"jq -r '.[].{key}' {first} > {second}",),
        wrong=(
            f"jq '.[].{key}' {first} > {second}",
            f"jq -r '.[0].{key}' {first} > {second}",
            f"jq -r 'keys[]' {first} > {second}",
        ),
    )


@family(
    "json-to-csv",
    3,
    4,
    train=(
        "Turn the JSON list $a into the table $b: the header `$header`, then a row for each object, without quotes.",
        "Write the objects of the JSON list $a as CSV to $b, with the header `$header` and no quotes.",
    ),
    test=("The file $b shall be the JSON list $a as a table under `$header`: commas, no quotes, the same order.",),
)
def json_csv(draw: Draw) -> Case:
    first, second = draw.file("json"), draw.file("csv")
    keys = draw.some("stems", 3)
    rows = [{**{key: draw.words(1)[0] for key in keys}, "n": draw.whole(1, 99)} for _ in range(8 * draw.level)]
    order = [*keys[1:], "n"]
    shown = [",".join(str(row[key]) for key in order) for row in rows]
    inside = ",".join(f".{key}" for key in order)
    return Case(
        params={"a": first, "b": second, "header": ",".join(order)},
        files={first: json.dumps(rows, indent=1).encode()},
        goal=Goal(files={second: text([",".join(order), *shown])}),
        oracle=(
            f"echo {','.join(order)} > {second}",
            f"jq -r '.[] | [{inside}] | map(tostring) | join(\",\")' {first} >> {second}",
        ),
        wrong=(
            f"jq -r '.[] | [{inside}] | map(tostring) | join(\",\")' {first} > {second}",
            f"echo {','.join(order)} > {second}; jq -r '.[] | [{inside}] | @csv' {first} >> {second}",
            f"echo {','.join(order)} > {second}; jq -r '.[] | map(tostring) | join(\",\")' {first} >> {second}",
        ),
    )


@family(
    "join-tables",
    3,
    4,
    train=(
        "Both $a (ID NAME) and $b (ID CITY) are tables. Write NAME CITY for each ID in both to $c, sorted by ID.",
        "Join $a (lines ID NAME) and $b (lines ID CITY) by ID; $c gets NAME CITY, in the order of the IDs.",
    ),
    test=("An ID that is in $a (ID NAME) and in $b (ID CITY) gives a line NAME CITY of $c. Keep to the order of IDs.",),
)
def join_tables(draw: Draw) -> Case:
    one, two, out = draw.file(), draw.file(), draw.file()
    num = 8 * draw.level
    ids = draw.shuffled(range(100, 100 + 2 * num))[: num + 6]
    names = {each: f"{draw.words(1)[0]}{each % 7}" for each in ids[:num]}
    towns = {each: f"{draw.words(1)[0]}{each % 5}" for each in ids[6:]}
    both = sorted(names.keys() & towns.keys())
    return Case(
        params={"a": one, "b": two, "c": out},
        files={
            one: text([f"{each} {names[each]}" for each in names]),
            two: text([f"{each} {towns[each]}" for each in draw.shuffled(list(towns))]),
        },
        goal=Goal(checks={out: fields(f"{names[each]} {towns[each]}" for each in both)}),
        oracle=(f"join <(sort {one}) <(sort {two}) | cut -d' ' -f2- > {out}",),
        wrong=(
            f"join {one} {two} 2>/dev/null | cut -d' ' -f2- > {out}",
            f"join <(sort {one}) <(sort {two}) > {out}",
            f"paste -d' ' <(sort {one}) <(sort {two}) | cut -d' ' -f2,4 > {out}",
        ),
    )


def _compared(name: str, train: str, test: str, flag: str, choose: Callable[[set[str], set[str]], set[str]]) -> Family:
    def make(draw: Draw) -> Case:
        one, two, out = draw.file(), draw.file(), draw.file()
        words = draw.some("stems", 20)
        left, right = set(words[:13]), set(words[8:])
        others = [each for each in ("-12", "-13", "-23") if each != flag]
        return Case(
            params={"a": one, "b": two, "c": out},
            files={one: text(draw.shuffled(sorted(left))), two: text(draw.shuffled(sorted(right)))},
            goal=Goal(files={out: text(sorted(choose(left, right)))}),
            oracle=(f"comm {flag} <(sort {one}) <(sort {two}) > {out}",),
            wrong=(
                *(f"comm {each} <(sort {one}) <(sort {two}) > {out}" for each in others),
                f"comm {flag} {one} {two} > {out} 2>/dev/null",
                f"sort {one} {two} > {out}",
            ),
        )

    return family(name, 2, 3, train=(train,), test=(test,))(make)


common = _compared(
    "lines-in-both",
    "Write the lines that are in both $a and $b to $c, sorted.",
    "In $c, in order, shall stand what $a and $b have in common.",
    "-12",
    lambda left, right: left & right,
)
missing = _compared(
    "lines-in-one",
    "Write the lines of $a that are not in $b to $c, sorted.",
    "In $c, in order, shall stand what $a has and $b lacks.",
    "-23",
    lambda left, right: left - right,
)


@family(
    "swap-columns",
    2,
    train=(
        "Write the table $a to $b with its first and third columns swapped; commas part them.",
        "In $b the columns of the CSV file $a shall come in the order third, second, first.",
    ),
    test=("Turn the columns of $a around, last to first, into $b. It is a table with three columns and commas.",),
)
def swap(draw: Draw) -> Case:
    first, second = draw.file("csv"), draw.file("csv")
    rows = [line.split() for line in draw.lines(9)]
    return Case(
        params={"a": first, "b": second},
        files={first: text([",".join(row) for row in rows])},
        goal=Goal(files={second: text([",".join(row[::-1]) for row in rows])}),
        oracle=(f"awk -F, -v OFS=, '{{ print $3, $2, $1 }}' {first} > {second}",),
        wrong=(
            f"awk -F, '{{ print $3, $2, $1 }}' {first} > {second}",
            f"cut -d, -f3,2,1 {first} > {second}",
            f"tac {first} > {second}; echo . >> {second}",
        ),
    )


@family(
    "dates-turned",
    3,
    train=(
        "In $a dates are written DD.MM.YYYY. Write the file to $b with all of them as YYYY-MM-DD.",
        "Copy $a to $b, but with every date DD.MM.YYYY turned into YYYY-MM-DD.",
    ),
    test=("The file $b shall be $a with its dates, now DD.MM.YYYY, in the form YYYY-MM-DD.",),
)
def dates(draw: Draw) -> Case:
    first, second = draw.file(), draw.file()
    days = [(draw.moment(), draw.moment()) for _ in range(8)]
    lines = draw.lines(8)
    before = [f"{one:%d.%m.%Y} {line} {two:%d.%m.%Y} 1.5" for (one, two), line in zip(days, lines, strict=True)]
    after = [f"{one:%Y-%m-%d} {line} {two:%Y-%m-%d} 1.5" for (one, two), line in zip(days, lines, strict=True)]
    turn = "([0-9]{2})\\.([0-9]{2})\\.([0-9]{4})"
    return Case(
        params={"a": first, "b": second},
        files={first: text(before)},
        goal=Goal(files={second: text(after)}),
        oracle=(f"sed -E 's/{turn}/\\3-\\2-\\1/g' {first} > {second}",),
        wrong=(
            f"sed -E 's/{turn}/\\3-\\2-\\1/' {first} > {second}",
            f"sed -E 's/{turn}/\\3-\\1-\\2/g' {first} > {second}; echo >> {second}; echo >> {second}",
            f"sed 's/\\./-/g' {first} > {second}",
        ),
    )


FAMILIES = (
    unique,
    frequent,
    column_sum,
    filter_table,
    group_sums,
    numeric,
    json_field,
    json_csv,
    join_tables,
    common,
    missing,
    swap,
    dates,
)
