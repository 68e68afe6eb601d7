"""Levels 2 to 4: permissions, symbolic links, hard links and files that are there twice."""

from __future__ import annotations

from agentrl.envs.shell.families.find import tree
from agentrl.envs.shell.family import Case, Goal, family
from agentrl.envs.shell.remains import Remains
from agentrl.envs.shell.trial import Trial
from agentrl.envs.shell.words import Draw, text

__all__ = ["FAMILIES"]


@family(
    "set-mode",
    2,
    train=("Give $a the permissions $mode.", "Set the permissions of the file $a to $mode."),
    test=("The mode of $a shall be $mode.", "Let `stat -c %a $a` say $mode."),
)
def set_mode(draw: Draw) -> Case:
    names = [draw.file("sh") for _ in range(3)]
    mode = draw.pick([0o600, 0o640, 0o700, 0o750, 0o755, 0o444, 0o400])
    return Case(
        params={"a": names[0], "mode": f"{mode:o}"},
        files={name: text(draw.lines(2)) for name in names},
        setup=f"chmod 664 {' '.join(names)}",
        goal=Goal(modes={names[0]: mode, names[1]: 0o664, names[2]: 0o664}),
        oracle=(f"chmod {mode:o} {names[0]}",),
        wrong=(f"chmod {mode:o} *", f"chmod 777 {names[0]}", f"chmod {mode:o} {names[1]}", f"chmod +x {names[0]}"),
    )


@family(
    "scripts-run",
    2,
    3,
    train=(
        "Make all files below $top that begin with #! executable for everybody, and no others.",
        "Of the files in $top, those whose first line begins with #! shall get the permission to run, for all users.",
    ),
    test=("Each script in $top, which is a file that begins with #!, is to be made runnable for all. Not the rest.",),
)
def scripts_run(draw: Draw) -> Case:
    top, files = tree(draw, 6 * draw.level, ("sh", "txt", "py"))
    scripts = draw.shuffled(list(files))[: 3 * draw.level]
    for number, path in enumerate(files):
        if path in scripts:
            files[path] = b"#!/bin/sh\n" + files[path]
        elif number % 2:
            files[path] += b"#!/bin/sh\n"
    return Case(
        params={"top": top},
        files=files,
        setup=f"find {top} -type f -exec chmod 644 {{}} +",
        goal=Goal(modes={path: 0o755 if path in scripts else 0o644 for path in files}),
        oracle=(f"find {top} -type f | while read f; do head -c2 $f | grep -q '#!' && chmod a+x $f; done; true",),
        wrong=(
            f"find {top} -type f -exec chmod 755 {{}} +",
            f"find {top} -name '*.sh' -exec chmod a+x {{}} +",
            f"chmod a+x $(grep -rl '#!' {top})",
            f"chmod -R 777 {top}",
        ),
    )


@family(
    "tighten",
    3,
    train=(
        "Below $top take away all rights of group and others on files and folders. The owner keeps what it has.",
        "Make everything in $top, and $top itself, private: no permission for group and others.",
    ),
    test=("Nobody but the owner may do anything with $top and what is below it. Leave the owner's rights alone.",),
)
def tighten(draw: Draw) -> Case:
    top, files = tree(draw, 10)
    modes = {path: draw.pick([0o644, 0o755, 0o666, 0o640, 0o555]) for path in files}
    folders = sorted({path.rpartition("/")[0] for path in files} | {top})
    return Case(
        params={"top": top},
        files=files,
        setup="\n".join(f"chmod {mode:o} {path}" for path, mode in modes.items()) + f"\nchmod 755 {' '.join(folders)}",
        goal=Goal(modes={path: mode & 0o700 for path, mode in modes.items()} | dict.fromkeys(folders, 0o700)),
        oracle=(f"chmod -R go= {top}",),
        wrong=(f"chmod -R 700 {top}", f"chmod -R 600 {top}", f"find {top} -type f -exec chmod go= {{}} +"),
    )


@family(
    "make-link",
    2,
    train=("Make a symbolic link $b that leads to $a.", "Let $b be a symbolic link to the file $a."),
    test=("Under the name $b there shall be a soft link to $a.",),
)
def make_link(draw: Draw) -> Case:
    name, link = draw.file(), draw.stem()
    return Case(
        params={"a": name, "b": link},
        files={name: text(draw.lines(2))},
        goal=Goal(links={link: name}),
        oracle=(f"ln -s {name} {link}",),
        wrong=(f"ln {name} {link}", f"cp {name} {link}", f"ln -s {link} {name}.x", f"ln -s {name}.txt {link}"),
    )


