"""Shell-v0 as a policy meets it: the tool, the judge, attacks on it, snapshots, and that every family is as it says."""

from __future__ import annotations

import os
import pickle
from collections.abc import Collection, Iterator, Sequence
from string import Template
from typing import Any

import pytest

from agentrl.envs.errors import UsageError
from agentrl.envs.protocol import Policy
from agentrl.envs.scripted import call
from agentrl.envs.shell import ShellEnv
from agentrl.envs.shell.catalogue import FAMILIES
from agentrl.envs.shell.jobs import GeneratedJob
from agentrl.envs.shell.policies import SPOILED, TRICKS, spoil, typed
from agentrl.envs.shell.remains import Remains
from agentrl.envs.shell.tasks import Task, generate
from agentrl.envs.shell.words import Draw

BACKENDS = [pytest.param("docker", marks=pytest.mark.docker), pytest.param("bwrap", marks=pytest.mark.bwrap)]
STRIDE = int(os.environ.get("AGENTRL_STRIDE", "1"))
NAMES = list(FAMILIES)[::STRIDE]
FIRST = list({family.make.__module__: name for name, family in reversed(list(FAMILIES.items()))}.values())
"""A family of each module of the catalogue."""


def mostly_bwrap(name: str, cases: Sequence[Any], docker: Collection[Any]) -> pytest.MarkDecorator:
    """Play all cases in bubblewrap, and a few in Docker: what is judged on the host is the same for both."""
    marks = {"docker": pytest.mark.docker, "bwrap": pytest.mark.bwrap}
    played = [("docker", case) for case in docker] + [("bwrap", case) for case in cases]
    params = [pytest.param(backend, case, marks=marks[backend]) for backend, case in played]
    return pytest.mark.parametrize(("env", name), params, indirect=["env"])


@pytest.fixture(scope="module", params=BACKENDS)
def env(request: pytest.FixtureRequest) -> Iterator[ShellEnv]:
    made = ShellEnv(backend=request.param, max_turns=40)
    yield made
    made.close()


def begin(env: ShellEnv, seed: int, *, family: str, split: str = "train") -> Task:
    """Begin an episode of a family: the task that the environment would draw where there is no other family."""
    level = FAMILIES[family].levels[0]
    task = generate(seed, split, level, family=family)
    env.reset(seed=seed)
    env._release()
    env._drawn = (seed, split, level)
    env._made = (env._drawn, task)
    env._begin()
    env._done = False
    return task


def run(env: ShellEnv, command: str) -> str:
    """Run a command as a policy does; return what it is told."""
    observation, reward, terminated, truncated, info = env.step(call("bash", command=command))
    assert (reward, terminated, truncated) == (0.0, False, False)
    assert [each["role"] for each in info["replies"]] == ["tool"]
    return observation


def played(env: ShellEnv, policy: Policy) -> float:
    observation, info = "", dict[str, Any]()
    while True:
        observation, reward, terminated, truncated, info = env.step(policy(observation, info))
        assert "failure" not in info, info
        if terminated or truncated:
            return float(reward)


def earns(env: ShellEnv, seed: int, family: str, commands: Sequence[str] | None, split: str = "train") -> float:
    task = begin(env, seed, family=family, split=split)
    return played(env, typed(task.oracle if commands is None else commands))


@pytest.mark.slow
@mostly_bwrap("family", NAMES, FIRST)
def test_the_oracle_is_paid_and_what_looks_right_and_is_not_earns_nothing(env: ShellEnv, family: str) -> None:
    seed, split, other = (21, "test", "train") if env.backend == "docker" else (20, "train", "test")
    assert earns(env, seed, family, None, split) == 1.0
    assert earns(env, seed, family, None, other) == 1.0
    if family.startswith("service") and env.backend == "docker":
        return  # its judge waits for a service that does not come: once is enough
    for wrong in ("true", *begin(env, seed, family=family, split=split).wrong):
        assert earns(env, seed, family, [wrong], split) == 0.0, wrong


