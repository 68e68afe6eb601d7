"""Levels 4 and 5: write or mend a script; it is run in a fresh box on inputs that the agent never saw."""

from __future__ import annotations

from collections import Counter

from agentrl.envs.shell.families.build import tried
from agentrl.envs.shell.family import Case, Goal, family
from agentrl.envs.shell.words import Draw, text

__all__ = ["FAMILIES"]


def _written(lines: list[str], path: str) -> tuple[str, ...]:
    """Return the command that writes a script."""
    body = "\n".join(lines)
    return (f"cat > {path} <<'END'\n{body}\nEND",)


@family(
    "script-count",
    4,
    train=(
        "Write a shell script $top/$s. `sh $top/$s FILE WORD` prints the number of lines of FILE that contain WORD.",
    ),
    test=("Let `sh $top/$s FILE WORD` say in how many lines of FILE there is WORD. The script is yours to write.",),
)
def count(draw: Draw) -> Case:
    top, script, word = draw.folder(), draw.file("sh"), draw.stem()
    inputs = {
        f"hidden/{at}": [f"{word} {line} {word}" if draw.chance(0.4) else line for line in draw.lines(20)]
        for at in range(3)
    }
    commands: list[tuple[str, str | None]] = [
        (f"sh {top}/{script} {name} {word}", str(sum(word in line for line in lines))) for name, lines in inputs.items()
    ]
    example = draw.lines(5)
    return Case(
        params={"top": top, "s": script},
        files={"example.txt": text(example)},
        folders=(top,),
        goal=Goal(then=tried(top, commands, {name: text(lines) for name, lines in inputs.items()})),
        oracle=_written(['grep -c -- "$2" "$1"', "true"], f"{top}/{script}"),
        wrong=(
            f'echo \'grep "$2" "$1"\' > {top}/{script}',
            f'echo \'grep -o "$2" "$1" | wc -l\' > {top}/{script}',
            f"echo 'echo 7' > {top}/{script}",
            f"echo 'grep -c $2 example.txt' > {top}/{script}",
        ),
    )


@family(
    "script-totals",
    4,
    5,
    train=(
        "Write $top/$s. `sh $top/$s FILE` reads lines NAME NUMBER and prints NAME TOTAL for each name, largest total "
        "first; equal totals by name. Comment lines that begin with # do not count.",
    ),
    test=(
        "`sh $top/$s FILE` shall add up the NUMBERs of lines NAME NUMBER for each NAME, leave out lines that begin "
        "with #, and print NAME TOTAL: highest first, ties in the order of names. Write it.",
    ),
)
def totals(draw: Draw) -> Case:
    top, script = draw.folder(), draw.file("sh")
    people = draw.people(5)
    hidden: dict[str, bytes] = {}
    commands: list[tuple[str, str | None]] = []
    for number in range(3):
        lines = [f"{draw.pick(people)} {draw.whole(1, 30)}" for _ in range(25)]
        lines += ["tom 5000", "ann 5000", f"# {people[0]} 900"]
        lines = draw.shuffled(lines)
        sums: Counter[str] = Counter()
        for line in lines:
            if not line.startswith("#"):
                sums[line.split()[0]] += int(line.split()[1])
        hidden[f"hidden/{number}"] = text(lines)
        ranked = sorted(sums.items(), key=lambda each: (-each[1], each[0]))
        commands.append((f"sh {top}/{script} hidden/{number}", " ".join(f"{name} {total}" for name, total in ranked)))
    program = "awk '!/^#/ { s[$1] += $2 } END { for (n in s) print n, s[n] }' \"$1\""
    return Case(
        params={"top": top, "s": script},
        files={"example.txt": text([f"{draw.pick(people)} {draw.whole(1, 30)}" for _ in range(6)])},
        folders=(top,),
        goal=Goal(then=tried(top, commands, hidden)),
        oracle=_written([f"{program} | sort -k2,2nr -k1,1"], f"{top}/{script}"),
        wrong=(
            *_written([f"{program} | sort -k2,2n"], f"{top}/{script}"),
            *_written([f"{program.replace('!/^#/ ', '')} | sort -k2,2nr -k1,1"], f"{top}/{script}"),
            *_written([program], f"{top}/{script}"),
        ),
    )


