"""Levels 2 to 4: what a system keeps in text: logs of processes, cron tables, users, variables, disk use, encodings."""

from __future__ import annotations

import base64
import datetime

from agentrl.envs.shell.families.find import tree
from agentrl.envs.shell.families.tables import fields
from agentrl.envs.shell.family import Case, Goal, family
from agentrl.envs.shell.words import Draw, text

__all__ = ["FAMILIES"]


@family(
    "cron-hour",
    3,
    4,
    train=(
        "The file $a is a cron table. Write the commands of the entries that run at hour $h (their second field is "
        "`$h` or `*`) to $b, in their order. Comments, which begin with #, do not count.",
    ),
    test=("Which commands of the cron table $a run at hour $h: second field $h or *? List them, in order, in $b.",),
)
def cron(draw: Draw) -> Case:
    first, second, hour = draw.file("cron"), draw.file(), draw.whole(2, 9)
    lines, wanted = [], []
    for number in range(8 * draw.level):
        when = str(hour) if number == 5 else draw.pick([str(hour), "*", str(hour + 10), "1", str(hour)])
        command = f"/usr/bin/{draw.words(1)[0]} --job {number}"
        comment = "#" if number % 6 == 5 else ""
        lines.append(f"{comment}{draw.whole(0, 59)} {when} * * {draw.pick(['*', '1', '5'])} {command}")
        if when in (str(hour), "*") and not comment:
            wanted.append(command)
    match = f'$2 == "{hour}" || $2 == "*"'
    return Case(
        params={"a": first, "b": second, "h": hour},
        files={first: text(lines)},
        goal=Goal(checks={second: fields(wanted)}),
        oracle=(f"grep -v '^#' {first} | awk '{match}' | cut -d' ' -f6- > {second}",),
        wrong=(
            f"awk '{match}' {first} | cut -d' ' -f6- > {second}",
            f"grep -v '^#' {first} | grep {hour} | cut -d' ' -f6- > {second}",
            f"grep -v '^#' {first} | awk '{match}' > {second}",
        ),
    )


@family(
    "user-table",
    2,
    3,
    train=(
        "The file $a has the form of /etc/passwd. Write the names of the users whose shell is $shell to $b, sorted.",
        "From $a, written like /etc/passwd, list in $b, sorted, who has the shell $shell.",
    ),
    test=("Who logs in to $shell according to $a, a table like /etc/passwd? Names, in order, to $b.",),
)
def users(draw: Draw) -> Case:
    first, second = draw.stem(), draw.file()
    shells = ["/bin/sh", "/bin/bash", "/usr/sbin/nologin"]
    people = draw.people(12)
    shell = draw.pick(shells)
    chosen = {name: shell if number % 3 == 0 else draw.pick(shells) for number, name in enumerate(people)}
    lines = [
        f"{name}:x:{1000 + number}:100:{draw.pick(shells)}:/home/{name}:{chosen[name]}"
        for number, name in enumerate(people)
    ]
    wanted = sorted(name for name in people if chosen[name] == shell)
    return Case(
        params={"a": first, "b": second, "shell": shell},
        files={first: text(lines)},
        goal=Goal(files={second: text(wanted)}),
        oracle=(f"awk -F: '$7 == \"{shell}\" {{ print $1 }}' {first} | sort > {second}",),
        wrong=(
            f"grep {shell} {first} | cut -d: -f1 > {second}; echo >> {second}; echo x >> {second}",
            f"awk -F: '$7 == \"{shell}\" {{ print $1 }}' {first} | sort -r > {second}",
            f"cut -d: -f1 {first} | sort > {second}",
        ),
    )


@family(
    "merge-settings",
    3,
    4,
    train=(
        "Lines of $a and $b are KEY=VALUE. Write all keys to $c in the same form, sorted by key; where both have a "
        "key, the value of $b counts.",
    ),
    test=("Let $c be the settings of $a (KEY=VALUE), overridden and added to by those of $b, in the order of keys.",),
)
def settings(draw: Draw) -> Case:
    one, two, out = draw.file("env"), draw.file("env"), draw.file("env")
    keys = [key.upper() for key in draw.some("stems", 9)]
    base = {key: draw.whole(1, 999) for key in draw.shuffled(keys[:6])}
    over = {key: draw.whole(1000, 9999) for key in draw.shuffled(keys[3:])}
    merged = base | over
    return Case(
        params={"a": one, "b": two, "c": out},
        files={one: text([f"{k}={v}" for k, v in base.items()]), two: text([f"{k}={v}" for k, v in over.items()])},
        goal=Goal(files={out: text([f"{key}={merged[key]}" for key in sorted(merged)])}),
        oracle=(f"cat {one} {two} | awk -F= '{{ v[$1] = $0 }} END {{ for (k in v) print v[k] }}' | sort > {out}",),
        wrong=(
            f"cat {two} {one} | awk -F= '{{ v[$1] = $0 }} END {{ for (k in v) print v[k] }}' | sort > {out}",
            f"cat {one} {two} | sort > {out}",
            f"sort {two} > {out}",
        ),
    )