@mostly_bwrap("harm", list(SPOILED), ["a link to the result", "a pipe in its place", "nobody may read it"])
def test_a_result_that_cannot_be_read_or_is_more_earns_nothing(env: ShellEnv, harm: str) -> None:
    for family in ("sort-into", "count-lines"):
        assert earns(env, 5, family, spoil(begin(env, 5, family=family), harm)) == 0.0


@mostly_bwrap("trick", list(TRICKS), ["a library before all others", "programs of its own"])
def test_what_would_sway_a_trusting_judge_neither_pays_nor_harms(env: ShellEnv, trick: str) -> None:
    for family in ("tag-commit", "copy"):
        task = begin(env, 6, family=family)
        if trick in ("a library before all others", "programs of its own"):  # the session is its own to break
            assert played(env, typed([*task.oracle, "cd /work", *TRICKS[trick]])) == 1.0
        assert earns(env, 6, family, TRICKS[trick]) == 0.0


def test_a_judge_of_git_believes_objects_and_references_only(env: ShellEnv) -> None:
    task = begin(env, 3, family="tag-commit")
    (repo,) = [each.split()[1] for each in task.oracle if each.startswith("cd ")]
    hostile = (
        f"cd /work/{repo}; git config core.hooksPath /work; git config core.fsmonitor 'touch /work/ran'; "
        "git config filter.x.smudge 'touch /work/ran'; git config alias.log '!echo hi'; "
        "printf '[core]\\n\\tbare = true\\n' >> .git/config"
    )
    assert played(env, typed([*task.oracle, hostile])) == 1.0
    for harm in (
        "mv .git /tmp/g && ln -s /tmp/g .git",
        "mv .git/objects /tmp/o && ln -s /tmp/o .git/objects",
        "echo 'ref: refs/heads/../../../../etc/passwd' > .git/HEAD",
        "rm -rf .git/objects/pack/*.pack",
        "for t in .git/refs/tags/*; do echo $(git rev-parse main) > $t; done",
        "echo /tmp/o > .git/objects/info/alternates; mv .git/objects/pack /tmp/o",
        "chmod 000 .git/refs",
    ):
        begin(env, 3, family="tag-commit")
        assert played(env, typed([*task.oracle, harm])) == 0.0, harm