@family(
    "mend-links",
    3,
    4,
    train=(
        "Some links in $links lead to files of $top that are gone, as each was renamed from NAME.txt to NAME.md. Let "
        "those links lead to the new names; change no link that works.",
    ),
    test=("Files of $top were renamed, .txt to .md, and links in $links broke. Point them to the .md files.",),
)
def mend_links(draw: Draw) -> Case:
    links, top = draw.folder(), draw.folder()
    stems = draw.some("stems", 3 * draw.level)
    moved = draw.shuffled(stems)[: 2 * draw.level]
    files = {f"{top}/{stem}.{'md' if stem in moved else 'txt'}": text(draw.lines(2)) for stem in stems}
    wanted = {f"{links}/{stem}": f"{top}/{stem}.{'md' if stem in moved else 'txt'}" for stem in stems}
    return Case(
        params={"links": links, "top": top},
        files=files,
        folders=(links,),
        setup="\n".join(f"ln -s ../{top}/{stem}.txt {links}/{stem}" for stem in stems),
        goal=Goal(links=wanted),
        oracle=(
            f"ls -l {links} | cut -d' ' -f9- ",
            f"cd {links}; for l in *; do [ -e $l ] || {{ t=$(readlink $l); ln -sfn ${{t%.txt}}.md $l; }}; done",
        ),
        wrong=(
            f"cd {links}; for l in *; do t=$(readlink $l); ln -sfn ${{t%.txt}}.md $l; done",
            f"cd {links}; for l in *; do [ -e $l ] || rm $l; done",
            f"cd {links}; for l in *; do [ -e $l ] || cp ../{top}/$l.md $l; done",
        ),
    )


@family(
    "drop-duplicates",
    3,
    4,
    train=(
        "Some files in $top have the same content. Of each such set keep the one whose name comes first, delete the "
        "others.",
    ),
    test=("In $top every content may be there once: keep the first file of equal ones by name, remove the rest.",),
)
def duplicates(draw: Draw) -> Case:
    top = draw.folder()
    names = sorted(f"{top}/{stem}.dat" for stem in draw.some("stems", 6 * draw.level))
    contents = [text(line.split()) for line in draw.lines(3 * draw.level + 1, 4)]
    files = {name: draw.pick(contents) for name in names}
    files[names[0]] = files[names[-1]] = contents[0]
    first: dict[bytes, str] = {}
    for name in names:
        first.setdefault(files[name], name)
    kept = set(first.values())
    return Case(
        params={"top": top},
        files=files,
        goal=Goal(gone=[name for name in names if name not in kept]),
        oracle=(f"md5sum {top}/* | sort -k2 | awk 'seen[$1]++ {{ print $2 }}' | xargs rm",),
        wrong=(
            f"md5sum {top}/* | sort -r -k2 | awk 'seen[$1]++ {{ print $2 }}' | xargs rm",
            f"md5sum {top}/* | sort | uniq -w32 -d | cut -c35- | xargs rm",
            f"rm {names[-1]}",
        ),
    )


@family(
    "hard-links",
    4,
    train=(
        "The files $a and $b have the same content. Make $b a hard link to $a, and give $a one more name, $c.",
        "Let $a, $b and $c be one and the same file by hard links; $a and $b hold the same already.",
    ),
    test=("There shall be one file under the three names $a, $b and $c: hard links. $a and $b are equal now.",),
)
def hard_links(draw: Draw) -> Case:
    names = [draw.file("bin") for _ in range(3)]
    content = text(draw.lines(5))

    def then(remains: Remains, trial: Trial) -> bool:
        return remains.are_one(names)

    return Case(
        params=dict(zip("abc", names, strict=True)),
        files={names[0]: content, names[1]: content},
        goal=Goal(files={names[2]: content}, then=then),
        oracle=(f"ln -f {names[0]} {names[1]}", f"ln {names[0]} {names[2]}"),
        wrong=(
            f"cp {names[0]} {names[2]}",
            f"ln -sf {names[0]} {names[1]}; ln -s {names[0]} {names[2]}",
            f"ln {names[0]} {names[2]}",
            f"for n in {' '.join(names)}; do cp {names[0]} $n; ln $n $n.x; ln $n $n.y; done",
        ),
    )


FAMILIES = (set_mode, scripts_run, tighten, make_link, mend_links, duplicates, hard_links)
