"""Levels 2 and 3: find files in a tree by name, size, content or time, and do something with them."""

from __future__ import annotations

import datetime

from agentrl.envs.shell.family import Case, Goal, family
from agentrl.envs.shell.words import EPOCH, Draw, text

__all__ = ["FAMILIES", "tree"]


def tree(draw: Draw, num: int, endings: tuple[str, ...] = ("txt", "log", "md")) -> tuple[str, dict[str, bytes]]:
    """Draw a folder and files below it, each name once, some of them two folders deep."""
    top = draw.folder()
    inner = draw.some("folders", 2 + draw.level)
    places = [top, *(f"{top}/{each}" for each in inner[:2]), *(f"{top}/{inner[0]}/{each}" for each in inner[2:])]
    files: dict[str, bytes] = {}
    for number in range(num):
        place = places[number % len(places)]
        files[f"{place}/{draw.stem()}.{endings[number % len(endings)]}"] = text(draw.lines(draw.whole(2, 4)))
    return top, files


def _base(path: str) -> str:
    return path.rpartition("/")[2]


@family(
    "gather-by-ending",
    2,
    3,
    train=("Move every .log file below $top into a new folder $to.", "Collect all .log files of $top in a folder $to."),
    test=("No .log file shall be left anywhere in $top: move them to $to, which is to be made.",),
)
def gather(draw: Draw) -> Case:
    top, files = tree(draw, 6 * draw.level)
    to = draw.folder()
    logs = [path for path in files if path.endswith(".log")]
    return Case(
        params={"top": top, "to": to},
        files=files,
        goal=Goal(
            files={f"{to}/{_base(path)}": files[path] for path in logs}, gone=logs, folders={to: [*map(_base, logs)]}
        ),
        oracle=(f"mkdir {to}", f"find {top} -name '*.log' -exec mv {{}} {to}/ \\;"),
        wrong=(
            f"mkdir {to}; mv {top}/*.log {to}",
            f"mkdir {to}; find {top} -name '*.log' -exec cp {{}} {to} \\;",
            f"mkdir {to}; find {top} -type f -exec cp {{}} {to} \\;; find {top} -name '*.log' -delete",
        ),
    )


@family(
    "delete-by-ending",
    2,
    3,
    train=("Delete all .bak files below $top, in every folder.", "Remove every file of $top that ends in .bak."),
    test=("Clear $top and its folders of .bak files.", "Wherever it lies in $top, a .bak file has to go."),
)
def delete_backups(draw: Draw) -> Case:
    top, files = tree(draw, 6 * draw.level, ("txt", "bak", "bak.txt"))
    return Case(
        params={"top": top},
        files=files,
        goal=Goal(gone=[path for path in files if path.endswith(".bak")]),
        oracle=(f"find {top} -name '*.bak' -delete",),
        wrong=(f"rm {top}/*.bak", f"find {top} -name '*.bak*' -delete", f"rm -r {top}"),
    )


@family(
    "delete-empty",
    2,
    train=("Delete the empty files below $top; keep all others.", "Remove every file of zero bytes from $top."),
    test=("Files of $top with nothing in them have to go, the others stay.",),
)
def delete_empty(draw: Draw) -> Case:
    top, files = tree(draw, 12)
    empty = draw.shuffled(list(files))[:4]
    files.update(dict.fromkeys(empty, b""))
    return Case(
        params={"top": top},
        files=files,
        goal=Goal(gone=empty),
        oracle=(f"find {top} -type f -empty -delete",),
        wrong=(f"find {top} -type f -size -2 -delete", f"rm -r {top}", f"find {top} -maxdepth 1 -empty -delete"),
    )


