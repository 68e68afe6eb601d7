"""Levels 3 and 4: look through a git history, take something out of it, add to it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from agentrl.envs.shell.family import Case, Goal, Then, family
from agentrl.envs.shell.past import Past, setup, tree_of
from agentrl.envs.shell.remains import Remains
from agentrl.envs.shell.trial import Trial
from agentrl.envs.shell.words import Draw, text

__all__ = ["FAMILIES", "World", "asked", "at", "world"]


@dataclass(frozen=True, kw_only=True)
class World:
    """A repository with one branch."""

    repository: str
    past: Past
    commits: list[str]  # names, the first one first
    messages: list[str]
    states: list[dict[str, bytes]]  # the files at each commit

    @property
    def head(self) -> str:
        """The last commit."""
        return self.commits[-1]

    @property
    def files(self) -> dict[str, bytes]:
        """The files at the last commit."""
        return self.states[-1]


def world(draw: Draw, num: int = 0, *, names: int = 3) -> World:
    """Draw a repository in which each commit adds a line to one file."""
    repository, past = draw.folder(), Past()
    files = {draw.file(): draw.lines(2) for _ in range(names)}
    commits: list[str] = []
    messages: list[str] = []
    states: list[dict[str, bytes]] = []
    for number in range(num or 4 + 2 * draw.level):
        name = draw.pick(list(files))
        if number:
            files[name] = [*files[name], *draw.lines(1, 4)]
        messages.append(f"{draw.pick(['Add', 'Write', 'Note', 'Extend'])} {draw.stem()} {number}")
        states.append({each: text(lines) for each, lines in files.items()})
        commits.append(past.commit("main", messages[-1], states[-1], commits[-1:]))
    return World(repository=repository, past=past, commits=commits, messages=messages, states=states)


def asked(repository: str, commands: tuple[str, ...], check: Callable[[list[list[str]]], bool]) -> Then:
    """Return a judge that runs git commands over the agent's history, in a fresh box, and looks at their lines."""

    def then(remains: Remains, trial: Trial) -> bool:
        results = trial.git(remains, repository, commands)
        if results is None or not all(result.ok for result in results):
            return False
        return check([result.stdout.decode("utf-8", "replace").splitlines() for result in results])

    return then


def at(branch: str, form: str = "%T %P %s", more: str = "-1") -> str:
    """Return the command that tells tree, parents and subject of a branch's last commit, whatever else has its name."""
    return f"git log {more} --format='{form}' refs/heads/{branch} --"


@family(
    "commit-change",
    3,
    train=(
        "The file $a of the git repository $r has a change that is not committed. Commit it on main with the message "
        "`$m`.",
    ),
    test=("In the repository $r the work on $a is not recorded yet. Make it a commit of main that says `$m`.",),
)
def commit_change(draw: Draw) -> Case:
    past = world(draw)
    name, message = draw.pick(list(past.files)), " ".join(["Record", *draw.words(2)])
    line = draw.lines(1)[0]
    after = {**past.files, name: past.files[name] + text([line])}
    wanted = [f"{tree_of(after)} {past.head} {message}"]
    repo = past.repository
    return Case(
        params={"r": repo, "a": name, "m": message},
        files={},
        setup=setup(repo, f"echo '{line}' >> {name}"),
        stdin=past.past.stream,
        goal=Goal(
            files={f"{repo}/{name}": after[name]}, then=asked(repo, (at("main"),), lambda said: said == [wanted])
        ),
        oracle=(f"cd {repo}", f"git commit -qam '{message}'"),
        wrong=(
            f"cd {repo}; git commit -q --allow-empty -m '{message}'",
            f"cd {repo}; git commit -qa --amend -m '{message}'",
            f"cd {repo}; git checkout -q {name}; git commit -q --allow-empty -m '{message}'",
            f"cd {repo}; git add -A; git stash -q",
        ),
    )


