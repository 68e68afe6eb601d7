"""Levels 3 to 5: small programs that do not build or do not do what they should. The result is built in a fresh box."""

from __future__ import annotations

from agentrl.envs.shell.family import Case, Goal, Then, family
from agentrl.envs.shell.remains import Remains
from agentrl.envs.shell.trial import Trial
from agentrl.envs.shell.words import Draw

__all__ = ["FAMILIES", "tried"]


def tried(top: str, commands: list[tuple[str, str | None]], more: dict[str, bytes] | None = None) -> Then:
    """Return a judge that copies a folder to a fresh box and runs commands there.

    Args:
        top: Of the agent; only regular files are copied, and all of them may be run by their owner.
        commands: Each with what it must write, blanks and line ends at the end apart; None: it must fail.
        more: Files that the agent never saw.
    """

    def then(remains: Remains, trial: Trial) -> bool:
        files = remains.files(top)
        if files is None:
            return False
        copied = {f"{top}/{path}": content for path, content in files.items()} | (more or {})
        results = trial.run(copied, [command for command, _ in commands])
        for result, (_, wanted) in zip(results, commands, strict=True):
            if wanted is None:
                if result.ok or result.status is None:
                    return False
            elif not result.ok or result.stdout.decode("utf-8", "replace").split() != wanted.split():
                return False
        return True

    return then


def _program(draw: Draw) -> tuple[dict[str, str], int, int, str]:
    """Draw a C program of two files that prints FACTOR * n + SHIFT for each number of its arguments."""
    factor, shift, unit = draw.whole(3, 19), draw.whole(20, 99), draw.stem()
    files = {
        f"{unit}.h": f"int {unit}(int n);\n",
        f"{unit}.c": f'#include "{unit}.h"\n\nint {unit}(int n) {{\n    return {factor} * n + {shift};\n}}\n',
        "main.c": f'#include <stdio.h>\n#include <stdlib.h>\n#include "{unit}.h"\n\n'
        f"int main(int argc, char **argv) {{\n"
        f'    for (int i = 1; i < argc; i++)\n        printf("%d\\n", {unit}(atoi(argv[i])));\n    return 0;\n}}\n',
    }
    return files, factor, shift, unit


def _inputs(draw: Draw) -> list[int]:
    return [draw.whole(100, 9999) for _ in range(5)]


def _expected(numbers: list[int], factor: int, shift: int) -> str:
    return " ".join(str(factor * number + shift) for number in numbers)


def _case(
    draw: Draw, files: dict[str, str], makefile: str, fault: tuple[str, str, str], fix: str, factor: int, shift: int
) -> Case:
    """Return the case in which `make` of a folder must build a right program; the fault is (file, good, bad)."""
    top, target = draw.folder(), draw.stem()
    good = {**files, "Makefile": makefile.replace("TARGET", target)}
    name, right, wrong = (each.replace("TARGET", target) for each in fault)
    assert right in good[name], (right, good[name])
    bad = {**good, name: good[name].replace(right, wrong)}
    numbers = _inputs(draw)
    run = f"cd {top} && rm -f {target} *.o && make -s >/dev/null && ./{target} {' '.join(map(str, numbers))}"
    return Case(
        params={"top": top, "p": target, "f": factor, "s": shift},
        files={f"{top}/{each}": content.encode() for each, content in bad.items()},
        goal=Goal(free=(f"{top}/",), then=tried(top, [(run, _expected(numbers, factor, shift))])),
        oracle=(f"cd {top}; make 2>&1 | head -3 > /dev/null", fix.replace("TARGET", target), "make -s"),
        wrong=(
            f"cd {top}; printf 'all:\\n\\t@true\\n' > Makefile",
            f"cd {top}; printf '#!/bin/sh\\necho 1\\n' > {target}; chmod +x {target}; printf '{target}:\\n' > Makefile",
            f"cd {top}; rm Makefile",
        ),
    )


