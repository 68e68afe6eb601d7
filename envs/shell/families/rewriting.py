"""Levels 4 and 5: change a git history: revert, pick, merge with a conflict, rebase, squash, bisect."""

from __future__ import annotations

from agentrl.envs.shell.families.history import asked, at, world
from agentrl.envs.shell.family import Case, Goal, family
from agentrl.envs.shell.past import Past, setup, tree_of
from agentrl.envs.shell.words import Draw, text

__all__ = ["FAMILIES"]


@family(
    "revert-commit",
    4,
    train=(
        "Undo what the commit `$m` did in the git repository $r, by one new commit on main. Keep the history.",
        "Revert the commit `$m` of the repository $r: one commit more on main, everything before it stays.",
    ),
    test=("Add one commit to main of $r that takes back all that the commit `$m` brought.",),
)
def revert(draw: Draw) -> Case:
    past = world(draw)
    repo, name = past.repository, draw.file()
    again, place = Past(), draw.whole(2, len(past.commits) - 3)
    names: list[str] = []
    for number, (message, state) in enumerate(zip(past.messages, past.states, strict=True)):
        extra = {name: text(["wrong"])} if number >= place else {}
        held = past.states[place - 1] if number == place else state
        names.append(again.commit("main", message, {**held, **extra}, names[-1:]))
    wanted = [f"{tree_of(past.files)} {names[-1]}"]
    message = past.messages[place]
    find = f"$(git log --format='%H %s' | grep -F ' {message}' | cut -d' ' -f1)"
    return Case(
        params={"r": repo, "m": message},
        files={},
        setup=setup(repo),
        stdin=again.stream,
        goal=Goal(then=asked(repo, (at("main", "%T %P"),), lambda said: said == [wanted])),
        oracle=(f"cd {repo}", f"git revert --no-edit {find} > /dev/null"),
        wrong=(
            f"cd {repo}; git revert --no-edit HEAD",
            f"cd {repo}; git reset -q --hard {find}^",
            f"cd {repo}; git rm -q {name}",
            f"cd {repo}; git revert --no-edit {find}; git commit -q --amend --allow-empty -m x; git reset -q HEAD^",
        ),
    )


@family(
    "cherry-pick",
    4,
    train=(
        "In the git repository $r, take the one commit `$m` of the branch $b over to main, with its message. Do not "
        "merge the others.",
    ),
    test=("Of all that is on $b in the repository $r only the commit `$m` shall come to main, as its next commit.",),
)
def pick(draw: Draw) -> Case:
    past = world(draw)
    repo, branch = past.repository, draw.stem()
    added = {draw.file(): text(draw.lines(2)) for _ in range(4)}
    messages = [f"Draft {draw.stem()} {number}" for number in range(4)]
    state, parent = dict(past.states[2]), past.commits[2]
    for message, (name, content) in zip(messages, added.items(), strict=True):
        state = {**state, name: content}
        parent = past.past.commit(branch, message, state, [parent])
    place = draw.whole(0, 2)
    name = list(added)[place]
    wanted = [f"{tree_of({**past.files, name: added[name]})} {past.head} {messages[place]}"]
    find = f"$(git log {branch} --format='%H %s' | grep -F ' {messages[place]}' | cut -d' ' -f1)"
    return Case(
        params={"r": repo, "b": branch, "m": messages[place]},
        files={},
        setup=setup(repo),
        stdin=past.past.stream,
        goal=Goal(then=asked(repo, (at("main"),), lambda said: said == [wanted])),
        oracle=(f"cd {repo}", f"git cherry-pick {find} > /dev/null"),
        wrong=(
            f"cd {repo}; git merge -q {branch}",
            f"cd {repo}; git cherry-pick {branch}",
            f"cd {repo}; git commit -q --allow-empty -m '{messages[place]}'",
            f"cd {repo}; git reset -q --hard {find}",
        ),
    )