@family(
    "disk-use",
    3,
    4,
    train=(
        "For each folder directly in $top write BYTES NAME to $to: all bytes of the files below it, largest first.",
        "How many bytes do the files below each folder of $top have? Lines BYTES NAME to $to, the largest first.",
    ),
    test=("Rank the folders that lie in $top by the bytes of all files below them: BYTES NAME, falling, in $to.",),
)
def disk_use(draw: Draw) -> Case:
    top, to = draw.folder(), draw.file()
    names = draw.some("folders", 1 + draw.level)
    files: dict[str, bytes] = {}
    for number, name in enumerate(names):
        for part in range(2):
            inner = f"{name}/{draw.stem()}" if part else name
            files[f"{top}/{inner}/{draw.stem()}.dat"] = b"x" * (draw.whole(10, 99) + 100 * ((number * 7) % 5) * part)
    sums: dict[str, int] = {}
    for name in names:  # no two alike: how they would be ranked is not said
        (path, *_) = inside = [path for path in files if path.startswith(f"{top}/{name}/")]
        while (total := sum(len(files[each]) for each in inside)) in sums.values():
            files[path] += b"x"
        sums[name] = total
    ranked = sorted(sums.items(), key=lambda each: -each[1])
    add = f"$(find {top}/$d -type f -printf '%s\\n' | awk '{{ s += $1 }} END {{ print s }}')"
    return Case(
        params={"top": top, "to": to},
        files={**files, f"{top}/{draw.file()}": text(draw.lines(9))},
        goal=Goal(checks={to: fields(f"{size} {name}" for name, size in ranked)}),
        oracle=(f"for d in $(ls -F {top} | grep / | tr -d /); do echo {add} $d; done | sort -k1,1nr -k2 > {to}",),
        wrong=(
            f"du {top} > {to}",
            f"for d in $(ls {top}); do echo {add} $d; done | sort -k1,1nr > {to}",
            f"for d in {names[0]} {names[1]}; do echo $(cat {top}/$d/*.dat | wc -c) $d; done | sort -rn > {to}",
        ),
    )


@family(
    "to-utf8",
    2,
    3,
    train=("The file $a is in $enc. Write it in UTF-8 to $b.", "Convert $a from $enc to UTF-8 and save that as $b."),
    test=("Let $b have the text of $a, which is encoded as $enc, in UTF-8.",),
)
def encoding(draw: Draw) -> Case:
    first, second = draw.file(), draw.file()
    name, codec = draw.pick([("ISO-8859-1", "latin-1"), ("UTF-16LE", "utf-16-le"), ("CP1252", "cp1252")])
    lines = [line.replace("o", "ö").replace("a", "ä").replace("e", "é") for line in draw.lines(5)]
    shown = "".join(f"{line}\n" for line in [*lines, "fin äöé"])
    return Case(
        params={"a": first, "b": second, "enc": name},
        files={first: shown.encode(codec)},
        goal=Goal(files={second: shown.encode()}),
        oracle=(f"iconv -f {name} -t UTF-8 {first} > {second}",),
        wrong=(
            f"cp {first} {second}",
            f"iconv -f {name} -t ASCII//TRANSLIT {first} > {second}",
            f"iconv -f UTF-8 -t {name} {first} > {second} 2>/dev/null",
        ),
    )


@family(
    "decode",
    2,
    train=("Decode $a, which is base64, into $b.", "The file $a holds base64; write what it stands for to $b."),
    test=("What $a says in base64 shall stand in $b as it is.",),
)
def decode(draw: Draw) -> Case:
    first, second = draw.file("b64"), draw.file()
    content = text(draw.lines(6))
    return Case(
        params={"a": first, "b": second},
        files={first: base64.encodebytes(content)},
        goal=Goal(files={second: content}),
        oracle=(f"base64 -d {first} > {second}",),
        wrong=(f"cp {first} {second}", f"base64 {first} > {second}", f"head -1 {first} | base64 -d > {second}"),
    )


