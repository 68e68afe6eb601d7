"""Level 1: one command on one or two files."""

from __future__ import annotations

from agentrl.envs.shell.family import Case, Goal, family
from agentrl.envs.shell.words import Draw, text

__all__ = ["FAMILIES"]


@family(
    "make-file",
    1,
    train=("Write the word $word into the file $a.", "Make a file $a that holds the word $word."),
    test=("The file $a shall hold the word $word. Make it.", "Put $word into a new file, $a."),
)
def make_file(draw: Draw) -> Case:
    name, word = draw.file(), draw.stem()
    return Case(
        params={"a": name, "word": word},
        files={},
        goal=Goal(files={name: text([word])}),
        oracle=(f"echo {word} > {name}",),
        wrong=(f"touch {name}", f"echo {name} > {word}", f"echo {word} > {word}.txt"),
    )


@family(
    "make-folder",
    1,
    train=("Make a folder called $a.", "Create the folder $a."),
    test=("There shall be a folder $a. Make it.", "Add an empty folder named $a."),
)
def make_folder(draw: Draw) -> Case:
    name = draw.folder()
    return Case(
        params={"a": name},
        files={},
        goal=Goal(folders={name: ()}),
        oracle=(f"mkdir {name}",),
        wrong=(f"touch {name}", f"mkdir {name} {name}/{name}", f"mkdir -p folder/{name}", f"ln -s /tmp {name}"),
    )


@family(
    "copy",
    1,
    train=("Copy the file $a to $b.", "Make a copy of $a called $b."),
    test=("Let there be a second $a, named $b.", "Duplicate $a as $b."),
)
def copy(draw: Draw) -> Case:
    first, second = draw.file(), draw.file()
    content = text(draw.lines(3))
    return Case(
        params={"a": first, "b": second},
        files={first: content},
        goal=Goal(files={second: content}),
        oracle=(f"cp {first} {second}",),
        wrong=(f"mv {first} {second}", f"touch {second}", f"ln -s {first} {second}", f"head -1 {first} > {second}"),
    )


@family(
    "rename",
    1,
    train=("Rename the file $a to $b.", "Give the file $a the new name $b."),
    test=("The file $a shall be called $b from now on.", "Move $a to $b."),
)
def rename(draw: Draw) -> Case:
    first, second = draw.file(), draw.file()
    content = text(draw.lines(3))
    return Case(
        params={"a": first, "b": second},
        files={first: content},
        goal=Goal(files={second: content}, gone=(first,)),
        oracle=(f"mv {first} {second}",),
        wrong=(f"cp {first} {second}", f"rm {first}; touch {second}", f"ln -s {first} {second}"),
    )


@family(
    "remove",
    1,
    train=("Delete the file $a.", "Remove the file $a, and nothing else."),
    test=("The file $a is not needed any more. Get rid of it.", "Let $a be gone, and keep the rest."),
)
def remove(draw: Draw) -> Case:
    names = [draw.file() for _ in range(2)]
    return Case(
        params={"a": names[0]},
        files={name: text(draw.lines(2)) for name in names},
        goal=Goal(gone=(names[0],)),
        oracle=(f"rm {names[0]}",),
        wrong=("rm *", f"rm {names[1]}", f": > {names[0]}", f"rm {names[0]}; echo x >> {names[1]}"),
    )


@family(
    "append",
    1,
    train=("Add the line $word at the end of $a.", "Append the word $word to the file $a."),
    test=("The last line of $a shall be $word. Add it.", "Let one more line, $word, follow in $a."),
)
def append(draw: Draw) -> Case:
    name, word = draw.file(), draw.stem()
    lines = draw.lines(3)
    return Case(
        params={"a": name, "word": word},
        files={name: text(lines)},
        goal=Goal(files={name: text([*lines, word])}),
        oracle=(f"echo {word} >> {name}",),
        wrong=(f"echo {word} > {name}", f"sed -i '1i {word}' {name}", f"echo {word} >> {name}; echo {word} >> {name}"),
    )


@family(
    "join-two",
    1,
    train=("Write $a and then $b into the file $c.", "Put the lines of $a, followed by those of $b, into $c."),
    test=("The file $c shall hold all of $a and after it all of $b.", "Chain $a and $b, in this order, into $c."),
)
def join_two(draw: Draw) -> Case:
    first, second, third = draw.file(), draw.file(), draw.file()
    one, two = draw.lines(2), draw.lines(2)
    return Case(
        params={"a": first, "b": second, "c": third},
        files={first: text(one), second: text(two)},
        goal=Goal(files={third: text([*one, *two])}),
        oracle=(f"cat {first} {second} > {third}",),
        wrong=(f"cat {second} {first} > {third}", f"cp {first} {third}", f"cat {first} {second} >> {first}"),
    )


@family(
    "sort-into",
    1,
    train=("Sort the lines of $a into the file $b.", "Write the sorted lines of $a to $b."),
    test=("The file $b shall hold the lines of $a in alphabetical order.", "Put $a, sorted by line, into $b."),
)
def sort_into(draw: Draw) -> Case:
    first, second = draw.file(), draw.file()
    lines = draw.lines(5)
    while lines == sorted(lines):
        lines = draw.lines(5)
    return Case(
        params={"a": first, "b": second},
        files={first: text(lines)},
        goal=Goal(files={second: text(sorted(lines))}),
        oracle=(f"sort {first} > {second}",),
        wrong=(f"cp {first} {second}", f"sort -r {first} > {second}", f"sort -o {first} {first}", f"> {second}"),
    )