@family(
    "merge-conflict",
    4,
    5,
    train=(
        "Merge the branch $b into main in the git repository $r. Where both changed a line of $a, keep both lines, "
        "main's first.",
    ),
    test=(
        "Bring $b into main of $r by a merge. Where lines of $a clash, let main's stand, and that of $b right below.",
    ),
)
def conflict(draw: Draw) -> Case:
    past = world(draw)
    repo, branch, name, other = past.repository, draw.stem(), draw.file(), draw.file()
    base, one, two = (draw.lines(13) for _ in range(3))
    places = draw.shuffled(range(1, 12))[:1] if draw.level == 4 else [1, 11]
    ours = [one[at] if at in places else line for at, line in enumerate(base)]
    theirs = [two[at] if at in places else line for at, line in enumerate(base)]
    both = [each for at, line in enumerate(base) for each in ((one[at], two[at]) if at in places else (line,))]
    root = past.past.commit("main", "Begin", {**past.files, name: text(base)}, [past.head])
    left = past.past.commit("main", "Change here", {**past.files, name: text(ours)}, [root])
    extra = {other: text(draw.lines(2))}
    right = past.past.commit(branch, "Change there", {**past.files, name: text(theirs), **extra}, [root])
    wanted = [f"{tree_of({**past.files, name: text(both), **extra})} {left} {right}"]
    return Case(
        params={"r": repo, "b": branch, "a": name},
        files={},
        setup=setup(repo),
        stdin=past.past.stream,
        goal=Goal(then=asked(repo, (at("main", "%T %P"),), lambda said: said == [wanted])),
        oracle=(
            f"cd {repo}",
            f"git merge {branch}",
            f"cat {name}",
            f"sed -i -E '/^(<<<<<<<|=======|>>>>>>>)/d' {name}",
            f"git add {name}; git commit -qm 'Merge {branch}'",
        ),
        wrong=(
            f"cd {repo}; git merge -q -X ours {branch}",
            f"cd {repo}; git merge -q -X theirs {branch}",
            f"cd {repo}; git merge -q {branch}; git commit -qam 'Merge'",
            f"cd {repo}; git merge -q -s ours {branch}",
        ),
    )


@family(
    "rebase-branch",
    5,
    train=(
        "Rebase the branch $b of the git repository $r onto main: its $n commits follow the last one of main, with "
        "their messages. main itself stays where it is.",
    ),
    test=("In $r the $n commits of the branch $b shall come after all of main, one by one, and main shall not move.",),
)
def rebase(draw: Draw) -> Case:
    past = world(draw)
    repo, branch = past.repository, draw.stem()
    num = draw.whole(2, 4)
    added = {draw.file(): text(draw.lines(2)) for _ in range(num)}
    messages = [f"Draft {draw.stem()} {number}" for number in range(num)]
    state, parent = dict(past.states[3]), past.commits[3]
    after = dict(past.files)
    wanted: list[str] = []
    for message, (name, content) in zip(messages, added.items(), strict=True):
        state = {**state, name: content}
        after = {**after, name: content}
        parent = past.past.commit(branch, message, state, [parent])
        wanted.append(f"{tree_of(after)} {message}")

    def check(said: list[list[str]]) -> bool:
        lines = said[1]
        return said[0] == [past.head] and lines[:num] == wanted[::-1] and said[2] == [past.head]

    return Case(
        params={"r": repo, "b": branch, "n": num},
        files={},
        setup=setup(repo),
        stdin=past.past.stream,
        goal=Goal(
            then=asked(
                repo, (at("main", "%H"), at(branch, "%T %s", "-9"), f"git rev-parse refs/heads/{branch}~{num}"), check
            )
        ),
        oracle=(f"cd {repo}", f"git rebase -q main {branch}"),
        wrong=(
            f"cd {repo}; git checkout -q {branch}; git merge -q main",
            f"cd {repo}; git rebase -q {branch} main",
            f"cd {repo}; git merge -q {branch}",
            f"cd {repo}; git branch -f {branch} main",
        ),
    )


