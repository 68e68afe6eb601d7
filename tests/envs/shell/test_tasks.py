"""What a generated task is: decided by its seed, of one split, not done at the beginning, its history as foretold."""

from __future__ import annotations

import pickle
import re
import subprocess
from collections import Counter
from pathlib import Path

import pytest

from agentrl.envs.shell.catalogue import FAMILIES
from agentrl.envs.shell.family import leads, same
from agentrl.envs.shell.past import Past, setup, tree_of
from agentrl.envs.shell.tasks import Task, generate
from agentrl.envs.shell.words import POOLS, Draw

WORD = re.compile(r"[a-z]{3,}")


def test_there_are_families_enough_on_every_level() -> None:
    assert len(FAMILIES) >= 60
    assert all(sum(level in family.levels for family in FAMILIES.values()) >= 10 for level in range(1, 6))


@pytest.mark.parametrize("family", FAMILIES)
def test_a_seed_decides_all_of_a_task(family: str) -> None:
    chosen = FAMILIES[family]
    for level in chosen.levels:
        for split in ("train", "test"):
            one, two = (generate(7, split, level, family=chosen.name) for _ in range(2))
            parts = [
                (each.id, each.question, dict(each.files), each.setup, each.stdin, each.oracle) for each in (one, two)
            ]
            assert pickle.dumps(parts[0]) == pickle.dumps(parts[1])
            ids = {generate(seed, split, level, family=chosen.name).id for seed in range(12)}
            assert len(ids) >= 7
            assert one.oracle
            assert len(one.wrong) >= 2
            assert len(one.question) < 420


def test_train_and_test_share_no_word_of_their_worlds_and_no_wording() -> None:
    seen: dict[str, set[str]] = {"train": set(), "test": set()}
    ids: dict[str, set[str]] = {"train": set(), "test": set()}
    known = {word for words in POOLS.values() for word in words}
    for split, words in seen.items():
        for level in range(1, 6):
            for seed in range(60):
                task = generate(seed, split, level)
                ids[split].add(task.id)
                names = " ".join(task.files)
                words.update(known.intersection(WORD.findall(names.lower())))
    assert min(map(len, seen.values())) > 60
    shared = seen["train"] & seen["test"]
    assert not shared
    assert not ids["train"] & ids["test"]
    assert all(not set(family.train) & set(family.test) for family in FAMILIES.values())


def test_shared_wordings_are_those_of_training_and_all_words_are_of_the_split() -> None:
    for seed in range(40):
        own, shared = (generate(seed, "test", 1, shared_wordings=each) for each in (False, True))
        assert own.question != shared.question
        assert (own.family, own.files, own.oracle) == (shared.family, shared.files, shared.oracle)
        asked = [re.sub(r"\\\$[a-z]+", r"\\S+", re.escape(each)) for each in FAMILIES[own.family].train]
        assert any(re.fullmatch(each, shared.question) for each in asked), shared.question
        assert generate(seed, "train", 1).id == generate(seed, "train", 1, shared_wordings=True).id


def test_what_is_asked_for_is_not_there_at_the_beginning() -> None:
    for family in FAMILIES.values():
        for seed in range(10):
            task = generate(seed, "train", family.levels[-1], family=family.name)
            goal = task.goal
            done = [same(task.files.get(path), content) for path, content in goal.files.items()]
            done += [path in task.files and check(task.files[path]) for path, check in goal.checks.items()]
            done += [path not in task.files for path in goal.gone]
            assert not done or not all(done) or goal.then or goal.folders, task.id


def test_what_is_ranked_has_no_two_alike() -> None:
    for family in ("disk-use", "bytes-by-path", "top-callers", "most-frequent", "count-by-ending"):
        for level in FAMILIES[family].levels:
            for seed in range(150):
                for split in ("train", "test"):
                    sizes = counted(generate(seed, split, level, family=family))
                    assert len(set(sizes)) == len(sizes), (family, level, seed, split)


def counted(task: Task) -> list[int]:
    """Return the numbers by which a task of a ranking family has things ranked."""
    sums: Counter[str] = Counter()
    if task.family == "disk-use":
        for path, content in task.files.items():
            if path.count("/") > 1:
                sums[path.split("/")[1]] += len(content)
        return list(sums.values())
    if task.family == "count-by-ending":
        return list(Counter(path.rpartition(".")[2] for path in task.files).values())
    (content,) = task.files.values()
    for line in content.decode().splitlines():
        words = line.split()
        if task.family != "bytes-by-path":
            sums[words[0]] += 1
        elif words[8] == "200":
            sums[words[6]] += int(words[9])
    return list(sums.values())


def test_nothing_expected_is_among_the_first_files_by_name() -> None:
    for seed in range(100):
        task = generate(seed, "train", 1 + seed % 5)
        text = " ".join([task.question, *task.files, task.setup]).lower()
        assert not any(word in text for word in ("expected", "hidden", "oracle", "grading"))


def test_families_are_drawn_alike() -> None:
    for level in range(1, 6):
        there = [name for name, family in FAMILIES.items() if level in family.levels]
        counts = Counter(generate(seed, "train", level).family for seed in range(len(there) * 20))
        assert set(counts) == set(there)
        assert max(counts.values()) < 45


def test_a_history_has_the_names_that_were_foretold(tmp_path: Path) -> None:
    past = Past()
    one = past.commit("main", "First", {"b.txt": b"1\n", "a.txt": b"2\n"})
    two = past.commit("other", "Second", {"a.txt": b"3\n"}, [one])
    three = past.commit("main", "Merge", {"a.txt": b"4\n", "c": b""}, [one, two])
    subprocess.run(["sh", "-ec", setup("r", "")], input=past.stream, cwd=tmp_path, check=True)
    told = subprocess.run(
        ["git", "-C", str(tmp_path / "r"), "rev-parse", "main", "other", "main^1", "main^2", "main^{tree}"],
        capture_output=True,
        text=True,
        check=True,
    ).stdout.split()
    assert told == [three, two, one, two, tree_of({"a.txt": b"4\n", "c": b""})]


def test_where_a_link_leads() -> None:
    assert leads("a/b", "../c") == "c"
    assert leads("a/b", "c//./d") == "a/c/d"
    assert leads("a", "../etc/passwd") is None
    assert leads("a", "/work/x/../y") == "y"
    assert leads("a", "/tmp/x") is None
    assert leads("a", None) is None


def test_words_are_halves() -> None:
    for kind in POOLS:
        train, test = (set(Draw(0, split, 1).some(kind, 10_000)) for split in ("train", "test"))
        assert not train & test
        assert train | test == set(POOLS[kind])
        assert len(train) >= 15
        assert len(test) >= 15