FOUND = "$(git log --all --format='%H %s' | grep -F ' @m' | cut -d' ' -f1)"
RIGHT = (
    ("write-checksums", "sha256sum --tag @top/* > @to"),
    ("write-checksums", "sha256sum -b /work/@top/* > @to"),
    ("write-checksums", "cd @top; find . -type f -exec sha256sum {} + | sed 's:\\./:./@top/:' > ../@to"),
    ("hard-links", "rm @b; ln @a @b; ln @b @c; ln @c one-more"),
    ("mirror", "rm -r @b; mkdir @b; tar -C @a -c . | tar -C @b -x"),
    ("gather-by-ending", "mkdir -p @to; mv $(find . -name '*.log') @to"),
    ("tag-commit", f"cd @r; git checkout -qb my+work; git tag -am x @tag {FOUND}; git gc -q; git pack-refs --all"),
    ("revert-commit", f"cd @r; git show -R {FOUND} | git apply --index; git commit -qm x; : > .git/refs/heads/x.lock"),
    ("squash-commits", "cd @r; git update-ref refs/heads/main $(git commit-tree 'HEAD^{tree}' -p HEAD~@n -m '@m')"),
    ("move-commits", "cd @r; git checkout -qb @b; git branch -f main main~@n"),
    ("cherry-pick", f"cd @r; git format-patch -1 --stdout {FOUND} | git am -q"),
)
WRONG = (
    ("move-commits", "cd @r; git branch @b; git tag main main~@n"),
    (
        "squash-commits",
        "cd @r; git replace main $(git commit-tree 'HEAD^{tree}' -p HEAD~@n -m '@m'); git pack-refs --all; "
        "echo $(git rev-parse main) > /tmp/m; ls .git/refs/replace; cat .git/packed-refs",
    ),
    ("hard-links", "for n in @a @b @c; do cp @a $n; ln $n $n.1; ln $n $n.2; done"),
    ("mirror", "rm -r @b; cp -r @a @b; cp -r @a @b"),
    ("gather-by-ending", "mkdir @to; cp $(find @top -type f) @to; rm $(find @top -name '*.log')"),
    ("static-library", "cd @top; U=$(ls *.c | grep -v main); gcc -c $U; cp ${U%.c}.o @lib; gcc -o @p *.c"),
    ("static-library", 'cd @top; U=$(ls *.c | grep -v main); gcc -c $U; echo "INPUT(${U%.c}.o)" > @lib; gcc -o @p *.c'),
    ("static-library", "cd @top; gcc -c *.c; ar rc @lib *.o; gcc -o @p *.c"),
    ("script-check", "echo 'case $1 in *good|*one) exit 0;; *) exit 1;; esac' > @top/@s"),
    (
        "service-settings",
        "cd @top; cat > start.sh <<'END'\ncat > /work/json.py <<'MODULE'\nimport glob, os, sys\n"
        "read = lambda name: open(glob.glob(f'/work/@top/*/{name}')[0]).read().strip()\n"
        "names = [url.rpartition('/')[2] for url in sys.argv[1:]]\n"
        "said = ['ok', read(names[1]), read(names[2]), '404']\n"
        "print(str(said).replace(chr(39), chr(34)), flush=True)\nos._exit(0)\nMODULE\nsleep 20\nEND",
    ),
)


class Filled(Template):
    delimiter = "@"


@mostly_bwrap("way", [*RIGHT, *WRONG], [RIGHT[0], RIGHT[6], WRONG[2]])
def test_a_way_counts_by_what_it_leaves(env: ShellEnv, way: tuple[str, str]) -> None:
    family, command = way
    for seed, split in ((2, "test"), (7, "train")):
        task = begin(env, seed, family=family, split=split)
        case = FAMILIES[family].make(Draw(seed, split, FAMILIES[family].levels[0]))
        said = Filled(command).safe_substitute({name: str(value) for name, value in case.params.items()})
        assert played(env, typed([said])) == float(way in RIGHT), (task.question, said)


def test_what_is_left_running_changes_nothing_any_more(env: ShellEnv) -> None:
    task = begin(env, 4, family="sort-into")
    path = next(iter(task.goal.files))
    daemon = f"setsid sh -c 'while :; do echo changed > {path}; sleep 0.01; done' > /dev/null 2>&1 &"
    assert played(env, typed([f"{daemon} sleep 0.2", *task.oracle])) == 1.0
    task = begin(env, 4, family="sort-into")
    assert played(env, typed([f"(sleep 0.3; {task.oracle[0]}) & exit"])) == 0.0


def test_a_file_is_gone_only_where_that_can_be_seen(env: ShellEnv) -> None:
    begin(env, 1, family="make-file")
    run(env, "for d in real hidden named moved; do mkdir $d; touch $d/x; done; touch file")
    run(env, "chmod 000 hidden; chmod 644 named; mv moved other; ln -s other moved")
    remains = Remains(env.box)
    gone = {path: remains.is_gone(path) for path in ("real/x", "real/y", "real/y/z", "file/x", "none", "none/x/y")}
    assert gone == {"real/x": False, "real/y": True, "real/y/z": True, "file/x": True, "none": True, "none/x/y": True}
    assert not any(map(remains.is_gone, ("hidden/x", "hidden/d/x", "named/x", "moved/x")))