@family(
    "process-log",
    4,
    train=(
        "The log $a tells every minute the memory of processes: TIME pid=N mem=KB. Write the pid whose memory grew "
        "most, from its first to its last line, to $b.",
    ),
    test=(
        "Lines of $a read TIME pid=N mem=KB. Between its first and last line, which pid gained most memory? Into $b.",
    ),
)
def processes(draw: Draw) -> Case:
    first, second = draw.file("log"), draw.file()
    pids = draw.shuffled(range(200, 900))[:7]
    growth = dict(zip(pids, draw.shuffled([5, 9, 14, 22, -30, 40, -3]), strict=True))
    start = {pid: draw.whole(2000, 9000) for pid in pids}
    start[min(pids, key=lambda pid: growth[pid])] = 20_000  # the largest shrinks
    lines = []
    moment = draw.moment()
    for minute in range(9):
        for pid in draw.shuffled(pids):
            shown = moment + datetime.timedelta(minutes=minute)
            noise = draw.whole(-40, 40) if 0 < minute < 8 else 0
            lines.append(f"{shown:%H:%M} pid={pid} mem={start[pid] + growth[pid] * 10 * minute + noise}")
    worst = max(pids, key=lambda pid: growth[pid])
    largest = max(pids, key=lambda pid: start[pid])
    script = "{ if (!($3 in a)) a[$3] = $5; z[$3] = $5 } END { for (p in a) print z[p] - a[p], p }"
    return Case(
        params={"a": first, "b": second},
        files={first: text(lines)},
        goal=Goal(checks={second: fields([worst])}),
        oracle=(f"tr '=' ' ' < {first} | awk '{script}' | sort -n | tail -1 | cut -d' ' -f2 > {second}",),
        wrong=(
            f"echo {largest} > {second}",
            f"tr '=' ' ' < {first} | awk '{script}' | sort -n | head -1 | cut -d' ' -f2 > {second}",
            f"tr '=' ' ' < {first} | awk '{script}' | sort -n | tail -1 > {second}",
        ),
    )


@family(
    "newest-backups",
    4,
    train=(
        "In $top lie backups NAME-YYYY-MM-DD.bak. For each NAME keep the $n newest by the date in the name and delete "
        "the others.",
    ),
    test=("Of the backups NAME-YYYY-MM-DD.bak in $top only the $n with the latest dates of each NAME may stay.",),
)
def backups(draw: Draw) -> Case:
    top, num = draw.folder(), draw.whole(2, 3)
    files: dict[str, bytes] = {}
    gone: list[str] = []
    for stem in draw.some("stems", 4):
        days = sorted({f"{draw.moment():%Y-%m-%d}" for _ in range(7)} | {"2023-12-31", "2024-12-01"})
        paths = [f"{top}/{stem}-{day}.bak" for day in days]
        files |= {path: path.encode() for path in paths}
        gone += paths[:-num]
    one = "ls | sed 's/-[0-9-]*.bak$//' | sort -u"
    return Case(
        params={"top": top, "n": num},
        files=files,
        goal=Goal(gone=gone),
        oracle=(f"cd {top}", f"for n in $({one}); do ls $n-* | sort | head -n -{num} | xargs rm; done"),
        wrong=(
            f"cd {top}; ls | sort | head -n -{num} | xargs rm",
            f"cd {top}; for n in $({one}); do ls $n-* | sort -r | head -n -{num} | xargs rm; done",
            f"cd {top}; for n in $({one}); do ls $n-* | sort | head -n -{num + 1} | xargs rm; done",
        ),
    )


@family(
    "mirror",
    4,
    train=(
        "Make the folder $b a mirror of $a: the same files and folders with the same content, nothing more. Change "
        "nothing in $a.",
    ),
    test=("Afterwards $b shall be just as $a is, file by file, with no file or folder that $a does not have.",),
)
def mirror(draw: Draw) -> Case:
    top, files = tree(draw, 12)
    other = draw.folder()
    there = {path.replace(top, other, 1): content for path, content in files.items()}
    stale = {path: content for number, (path, content) in enumerate(there.items()) if number % 3}
    for path in list(stale)[::3]:
        stale[path] = stale[path][::-1]
    extra = [f"{other}/{draw.file()}", f"{other}/{draw.folder()}/{draw.file()}"]
    names = {path.removeprefix(f"{top}/") for path in files}
    return Case(
        params={"a": top, "b": other},
        files=files | stale | dict.fromkeys(extra, b"old\n"),
        goal=Goal(
            files=there,
            gone=[*extra, extra[1].rpartition("/")[0]],
            then=lambda remains, trial: (remains.files(other) or {}).keys() == names,
        ),
        oracle=(f"rm -r {other}", f"cp -r {top} {other}"),
        wrong=(
            f"cp -r {top}/. {other}",
            f"cp -rn {top}/. {other}",
            f"rm -r {other}; mv {top} {other}",
            f"rm -r {other}; ln -s {top} {other}",
            f"rm -r {other}; cp -r {top} {other}; cp -r {top} {other}",
        ),
    )


FAMILIES = (cron, users, settings, disk_use, encoding, decode, processes, backups, mirror)