@family(
    "script-rotate",
    5,
    train=(
        "Write $top/$s, which rotates a log: `sh $top/$s LOG N` renames LOG.1 to LOG.2 and so on, keeps at most N old "
        "ones, renames LOG to LOG.1, and makes a new empty LOG.",
    ),
    test=(
        "`sh $top/$s LOG N` is to be a rotation: every old LOG.i moves on to LOG.i+1, none past N is kept, LOG turns "
        "into LOG.1 and begins anew, empty. Write the script.",
    ),
)
def rotate(draw: Draw) -> Case:
    top, script, log = draw.folder(), draw.file("sh"), draw.file("log")
    keep = draw.whole(3, 5)
    marks = draw.some("stems", 12)
    hidden = {f"logs/{log}": text([marks[0]]), f"logs/{log}.1": text([marks[1]]), f"logs/{log}.2": text([marks[2]])}
    anew = f"[ -f logs/{log} ] && [ ! -s logs/{log} ]"
    steps = [f"sh {top}/{script} logs/{log} {keep} && {anew} && echo {mark} >> logs/{log}" for mark in marks[3:9]]
    history = [marks[2], marks[1], marks[0], *marks[3:9]][::-1]
    shown = f"cat logs/{log} $(ls logs/{log}.* | sort -V) && ls logs | wc -l"
    commands: list[tuple[str, str | None]] = [(step, "") for step in steps]
    commands.append((shown, " ".join([*history[: keep + 1], str(keep + 1)])))
    lines = [
        "log=$1 keep=$2 i=$2",
        'rm -f "$log.$keep"',
        'while [ "$i" -gt 1 ]; do',
        "  j=$((i - 1))",
        '  [ -e "$log.$j" ] && mv "$log.$j" "$log.$i"',
        "  i=$j",
        "done",
        'mv "$log" "$log.1"',
        ': > "$log"',
    ]
    return Case(
        params={"top": top, "s": script},
        files={},
        folders=(top,),
        goal=Goal(then=tried(top, commands, hidden)),
        oracle=_written(lines, f"{top}/{script}"),
        wrong=(
            *_written(['mv "$1" "$1.1"', ': > "$1"'], f"{top}/{script}"),
            *_written(['cp "$1" "$1.1"'], f"{top}/{script}"),
            *_written(lines[:-1], f"{top}/{script}"),
        ),
    )


@family(
    "script-check",
    5,
    train=(
        "Write $top/$s. `sh $top/$s FILE` exits with 0 if every line of FILE is KEY=NUMBER, KEY of small letters and "
        "no KEY twice; else it exits with 1. It prints nothing.",
    ),
    test=(
        "`sh $top/$s FILE` shall end with status 0 where all lines of FILE read KEY=NUMBER (KEY: small letters, each "
        "once), and with 1 where not, without a word. Write it.",
    ),
)
def validate(draw: Draw) -> Case:
    top, script = draw.folder(), draw.file("sh")
    keys = draw.some("stems", 8)
    good = [f"{key}={draw.whole(0, 999)}" for key in keys]
    bad = [
        [*good, f"{keys[2]}=5"],
        [*good[:3], "Key=4"],
        [*good[:3], f"{keys[5]} = 4"],
        [f"{keys[0]}=x1", *good[1:]],
        [*good[:2], "", *good[2:]],
    ]
    tables = draw.shuffled([(good, "0"), (good[:1], "0"), *((lines, "1") for lines in bad)])
    hidden = {f"hidden/{number}": text(lines) for number, (lines, _) in enumerate(tables)}  # names tell nothing
    commands: list[tuple[str, str | None]] = [
        (f"sh {top}/{script} {name}; echo $?", wanted) for name, (_, wanted) in zip(hidden, tables, strict=True)
    ]
    lines = [
        "if grep -qvE '^[a-z]+=[0-9]+$' \"$1\"; then exit 1; fi",
        'test -z "$(cut -d= -f1 "$1" | sort | uniq -d)"',
    ]
    return Case(
        params={"top": top, "s": script},
        files={},
        folders=(top,),
        goal=Goal(then=tried(top, commands, hidden)),
        oracle=_written(lines, f"{top}/{script}"),
        wrong=(
            *_written(lines[:1], f"{top}/{script}"),
            *_written(["exit 0"], f"{top}/{script}"),
            *_written(["grep -qE '^[a-z]+=[0-9]+$' \"$1\""], f"{top}/{script}"),
        ),
    )


@family(
    "mend-script",
    4,
    train=(
        "`sh $top/$s FOLDER` should print the number of regular files directly in FOLDER, also where names have "
        "blanks. It does not; mend it.",
    ),
    test=("Mend $top/$s: `sh $top/$s FOLDER` prints how many plain files FOLDER itself has, whatever their names.",),
)
def mend(draw: Draw) -> Case:
    top, script, folder = draw.folder(), draw.file("sh"), draw.folder()
    broken = ["n=0", "for f in `ls $1`", "do", "  if [ -f $f ]", "  then n=$n+1", "  fi", "done", "echo $n"]
    names = [
        *(f"{stem} {number}" for number, stem in enumerate(draw.some("stems", draw.whole(3, 6)))),
        *draw.some("stems", 4),
    ]
    hidden = {f"hidden/{name}": b"x\n" for name in names} | {"hidden/inner folder/a b": b"", "hidden/other/c": b""}
    lines = ["n=0", 'for f in "$1"/*', "do", '  if [ -f "$f" ]', "  then n=$((n + 1))", "  fi", "done", 'echo "$n"']
    return Case(
        params={"top": top, "s": script},
        files={f"{top}/{script}": text(broken), f"{folder}/one two": b"1\n", f"{folder}/three": b"2\n"},
        goal=Goal(
            free=(f"{top}/{script}",),
            then=tried(
                top, [(f"sh {top}/{script} hidden", str(len(names))), (f"sh {top}/{script} hidden/other", "1")], hidden
            ),
        ),
        oracle=(f"cat {top}/{script}", *_written(lines, f"{top}/{script}")),
        wrong=(
            f"echo 'ls $1 | wc -l' > {top}/{script}",
            f"echo 'find $1 -type f | wc -l' > {top}/{script}",
            f"echo 'echo 2' > {top}/{script}",
        ),
    )


FAMILIES = (count, totals, rotate, validate, mend)
