"""Generated tasks: the seed decides them, bugs are all caught, and nothing tells more than it should."""

from __future__ import annotations

import re

import pytest

from agentrl.envs.errors import UsageError
from agentrl.envs.repo.copying import is_test
from agentrl.envs.repo.history import PEOPLE
from agentrl.envs.repo.loading import Loaded
from agentrl.envs.repo.policies import edits
from agentrl.envs.repo.tasks import NUM_FAILING, NUM_KEPT, Task, generate
from agentrl.sandboxes.grader import canonical

SEEDS = range(4)


def loaded(task: Task, *, fixed: bool) -> Loaded:
    files = {**task.files, **task.fixes} if fixed else task.files
    prefix = f"{task.root}/" if task.root else ""
    sources = {
        path.removeprefix(prefix).removesuffix(".py").removesuffix("/__init__").replace("/", "."): text
        for path, text in files.items()
        if path.endswith(".py") and not is_test(path)
    }
    return Loaded(sources)


@pytest.mark.parametrize("level", range(1, 6))
@pytest.mark.parametrize("split", ["train", "test"])
def test_hidden_uses_tell_the_broken_sources_from_the_right_ones(split: str, level: int) -> None:
    for seed in SEEDS:
        task = generate(seed, split, level)
        broken, right = loaded(task, fixed=False), loaded(task, fixed=True)
        assert len(task.failing) >= NUM_FAILING * len(task.bugs)
        assert len(task.kept) >= NUM_KEPT
        for check in task.failing:
            assert broken.outcome(check.steps) != check.expected
        for check in (*task.failing, *task.kept):
            assert canonical(right.outcome(check.steps)) == canonical(check.expected)
        for check in task.kept:
            assert canonical(broken.outcome(check.steps)) == canonical(check.expected)


def test_each_of_two_bugs_is_caught_by_itself() -> None:
    for seed in SEEDS:
        task = generate(seed, "train", 5)
        assert len(task.bugs) == 2
        changes = [each for path, text in task.fixes.items() for each in edits(path, task.files[path], text)]
        assert len(changes) >= 2
        for left_out in range(len(changes)):
            files = dict(task.files)
            for at, (path, old, new) in enumerate(changes):
                if at != left_out and files[path].count(old) == 1:
                    files[path] = files[path].replace(old, new)
            half = Task(**{**vars(task), "files": files})
            wrong = [c for c in task.failing if loaded(half, fixed=False).outcome(c.steps) != c.expected]
            assert wrong, "half a repair passes"


def test_the_same_seed_gives_the_same_task_and_another_one_another() -> None:
    for level in range(1, 6):
        assert generate(5, "train", level) == generate(5, "train", level) != generate(6, "train", level)


def test_levels_differ_in_what_has_to_be_done() -> None:
    for seed in SEEDS:
        one, two, three, four, five = (generate(seed, "train", level) for level in range(1, 6))
        assert len(one.modules) == 1
        assert f"`{one.failing[0].steps[0][0].partition(':')[2]}`" in one.issue
        assert len(two.modules) == len(three.modules) == 3
        assert one.issue.count(">>>") >= 2
        for task in (three, four, five):
            assert re.search("tests do not cover this|none of them looks at this", task.issue)
        assert next(iter(four.fixes)) != four.modules[-1], "the cause is below what is called"
        num_lines = [
            sum(t.count("\n") for p, t in task.files.items() if p.endswith(".py")) for task in (one, two, five)
        ]
        assert num_lines[0] < 70 < num_lines[1] < num_lines[2]
        assert num_lines[2] > 300


def test_hidden_uses_are_not_shown() -> None:
    for level in (1, 2, 3):
        for seed in SEEDS:
            task = generate(seed, "train", level)
            shown = " ".join(text for path, text in task.files.items() if is_test(path)) + task.issue
            for check in task.failing:
                if len(check.steps) == 1:
                    arguments = ", ".join(map(repr, check.steps[0][1]))
                    assert f"({arguments})" not in shown


def test_the_issue_does_not_say_where_the_cause_is() -> None:
    for seed in SEEDS:
        for level in (3, 4):
            task = generate(seed, "train", level)
            path = next(iter(task.fixes))
            assert path not in task.issue
            assert path == task.modules[-1] or path.rpartition("/")[2].removesuffix(".py") + "." not in task.issue


def test_no_commit_holds_a_line_of_the_repair() -> None:
    for level in (1, 3, 5):
        for seed in SEEDS:
            task = generate(seed, "train", level)
            ever = {(path, text) for commit in task.commits for path, text in commit.files.items()}
            for path, text in task.fixes.items():
                assert (path, text) not in ever
                added = set(text.splitlines()) - set(task.files[path].splitlines())
                held = [line for p, each in ever if p == path for line in each.splitlines() if line in added]
                assert not held
            last: dict[str, str] = {}
            for commit in task.commits:
                last.update(commit.files)
            assert last == dict(task.files)
            assert len({commit.author for commit in task.commits}) >= 1
            assert len(task.commits) >= 3


def test_splits_share_no_people_and_no_names() -> None:
    seen = {"train": set[str](), "test": set[str]()}
    for split, names in seen.items():
        for seed in range(12):
            task = generate(seed, split, 4)
            names |= {commit.author for commit in task.commits} | {task.kind, task.files["README.md"].split("\n")[0]}
    assert not seen["train"] & seen["test"]
    assert seen["train"] & {name.strip() for name in PEOPLE}


def test_a_kind_that_is_not_there_is_refused() -> None:
    with pytest.raises(UsageError, match="kind='coin' does not exist; did you mean 'coins'"):
        generate(0, "train", 1, kind="coin")
    with pytest.raises(UsageError, match=r"kind='coins' is of split 'train' and levels \[1\]; not of 'train', 3"):
        generate(0, "train", 3, kind="coins")
    with pytest.raises(UsageError, match=r"kind=\['coins'\] does not exist"):
        generate(0, "train", 1, kind=["coins"])  # type: ignore[arg-type]


def test_edits_make_one_text_of_another() -> None:
    before = "a = 1\nb = 2\na = 1\nc = 3\n"
    for after in ("a = 1\nb = 2\na = 9\nc = 3\n", "a = 1\nb = 2\nc = 3\n", "x\na = 1\nb = 2\na = 1\nc = 3\ny\n", "z\n"):
        text = before
        for _, old, new in edits("f.py", before, after):
            assert text.count(old) == 1
            text = text.replace(old, new)
        assert text == after
