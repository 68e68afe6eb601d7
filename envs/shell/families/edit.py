"""Levels 2 and 3: change files in place."""

from __future__ import annotations

from agentrl.envs.shell.families.find import tree
from agentrl.envs.shell.family import Case, Goal, family
from agentrl.envs.shell.words import Draw, text

__all__ = ["FAMILIES"]


@family(
    "replace-word",
    2,
    train=("In $a, replace every $old by $new.", "Change all occurrences of $old in the file $a to $new."),
    test=("Wherever $a says $old it shall say $new.", "Let $new stand for each $old of $a."),
)
def replace_word(draw: Draw) -> Case:
    name, old, new = draw.file(), draw.stem(), draw.stem()
    lines = [line.replace(old, "x") for line in draw.lines(8)]
    for place in draw.shuffled(range(8))[:4]:
        lines[place] = f"{old} {lines[place]} {old}"
    return Case(
        params={"a": name, "old": old, "new": new},
        files={name: text(lines)},
        goal=Goal(files={name: text([line.replace(old, new) for line in lines])}),
        oracle=(f"sed -i 's/{old}/{new}/g' {name}",),
        wrong=(f"sed -i 's/{old}/{new}/' {name}", f"sed -i 's/{old}//g' {name}", f"sed 's/{old}/{new}/g' {name}"),
    )


@family(
    "replace-in-tree",
    3,
    train=(
        "Replace $old by $new in all .txt files below $top, and in no other file.",
        "In every .txt file of $top and its folders change $old to $new; leave other files as they are.",
    ),
    test=("All .txt files below $top shall say $new where they say $old now. Other files keep it.",),
)
def replace_tree(draw: Draw) -> Case:
    top, files = tree(draw, 16, ("txt", "log", "txt", "cfg"))
    old, new = draw.stem(), draw.stem()
    marked = {
        path: content.replace(old.encode(), b"x") + (text([f"{old} and {old}"]) if number % 4 < 2 else b"")
        for number, (path, content) in enumerate(files.items())
    }
    after = {
        path: content.replace(old.encode(), new.encode()) for path, content in marked.items() if path.endswith(".txt")
    }
    return Case(
        params={"top": top, "old": old, "new": new},
        files=marked,
        goal=Goal(files=after),
        oracle=(f"find {top} -name '*.txt' -exec sed -i 's/{old}/{new}/g' {{}} +",),
        wrong=(
            f"sed -i 's/{old}/{new}/g' {top}/*.txt",
            f"grep -rl {old} {top} | xargs sed -i 's/{old}/{new}/g'",
            f"find {top} -name '*.txt' -exec sed -i 's/{old}/{new}/' {{}} +",
        ),
    )


@family(
    "drop-comments",
    2,
    train=(
        "Delete the lines of $a that begin with #. Keep all others.",
        "Remove the comment lines, those that begin with #, from $a.",
    ),
    test=("In $a no line may begin with # any more; such lines go.",),
)
def drop_comments(draw: Draw) -> Case:
    name = draw.file("conf")
    lines = []
    for number, line in enumerate(draw.lines(12)):
        lines.append(f"# {line}" if number % 3 == 0 else f"{line} # kept" if number % 5 == 0 else line)
    return Case(
        params={"a": name},
        files={name: text(lines)},
        goal=Goal(files={name: text([line for line in lines if not line.startswith("#")])}),
        oracle=(f"sed -i '/^#/d' {name}",),
        wrong=(f"sed -i '/#/d' {name}", f"sed -i 's/#.*//' {name}", f"sed -i 's/^#//' {name}"),
    )


@family(
    "insert-after",
    2,
    train=(
        "In $a, insert the line $new after the line $old.",
        "Add a line $new to $a, directly below the line that says $old.",
    ),
    test=("Under the line $old of $a there shall be a new line: $new.",),
)
def insert_after(draw: Draw) -> Case:
    name, new = draw.file(), draw.stem()
    lines = [f"{word}={number}" for number, word in enumerate(draw.some("stems", 8))]
    place = draw.whole(1, 5)
    wanted = [*lines[: place + 1], new, *lines[place + 1 :]]
    return Case(
        params={"a": name, "new": new, "old": lines[place]},
        files={name: text(lines)},
        goal=Goal(files={name: text(wanted)}),
        oracle=(f"sed -i '/^{lines[place]}$/a {new}' {name}",),
        wrong=(
            f"echo {new} >> {name}",
            f"sed -i '/^{lines[place]}$/i {new}' {name}",
            f"sed -i '1a {new}' {name}; sed -i '1a {new}' {name}",
        ),
    )