_BROKEN_TRAIN = (
    "`make` in the folder $top should build the program $p, which prints $f * n + $s for each number n it is given. It "
    "fails; mend it.",
    "The program $p in $top does not build with `make`. Mend that: for each argument n it prints $f * n + $s.",
)
_BROKEN_TEST = (
    "Calling `make` in $top ends with an error. Make it build $p, which writes $f * n + $s for every argument n.",
)


@family("mend-makefile", 3, 4, train=_BROKEN_TRAIN, test=_BROKEN_TEST)
def makefile(draw: Draw) -> Case:
    files, factor, shift, unit = _program(draw)
    rules = f"TARGET: main.o {unit}.o\n\tgcc -o TARGET main.o {unit}.o\n\n%.o: %.c {unit}.h\n\tgcc -c -o $@ $<\n"
    faults = [
        (("Makefile", "\tgcc -c", "    gcc -c"), "sed -i 's/^    gcc/\\tgcc/' Makefile"),
        (("Makefile", f"main.o {unit}.o\n\tgcc", "main.o\n\tgcc"), f"sed -i 's/: main.o$/: main.o {unit}.o/' Makefile"),
        (
            ("Makefile", f"-o TARGET main.o {unit}.o\n", "-o TARGET main.o\n"),
            f"sed -i 's/-o TARGET main.o$/& {unit}.o/' Makefile",
        ),
        (("Makefile", "-c -o $@ $<", "-c -o $@ $^x"), "sed -i 's/[$]^x/$</' Makefile"),
    ]
    fault, fix = draw.pick(faults)
    return _case(draw, files, rules, fault, fix, factor, shift)


@family("mend-source", 3, 4, train=_BROKEN_TRAIN, test=_BROKEN_TEST)
def source(draw: Draw) -> Case:
    files, factor, shift, unit = _program(draw)
    rules = f"TARGET: main.c {unit}.c\n\tgcc -Wall -Werror -o TARGET main.c {unit}.c\n"
    faults = [
        ((f"{unit}.c", f"{shift};", f"{shift}"), f"sed -i 's/{shift}$/{shift};/' {unit}.c"),
        (("main.c", f'#include "{unit}.h"\n', ""), f"sed -i '1i #include \"{unit}.h\"' main.c"),
        ((f"{unit}.h", f"int {unit}(int n)", f"int {unit}(char *n)"), f"sed -i 's/char [*]n/int n/' {unit}.h"),
        (("main.c", "#include <stdlib.h>\n", ""), "sed -i '1i #include <stdlib.h>' main.c"),
    ]
    fault, fix = draw.pick(faults)
    return _case(draw, files, rules, fault, fix, factor, shift)


@family(
    "mend-program",
    4,
    5,
    train=(
        "The program $p in $top builds by `make`, but gives wrong numbers: for each argument n it should print "
        "$f * n + $s. Mend the source.",
    ),
    test=("What `make` builds in $top, $p, calculates wrongly. For every argument n it has to print $f * n + $s.",),
)
def wrong_result(draw: Draw) -> Case:
    files, factor, shift, unit = _program(draw)
    rules = f"TARGET: main.c {unit}.c\n\tgcc -o TARGET main.c {unit}.c\n"
    faults = [
        ((f"{unit}.c", f"n + {shift}", f"n - {shift}"), f"sed -i 's/n - /n + /' {unit}.c"),
        ((f"{unit}.c", f"{factor} * n", f"{factor} * (char) n"), f"sed -i 's/(char) //' {unit}.c"),
        (("main.c", "i = 1;", "i = 2;"), "sed -i 's/i = 2/i = 1/' main.c"),
        (("main.c", "i < argc", "i < argc && i < 4"), "sed -i 's/ && i < 4//' main.c"),
    ]
    fault, fix = draw.pick(faults)
    return _case(draw, files, rules, fault, fix, factor, shift)