@family(
    "squash-commits",
    5,
    train=(
        "Make one commit of the last $n commits of main in the git repository $r, with the message `$m` and the same "
        "files.",
    ),
    test=("The $n newest commits on main of $r are to be one, which says `$m`. No file may change by that.",),
)
def squash(draw: Draw) -> Case:
    past = world(draw)
    repo, num = past.repository, draw.whole(2, 5)
    message = " ".join(["Write", *draw.words(2)])
    wanted = [f"{tree_of(past.files)} {past.commits[-num - 1]} {message}"]
    return Case(
        params={"r": repo, "n": num, "m": message},
        files={},
        setup=setup(repo),
        stdin=past.past.stream,
        goal=Goal(then=asked(repo, (at("main"),), lambda said: said == [wanted])),
        oracle=(f"cd {repo}", f"git reset -q --soft HEAD~{num}", f"git commit -qm '{message}'"),
        wrong=(
            f"cd {repo}; git reset -q --soft HEAD~{num - 1}; git commit -qm '{message}'",
            f"cd {repo}; git reset -q --hard HEAD~{num}; git commit -q --allow-empty -m '{message}'",
            f"cd {repo}; git commit -q --allow-empty -m '{message}'",
        ),
    )


@family(
    "move-commits",
    4,
    train=(
        "The last $n commits on main of the git repository $r were meant for a new branch $b. Let $b have them, and "
        "take main back to before them.",
    ),
    test=("main of $r is $n commits too far: these shall be on a new branch $b alone.",),
)
def move(draw: Draw) -> Case:
    past = world(draw)
    repo, branch, num = past.repository, draw.stem(), draw.whole(1, 4)
    wanted = [[past.head], [past.commits[-num - 1]]]
    return Case(
        params={"r": repo, "b": branch, "n": num},
        files={},
        setup=setup(repo),
        stdin=past.past.stream,
        goal=Goal(
            then=asked(
                repo,
                (f"git rev-parse refs/heads/{branch}", "git rev-parse refs/heads/main"),
                lambda said: said == wanted,
            )
        ),
        oracle=(f"cd {repo}", f"git branch {branch}", f"git reset -q --hard HEAD~{num}"),
        wrong=(
            f"cd {repo}; git branch {branch}",
            f"cd {repo}; git reset -q --hard HEAD~{num}; git branch {branch}",
            f"cd {repo}; git branch {branch}; git reset -q --hard HEAD~{num + 1}",
        ),
    )


@family(
    "bisect",
    5,
    train=(
        "`sh check.sh` in the git repository $r fails, but it passed at the first commit. Write the full hash of the "
        "commit that broke it to $to, and leave main as it is.",
    ),
    test=("With which commit did `sh check.sh` of $r begin to fail? Let $to hold its 40 digits. Keep main.",),
)
def bisect(draw: Draw) -> Case:
    repo, past, to = draw.folder(), Past(), draw.file()
    num, limit = draw.whole(30, 45), draw.whole(400, 600)
    bad = draw.whole(8, num - 6)
    check = f"total=$(awk '{{ s += $2 }} END {{ print s }}' *.dat)\n[ $total -le {limit} ]\n".encode()
    files = {draw.file("dat"): [f"{word} {draw.whole(1, 9)}" for word in draw.words(3)] for _ in range(4)}
    names: list[str] = []
    for number in range(num):
        name = draw.pick(list(files))
        total = sum(int(line.split()[1]) for lines in files.values() for line in lines)
        step = limit - total + draw.whole(3, 40) if number == bad else draw.whole(1, 5)
        if number:
            files[name] = [*files[name], f"{draw.words(1)[0]} {step}"]
        state = {each: text(lines) for each, lines in files.items()}
        names.append(past.commit("main", f"Add to {name}", {**state, "check.sh": check}, names[-1:]))
    return Case(
        params={"r": repo, "to": to},
        files={},
        setup=setup(repo),
        stdin=past.stream,
        goal=Goal(
            files={to: text([names[bad]])},
            then=asked(repo, ("git rev-parse refs/heads/main",), lambda said: said == [[names[-1]]]),
        ),
        oracle=(
            f"cd {repo}",
            "git bisect start HEAD $(git rev-list HEAD | tail -1) > /dev/null",
            f"git bisect run sh check.sh > /dev/null; git rev-parse refs/bisect/bad > ../{to}",
            "git bisect reset 2> /dev/null",
        ),
        wrong=(
            f"git -C {repo} rev-parse HEAD > {to}",
            f"git -C {repo} rev-list HEAD | tail -1 > {to}",
            f"git -C {repo} log -1 --format=%H -- check.sh > {to}",
            f"cd {repo}; echo true > check.sh; git rev-parse HEAD > ../{to}",
        ),
    )


FAMILIES = (revert, pick, conflict, rebase, squash, move, bisect)