@family(
    "find-commit",
    3,
    4,
    train=(
        "Which commit of the git repository $r added the word $word? Write its full hash to $to.",
        "Write the hash, all 40 digits, of the commit in $r that brought in the word $word to $to.",
    ),
    test=("The word $word came into the repository $r with one commit: let $to hold its 40 digits.",),
)
def find_commit(draw: Draw) -> Case:
    past = world(draw, 8 * (draw.level - 1))
    places = range(2, len(past.commits) - 1)
    place = draw.pick(places)
    added = next(
        line
        for name, content in past.states[place].items()
        for line in content.splitlines()
        if line not in past.states[place - 1][name].splitlines()
    )
    marked, word = Past(), f"{draw.stem()}{draw.stem()}"
    names: list[str] = []
    for number, (message, state) in enumerate(zip(past.messages, past.states, strict=True)):
        changed = (
            state if number < place else {k: v.replace(added, added + f" {word}".encode()) for k, v in state.items()}
        )
        names.append(marked.commit("main", message, changed, names[-1:]))
    to, repo = draw.file(), past.repository
    return Case(
        params={"r": repo, "word": word, "to": to},
        files={},
        setup=setup(repo),
        stdin=marked.stream,
        goal=Goal(files={to: text([names[place]])}),
        oracle=(f"git -C {repo} log -S {word} --format=%H > {to}",),
        wrong=(
            f"git -C {repo} rev-parse HEAD > {to}",
            f"git -C {repo} log --format=%H > {to}",
            f"git -C {repo} log -S {word} --format=%P > {to}",
            f"git -C {repo} log -S {word} --format=%h > {to}",
        ),
    )