@family(
    "write-makefile",
    4,
    5,
    train=(
        "Write a Makefile for the C sources in $top: `make` builds the program $p of them all, and nothing again when "
        "nothing changed.",
    ),
    test=("The sources in $top lack a Makefile. `make` there shall build $p from all of them, and only when needed.",),
)
def write_makefile(draw: Draw) -> Case:
    files, factor, shift, unit = _program(draw)
    top, target = draw.folder(), draw.stem()
    numbers = _inputs(draw)
    rules = f"{target}: main.c {unit}.c {unit}.h\\n\\tgcc -o {target} main.c {unit}.c\\n"
    arguments = " ".join(map(str, numbers))
    commands: list[tuple[str, str | None]] = [
        (
            f"cd {top} && rm -f {target} *.o && make -s >/dev/null && ./{target} {arguments}",
            _expected(numbers, factor, shift),
        ),
        (f"cd {top} && make -q && echo fresh", "fresh"),
        (
            f"cd {top} && sed -i 's/+ {shift}/+ 1/' {unit}.c && touch -d '+2 seconds' {unit}.c && make -s > /dev/null"
            f" && ./{target} {arguments}",
            _expected(numbers, factor, 1),
        ),
    ]
    return Case(
        params={"top": top, "p": target},
        files={f"{top}/{each}": content.encode() for each, content in files.items()},
        goal=Goal(free=(f"{top}/{target}", f"{top}/Makefile"), then=tried(top, commands)),
        oracle=(f"cd {top}; ls", f"printf '{rules}' > Makefile", "make -s"),
        wrong=(
            f"cd {top}; gcc -o {target} *.c",
            f"cd {top}; printf '{target}:\\n\\tgcc -o {target} *.c\\n' > Makefile",
            f"cd {top}; printf 'all:\\n\\tgcc -o {target} *.c\\n' > Makefile",
            f"cd {top}; printf '{target}: main.c\\n\\tgcc -o {target} main.c\\n' > Makefile",
        ),
    )


@family(
    "static-library",
    5,
    train=(
        "Build the static library $lib of the C sources in $top, without main.c, and the program $p of main.c linked "
        "with it. Both belong in $top.",
    ),
    test=("In $top there shall be $lib, an archive of all sources but main.c, and $p, which main.c and it make.",),
)
def library(draw: Draw) -> Case:
    files, factor, shift, unit = _program(draw)
    top, target = draw.folder(), draw.stem()
    lib = f"lib{unit}.a"
    numbers = _inputs(draw)
    arguments = " ".join(map(str, numbers))
    wanted = _expected(numbers, factor, shift)
    commands: list[tuple[str, str | None]] = [
        (f"cd {top} && chmod +x {target} && ./{target} {arguments}", wanted),
        (f"cd {top} && gcc -o /tmp/p main.c {lib} && /tmp/p {arguments}", wanted),
        (f"cd {top} && ar t {lib} > /tmp/names && ! grep main /tmp/names", ""),
    ]
    return Case(
        params={"top": top, "p": target, "lib": lib},
        files={f"{top}/{each}": content.encode() for each, content in files.items()},
        # The linker takes a bare object, or a script, for a library just as well.
        goal=Goal(checks={f"{top}/{lib}": lambda found: found.startswith(b"!<arch>\n")}, then=tried(top, commands)),
        oracle=(
            f"cd {top}; gcc -c {unit}.c",
            f"ar rc {lib} {unit}.o",
            f"gcc -o {target} main.c {lib}",
        ),
        wrong=(
            f"cd {top}; gcc -o {target} *.c",
            f"cd {top}; gcc -c *.c; ar rc {lib} *.o; gcc -o {target} *.c",
            f"cd {top}; gcc -c {unit}.c; mv {unit}.o {lib}; gcc -o {target} *.c",
            f"cd {top}; gcc -c {unit}.c; echo 'INPUT({unit}.o)' > {lib}; gcc -o {target} *.c",
        ),
    )


FAMILIES = (makefile, source, wrong_result, write_makefile, library)