def test_files_that_were_not_to_be_touched_are_looked_at(env: ShellEnv) -> None:
    for harm in ("echo more >> {}", "rm {}", "chmod 000 {}", "mv {0} x; ln -s x {0}", "tr a-z A-Z < {0} > x; mv x {0}"):
        task = begin(env, 8, family="sort-into")
        (first,) = task.files
        assert played(env, typed([*task.oracle, harm.format(first)])) == 0.0, harm


def test_the_session_lasts_and_its_end_is_told(env: ShellEnv, monkeypatch: pytest.MonkeyPatch) -> None:
    begin(env, 1, family="copy")
    assert run(env, "mkdir -p a/b; cd a/b; export X=5") == "(no output)"
    assert run(env, "pwd; echo $X; exit 3") == "/work/a/b\n5\n[exit status 3]"
    assert len(run(env, "seq 100000")) <= env.max_reply_chars
    monkeypatch.setattr(GeneratedJob, "command_s", 2.0)
    assert "did not end in time" in run(env, "sleep 60")
    monkeypatch.undo()
    assert "a command cannot hold a NUL" in run(env, "echo \0")


def test_a_box_that_ran_out_of_memory_begins_anew_with_all_that_the_task_needs(env: ShellEnv) -> None:
    task = begin(env, 2, family="tag-commit")
    repo = task.oracle[0].removeprefix("cd ")
    assert "needed more memory" in run(env, "python3 -c 'bytearray(10**10)' || tail /dev/zero")
    assert run(env, f"git -C {repo} log --format=%s | wc -l").strip().isdigit()
    assert played(env, typed(task.oracle)) == 1.0


def test_a_snapshot_takes_session_files_and_history_along(env: ShellEnv) -> None:
    env.reset(seed=3, options={"level": 4})
    task = begin(env, 3, family="tag-commit")
    run(env, task.oracle[0])
    packed = pickle.dumps(env.snapshot())
    run(env, "rm -rf .git; cd /; X=1")
    other = ShellEnv(backend=env.backend, max_turns=40)
    for each in (env, other):
        each.restore(pickle.loads(packed))
        # The state tells how the task was drawn, and this one was drawn for its family.
        assert each._drawn == (3, "train", 3)
        assert run(each, "pwd").startswith("/work/")
        assert run(each, "git status --short | wc -l") == "0"
    other.close()


@pytest.mark.parametrize("family", ["older-files", "hard-links", "mend-links", "tighten"])
def test_a_task_can_be_solved_after_a_snapshot(env: ShellEnv, family: str) -> None:
    task = begin(env, 3, family=family)
    run(env, 'mkdir -p "it\'s" $\'odd\\n\\xff\'; touch -d 2001-02-03 "it\'s/x y"; ln "it\'s/x y" "it\'s/z"')
    run(env, task.oracle[0])
    before = run(env, "ls -lR --full-time; stat -c '%h %n' it*/*")
    packed = pickle.dumps(env.snapshot())
    run(env, "rm -rf /work/*")
    env.restore(pickle.loads(packed))
    assert run(env, "ls -lR --full-time; stat -c '%h %n' it*/*") == before
    assert played(env, typed(task.oracle[1:])) == 1.0


def test_commands_are_counted_for_the_component(env: ShellEnv) -> None:
    task = begin(env, 1, family="copy")
    run(env, "ls")
    run(env, task.oracle[0])
    *_, info = env.step("<answer>done</answer>")
    assert info["rewards"] == {"exact_match": 1.0, "few_commands": 0.5, "score": 1.0}
    assert info["success"] is True


def test_the_test_split_may_be_asked_in_the_wordings_of_training(env: ShellEnv) -> None:
    shared = ShellEnv(backend=env.backend, split="test", shared_wordings=True)
    asked = shared.reset(seed=5)[0]
    assert asked != env.reset(seed=5, options={"split": "test"})[0]
    assert shared._current().oracle == env._current().oracle
    assert played(shared, shared.oracle()) == 1.0
    shared.close()


def test_code_never_runs_here() -> None:
    with pytest.raises(UsageError, match="docker"):
        ShellEnv(backend="local")