@family(
    "count-lines",
    1,
    train=("Write the number of lines of $a into the file $b.", "Count the lines of $a; write the number to $b."),
    test=("How many lines has $a? The file $b shall hold that number.", "Let $b say how many lines $a has."),
)
def count_lines(draw: Draw) -> Case:
    first, second = draw.file(), draw.file()
    lines = draw.lines(draw.whole(11, 40), 2)
    return Case(
        params={"a": first, "b": second},
        files={first: text(lines)},
        goal=Goal(checks={second: lambda found: found.strip() == str(len(lines)).encode()}),
        oracle=(f"wc -l < {first} > {second}",),
        wrong=(f"wc -l {first} > {second}", f"wc -c < {first} > {second}", f"wc -w < {first} > {second}"),
    )


@family(
    "grep-into",
    1,
    train=("Write the lines of $a that contain $word to $b.", "Put the lines of $a with $word into the file $b."),
    test=("The file $b shall hold those lines of $a in which $word stands.", "Filter $a for $word into $b."),
)
def grep_into(draw: Draw) -> Case:
    first, second, word = draw.file(), draw.file(), draw.stem()
    lines = [line for line in draw.lines(9) if word not in line]
    for _ in range(draw.whole(2, 3)):
        lines.insert(draw.whole(0, len(lines) - 1), f"{draw.words(1)[0]} {word} {draw.words(1)[0]}")
    return Case(
        params={"a": first, "b": second, "word": word},
        files={first: text(lines)},
        goal=Goal(files={second: text([line for line in lines if word in line])}),
        oracle=(f"grep {word} {first} > {second}",),
        wrong=(f"grep -v {word} {first} > {second}", f"cp {first} {second}", f"echo {word} > {second}"),
    )


@family(
    "head-into",
    1,
    train=("Write the first $n lines of $a to $b.", "Put the top $n lines of $a into the file $b."),
    test=("The file $b shall hold how $a begins: $n lines of it.", "Take the $n leading lines of $a into $b."),
)
def head_into(draw: Draw) -> Case:
    first, second, num = draw.file(), draw.file(), draw.whole(2, 5)
    lines = draw.lines(12, 2)
    return Case(
        params={"a": first, "b": second, "n": num},
        files={first: text(lines)},
        goal=Goal(files={second: text(lines[:num])}),
        oracle=(f"head -n {num} {first} > {second}",),
        wrong=(f"tail -n {num} {first} > {second}", f"cp {first} {second}", f"head -n {num + 1} {first} > {second}"),
    )


@family(
    "tail-into",
    1,
    train=("Write the last $n lines of $a to $b.", "Put the bottom $n lines of $a into the file $b."),
    test=("The file $b shall hold how $a ends: $n lines of it.", "Take the $n closing lines of $a into $b."),
)
def tail_into(draw: Draw) -> Case:
    first, second, num = draw.file(), draw.file(), draw.whole(2, 5)
    lines = draw.lines(12, 2)
    return Case(
        params={"a": first, "b": second, "n": num},
        files={first: text(lines)},
        goal=Goal(files={second: text(lines[-num:])}),
        oracle=(f"tail -n {num} {first} > {second}",),
        wrong=(f"head -n {num} {first} > {second}", f"cp {first} {second}", f"tail -n {num + 1} {first} > {second}"),
    )


@family(
    "into-folder",
    1,
    train=("Make the folder $b and move $a into it.", "Move the file $a into a new folder $b."),
    test=("The file $a shall lie in the folder $b, which is to be made.", "Create $b; put $a inside, not beside."),
)
def into_folder(draw: Draw) -> Case:
    name, folder = draw.file(), draw.folder()
    content = text(draw.lines(2))
    return Case(
        params={"a": name, "b": folder},
        files={name: content},
        goal=Goal(files={f"{folder}/{name}": content}, gone=(name,)),
        oracle=(f"mkdir {folder}", f"mv {name} {folder}"),
        wrong=(f"mv {name} {folder}", f"mkdir {folder}; cp {name} {folder}", f"mkdir {folder}; rm {name}"),
    )


@family(
    "upper-into",
    1,
    train=("Write $a in capital letters to $b.", "Put the text of $a, all in capitals, into the file $b."),
    test=("The file $b shall be $a with every letter large.", "Turn $a into capitals and keep that as $b."),
)
def upper_into(draw: Draw) -> Case:
    first, second = draw.file(), draw.file()
    content = text(draw.lines(3))
    return Case(
        params={"a": first, "b": second},
        files={first: content},
        goal=Goal(files={second: content.upper()}),
        oracle=(f"tr a-z A-Z < {first} > {second}",),
        wrong=(f"cp {first} {second}", f"tr a-z A-Z < {first} | head -1 > {second}"),
    )


FAMILIES = (
    make_file,
    make_folder,
    copy,
    rename,
    remove,
    append,
    join_two,
    sort_into,
    count_lines,
    grep_into,
    head_into,
    tail_into,
    into_folder,
    upper_into,
)