@family(
    "set-key",
    2,
    3,
    train=(
        "Set $key to $value in the section [$section] of $a. Change nothing else.",
        "In $a, give $key in section [$section] the value $value, and leave the other sections alone.",
    ),
    test=("The section [$section] of $a shall have $key = $value; the rest stays as it is.",),
)
def set_key(draw: Draw) -> Case:
    name = draw.file("ini")
    keys, sections = draw.some("stems", 3), draw.some("stems", 2 + draw.level)
    where, key, value = draw.whole(1, len(sections) - 2), draw.pick(keys), draw.whole(1000, 9999)
    lines, wanted, at = [], [], 0
    for number, section in enumerate(sections):
        lines.append(f"[{section}]")
        wanted.append(f"[{section}]")
        for each in keys:
            line = f"{each} = {draw.whole(10, 999)}"
            lines.append(line)
            hit = number == where and each == key
            wanted.append(f"{key} = {value}" if hit else line)
            at = len(lines) if hit else at
    spaced = text(wanted)
    return Case(
        params={"a": name, "key": key, "value": value, "section": sections[where]},
        files={name: text(lines)},
        goal=Goal(checks={name: lambda found: _loose(found) == _loose(spaced)}),
        oracle=(f"cat {name}", f"sed -i '/^\\[{sections[where]}\\]/,/^\\[/ s/^{key} *=.*/{key} = {value}/' {name}"),
        wrong=(
            f"sed -i 's/^{key} *=.*/{key} = {value}/' {name}",
            f"echo '{key} = {value}' >> {name}",
            f"sed -i '{at}d' {name}",
        ),
    )


def _loose(content: bytes) -> list[bytes]:
    """Return the lines of an ini file, in which blanks around `=` mean nothing."""
    return [b"=".join(part.strip() for part in line.split(b"=", 1)) for line in content.rstrip().split(b"\n")]


@family(
    "line-ends",
    2,
    train=("Give $a the line ends of Unix.", "The file $a has line ends CRLF; turn them into LF."),
    test=("Take the carriage returns out of $a.",),
)
def line_ends(draw: Draw) -> Case:
    name = draw.file()
    lines = draw.lines(8)
    content = text(lines)
    return Case(
        params={"a": name},
        files={name: content.replace(b"\n", b"\r\n")},
        goal=Goal(files={name: content}),
        oracle=(f"sed -i 's/\\r$//' {name}",),
        wrong=(
            f"sed -i 's/r$//' {name}",
            f"tr -d '\\n' < {name} > x; mv x {name}",
            f"tr '\\r' '\\n' < {name} > x; mv x {name}",
        ),
    )


@family(
    "trim-blanks",
    2,
    train=("Remove the blanks at the ends of all lines of $a.", "Trim trailing blanks and tabs from the lines of $a."),
    test=("No line of $a shall end in a blank or a tab. Blanks elsewhere stay.",),
)
def trim(draw: Draw) -> Case:
    name = draw.file()
    lines = [f"{'  ' * (number % 3)}{line}" for number, line in enumerate(draw.lines(9))]
    soiled = [line + draw.pick(["", " ", "   ", "\t", " \t "]) for line in lines[:-1]] + [f"{lines[-1]} \t"]
    return Case(
        params={"a": name},
        files={name: text(soiled)},
        goal=Goal(files={name: text(lines)}),
        oracle=(f"sed -i 's/[ \\t]*$//' {name}",),
        wrong=(f"sed -i 's/ $//' {name}", f"tr -d ' \\t' < {name} > x; mv x {name}", f"sed -i 's/^ *//' {name}"),
    )


@family(
    "tabs-to-blanks",
    2,
    train=("Replace each tab in $a by four blanks.", "Change every tab of $a to 4 blanks."),
    test=("Instead of a tab $a shall have four blanks, everywhere.",),
)
def tabs(draw: Draw) -> Case:
    name = draw.file("py")
    lines = [f"{chr(9) * (number % 3)}{word} =\t{number}" for number, word in enumerate(draw.some("stems", 9))]
    return Case(
        params={"a": name},
        files={name: text(lines)},
        goal=Goal(files={name: text([line.replace("\t", "    ") for line in lines])}),
        oracle=(f"sed -i 's/\\t/    /g' {name}",),
        wrong=(
            f"sed -i 's/\\t/    /' {name}",
            f"expand -t 4 {name} > x; mv x {name}",
            f"sed -i 's/\\t/  /g' {name}",
        ),
    )


@family(
    "split-by-first",
    3,
    train=(
        "Each line of $a begins with a name. Write the lines of each name to $top/NAME.txt, in their order.",
        "Split $a by the first word of its lines: $top gets a file NAME.txt for each, with its lines in order.",
    ),
    test=("For every first word NAME of $a there shall be $top/NAME.txt with just the lines that begin with it.",),
)
def split(draw: Draw) -> Case:
    name, top = draw.file(), draw.folder()
    people = draw.people(4)
    lines = [f"{draw.pick(people)} {line}" for line in draw.lines(20)] + [f"{each} end" for each in people]
    parts = {each: text([line for line in lines if line.split()[0] == each]) for each in people}
    return Case(
        params={"a": name, "top": top},
        files={name: text(lines)},
        goal=Goal(
            files={f"{top}/{each}.txt": part for each, part in parts.items()},
            folders={top: [f"{each}.txt" for each in people]},
        ),
        oracle=(f"mkdir -p {top}", f'awk \'{{ print > ("{top}/" $1 ".txt") }}\' {name}'),
        wrong=(
            f'mkdir {top}; sort {name} | awk \'{{ print > ("{top}/" $1 ".txt") }}\'',
            f'mkdir {top}; awk \'{{ print $2 > ("{top}/" $1 ".txt") }}\' {name}',
            f"mkdir {top}; split -l 5 {name} {top}/",
        ),
    )


FAMILIES = (
    replace_word,
    replace_tree,
    drop_comments,
    insert_after,
    set_key,
    line_ends,
    trim,
    tabs,
    split,
)