@family(
    "restore-file",
    3,
    train=(
        "The file $a was deleted from the repository $r by a commit. Put it back in $r as it was before that.",
        "Bring the file $a of the git repository $r back: the last content it had before a commit removed it.",
    ),
    test=("A commit removed $a from the repository $r. The file shall be in $r again, with its last content.",),
)
def restore_file(draw: Draw) -> Case:
    past = world(draw)
    lost, repo = draw.file(), past.repository
    again = Past()
    names: list[str] = []
    versions = [text(draw.lines(2)), text(draw.lines(3))]
    for number, (message, state) in enumerate(zip(past.messages, past.states, strict=True)):
        extra = {lost: versions[number // 3]} if number < 6 else {}
        names.append(again.commit("main", message, {**state, **extra}, names[-1:]))
    return Case(
        params={"r": repo, "a": lost},
        files={},
        setup=setup(repo),
        stdin=again.stream,
        goal=Goal(
            files={f"{repo}/{lost}": versions[1], **{f"{repo}/{name}": each for name, each in past.files.items()}}
        ),
        oracle=(f"cd {repo}", f"git checkout -q $(git rev-list -1 HEAD -- {lost})^ -- {lost}"),
        wrong=(
            f"touch {repo}/{lost}",
            f"cd {repo}; git show $(git rev-list HEAD | tail -1):{lost} > {lost}",
            f"cd {repo}; git reset -q --hard $(git rev-list -1 HEAD -- {lost})^",
        ),
    )


@family(
    "discard-change",
    3,
    train=(
        "In the git repository $r, $a and $b have changes that are not committed. Throw away those of $a, keep $b's.",
    ),
    test=("Undo what was done to $a of the repository $r since the last commit, and leave $b with its changes.",),
)
def discard(draw: Draw) -> Case:
    past = world(draw)
    repo = past.repository
    one, two = draw.shuffled(list(past.files))[:2]
    line = draw.lines(1)[0]
    changed = past.files[two] + text([line])
    return Case(
        params={"r": repo, "a": one, "b": two},
        files={},
        setup=setup(repo, f"echo '{line}' >> {two}; sed -i '1s/$/ x/' {one}; git add {one}; echo y >> {one}"),
        stdin=past.past.stream,
        goal=Goal(
            files={f"{repo}/{one}": past.files[one], f"{repo}/{two}": changed},
            then=asked(repo, (at("main", "%H"),), lambda said: said == [[past.head]]),
        ),
        oracle=(f"cd {repo}", f"git checkout -q HEAD -- {one}"),
        wrong=(
            f"cd {repo}; git reset -q --hard",
            f"cd {repo}; git checkout -q -- {one}",
            f"cd {repo}; rm {one}",
            f"cd {repo}; git checkout -q HEAD -- {one}; git commit -qam x",
        ),
    )


@family(
    "tag-commit",
    3,
    train=("Put the tag $tag on the commit of the git repository $r whose message is `$m`.",),
    test=("In the repository $r the commit that says `$m` shall be known as $tag, by a tag.",),
)
def tag_commit(draw: Draw) -> Case:
    past = world(draw)
    repo, place = past.repository, draw.whole(1, len(past.commits) - 2)
    tag = f"v{draw.whole(1, 9)}.{draw.whole(0, 9)}"
    message = past.messages[place]
    find = f"$(git log --format='%H %s' | grep -F ' {message}' | cut -d' ' -f1)"
    return Case(
        params={"r": repo, "tag": tag, "m": message},
        files={},
        setup=setup(repo),
        stdin=past.past.stream,
        goal=Goal(
            then=asked(
                repo,
                (f"git rev-parse 'refs/tags/{tag}^{{commit}}'", "git rev-parse refs/heads/main"),
                lambda said: said == [[past.commits[place]], [past.head]],
            )
        ),
        oracle=(f"cd {repo}", f"git tag {tag} {find}"),
        wrong=(f"cd {repo}; git tag {tag}", f"cd {repo}; git branch {tag} {find}", f"echo {find} > {repo}/{tag}"),
    )


@family(
    "recover-branch",
    4,
    5,
    train=(
        "A branch of the git repository $r was deleted. Its last commit says `$m`. Make the branch $b there again.",
        "Recover the deleted branch $b of the repository $r: it ended with the commit `$m`.",
    ),
    test=("Nothing leads to the commit `$m` of $r any more. Let there be a branch $b that ends with it.",),
)
def recover(draw: Draw) -> Case:
    past = world(draw)
    repo, branch, name = past.repository, draw.stem(), draw.file()
    tips: list[str] = []
    messages: list[str] = []
    for number in range(draw.level - 2):
        parent = past.commits[1 + number]
        for part in range(2):
            message = f"Draft {draw.stem()} {number}{part}"
            state = {**past.states[1 + number], name: text(draw.lines(2 + part))}
            parent = past.past.commit(f"lost{number}", message, state, [parent])
        tips.append(parent)
        messages.append(message)
    place = draw.whole(0, len(tips) - 1)
    dangling = "git fsck --no-reflogs --no-progress 2>/dev/null | awk '/dangling commit/ { print $3 }'"
    told = f"for c in $({dangling}); do git log -1 --format='%H %s' $c; done"
    find = f"{told} | grep -F ' {messages[place]}' | cut -d' ' -f1"
    return Case(
        params={"r": repo, "b": branch, "m": messages[place]},
        files={},
        setup=setup(repo, f"git branch -q -D {' '.join(f'lost{number}' for number in range(len(tips)))}"),
        stdin=past.past.stream,
        goal=Goal(
            then=asked(
                repo,
                (f"git rev-parse refs/heads/{branch}", "git rev-parse refs/heads/main"),
                lambda said: said == [[tips[place]], [past.head]],
            )
        ),
        oracle=(f"cd {repo}", f"git branch {branch} $({find})"),
        wrong=(
            f"cd {repo}; git branch {branch}",
            f"cd {repo}; git branch {branch} $({find})^",
            f"cd {repo}; git checkout -qb {branch}; git commit -q --allow-empty -m '{messages[place]}'",
        ),
    )


FAMILIES = (commit_change, find_commit, restore_file, discard, tag_commit, recover)