@family(
    "largest-file",
    2,
    3,
    train=(
        "Write the path of the largest file below $top, as in $top/x.txt, to $to.",
        "Find the biggest file in $top and its folders; write its path from /work to $to.",
    ),
    test=("Which file below $top has the most bytes? $to shall hold its path, beginning with $top/.",),
)
def largest(draw: Draw) -> Case:
    top, files = tree(draw, 7 * draw.level)
    most = max(map(len, files.values()))
    path = draw.pick(list(files))
    files[path] += text(draw.lines(most // 10 + 5))
    to = draw.file()
    names = [path, f"./{path}", f"/work/{path}"]
    longest = max(files, key=lambda each: files[each].count(b"\n") if each != path else 0)
    return Case(
        params={"top": top, "to": to},
        files=files,
        goal=Goal(checks={to: lambda found: found.decode("utf-8", "replace").strip() in names}),
        oracle=(f"find {top} -type f -printf '%s %p\\n' | sort -n | tail -1 | cut -d' ' -f2 > {to}",),
        wrong=(f"echo {longest} > {to}", f"find {top} -type f > {to}", f"echo {_base(path)} > {to}"),
    )


@family(
    "files-with-word",
    2,
    3,
    train=(
        "Write the paths of the files below $top that contain the word $word to $to, one a line, sorted.",
        "Find the files in $top that mention $word; list their paths from /work, sorted, in $to.",
    ),
    test=("The file $to shall list, sorted, the path of each file below $top in which $word occurs.",),
)
def with_word(draw: Draw) -> Case:
    top, files = tree(draw, 8 * draw.level)
    word, to = draw.stem(), draw.file("list")
    files = {path: content.replace(word.encode(), b"x") for path, content in files.items()}
    chosen = sorted(draw.shuffled(list(files))[: draw.whole(3, 5)])
    for path in chosen:
        files[path] += text([f"{draw.words(1)[0]} {word} {draw.words(1)[0]}"])
    wanted = text(chosen)
    return Case(
        params={"top": top, "to": to, "word": word},
        files=files,
        goal=Goal(
            checks={to: lambda found: found.replace(b"/work/", b"").replace(b"./", b"").strip() == wanted.strip()}
        ),
        oracle=(f"grep -rl {word} {top} | sort > {to}",),
        wrong=(
            f"grep -rl {word} {top} | sort -r > {to}",
            f"grep -r {word} {top} | sort > {to}",
            f"grep -l {word} {top}/* | sort > {to}; echo {top} >> {to}",
            f"find {top} -type f | sort > {to}",
        ),
    )


@family(
    "change-endings",
    2,
    3,
    train=("Rename every .md file below $top so that it ends in .txt.", "Give all .md files in $top the ending .txt."),
    test=("What is called .md in $top or its folders shall be called .txt.",),
)
def endings(draw: Draw) -> Case:
    top, files = tree(draw, 5 * draw.level, ("md", "log"))
    old = [path for path in files if path.endswith(".md")]
    return Case(
        params={"top": top},
        files=files,
        goal=Goal(files={f"{path[:-3]}.txt": files[path] for path in old}, gone=old),
        oracle=(f"find {top} -name '*.md' | while read f; do mv $f ${{f%.md}}.txt; done",),
        wrong=(
            f"for f in {top}/*.md; do mv $f ${{f%.md}}.txt; done",
            f"find {top} -name '*.md' | while read f; do mv $f $f.txt; done",
            f"find {top} -name '*.md' | while read f; do cp $f ${{f%.md}}.txt; done",
        ),
    )


@family(
    "older-files",
    3,
    train=(
        "Delete the files below $top that were last changed before $day; keep the others.",
        "Remove from $top every file whose time of change is earlier than $day.",
    ),
    test=("Of $top only what was changed on $day or later may stay; delete the older files.",),
)
def older(draw: Draw) -> Case:
    top, files = tree(draw, 16)
    day = EPOCH + datetime.timedelta(days=draw.whole(60, 200))
    old: list[str] = []
    touches = []
    for number, path in enumerate(files):
        days = draw.whole(1, 50)
        moment = day + datetime.timedelta(days=-days if number % 3 == 0 else days, seconds=draw.whole(1, 80_000))
        if moment < day:
            old.append(path)
        touches.append(f"touch -d @{int(moment.timestamp())} {path}")
    return Case(
        params={"top": top, "day": f"{day:%Y-%m-%d}"},
        files=files,
        setup="\n".join(touches),
        goal=Goal(gone=old),
        oracle=(f"find {top} -type f ! -newermt '{day:%Y-%m-%d}' -delete",),
        wrong=(
            f"find {top} -type f -newermt '{day:%Y-%m-%d}' -delete",
            f"find {top} -type f -mtime +30 -delete",
            f"rm -r {top}",
        ),
    )


@family(
    "flatten",
    3,
    train=(
        "Move all files below $top directly into $top and delete the folders in it.",
        "Flatten $top: its files stay, all in $top itself, its folders go.",
    ),
    test=("The folder $top shall hold every file that is below it now, and no folder any more.",),
)
def flatten(draw: Draw) -> Case:
    top, files = tree(draw, 14)
    flat = {f"{top}/{_base(path)}": content for path, content in files.items()}
    return Case(
        params={"top": top},
        files=files,
        goal=Goal(files=flat, gone=[each for each in files if each not in flat], folders={top: [*map(_base, flat)]}),
        oracle=(
            f"find {top} -mindepth 2 -type f -exec mv -t {top} {{}} +",
            f"find {top} -mindepth 1 -type d -empty -delete",
        ),
        wrong=(
            f"find {top} -mindepth 2 -type f -exec mv -t {top} {{}} +",
            f"mv {top}/*/* {top}; rm -rf {top}/*/",
            f"cp $(find {top} -mindepth 2 -type f) {top}",
        ),
    )


@family(
    "count-by-ending",
    3,
    train=(
        "Write to $to how many files of each ending are below $top: lines such as `7 log`, the most frequent first.",
        "Count the files in $top by their endings; $to gets lines like `7 log`, largest number first.",
    ),
    test=(
        "For each ending below $top one line in $to: the number of files, a blank, the ending; highest count on top.",
    ),
)
def by_ending(draw: Draw) -> Case:
    top, files = draw.folder(), {}
    inner = draw.some("folders", 4)
    counts = dict(zip(("log", "txt", "csv", "md"), draw.shuffled([3, 5, 6, 8]), strict=True))
    for ending, count in counts.items():
        for _ in range(count):
            place = draw.pick([top, f"{top}/{inner[0]}", f"{top}/{inner[1]}", f"{top}/{inner[2]}/{inner[3]}"])
            files[f"{place}/{draw.stem()}.{ending}"] = text(draw.lines(1))
    wanted = sorted(counts.items(), key=lambda each: -each[1])
    to = draw.file("out")
    return Case(
        params={"top": top, "to": to},
        files=files,
        goal=Goal(
            checks={
                to: lambda found: (
                    [each.split() for each in found.splitlines()]
                    == [text([f"{count} {ending}"]).split() for ending, count in wanted]
                )
            }
        ),
        oracle=(f"find {top} -type f | sed 's/.*\\.//' | sort | uniq -c | sort -rn | sed 's/^ *//' > {to}",),
        wrong=(
            f"find {top} -type f | sed 's/.*\\.//' | sort | uniq -c | sort -n > {to}",
            f"ls {top} | sed 's/.*\\.//' | sort | uniq -c | sort -rn > {to}",
            f"find {top} | sed 's/.*\\.//' | sort | uniq -c | sort -rn > {to}",
        ),
    )


FAMILIES = (
    gather,
    delete_backups,
    delete_empty,
    largest,
    with_word,
    endings,
    older,
    flatten,
    by_ending,
)
