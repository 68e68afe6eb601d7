"""Problems of the user's own: the layout of GSM8K, splits, and errors that name file, line and field."""

import json
from collections.abc import Mapping
from fractions import Fraction
from pathlib import Path
from typing import Any

import pytest

from agentrl.envs.errors import DataError, UsageError
from agentrl.envs.math.data import load
from agentrl.envs.math.env import MathEnv

# In the layout of https://github.com/openai/grade-school-math
GSM8K = {
    "question": "Lena sells 48 clips in April, and half as many in May. How many clips does she sell altogether?",
    "answer": "In May she sells 48/2 = <<48/2=24>>24 clips.\nThat is 48+24 = <<48+24=72>>72 clips.\n#### 72",
}


def write(path: Path, *rows: Mapping[str, Any] | str) -> Path:
    """Write rows as JSON lines."""
    path.write_text(
        "".join((row if isinstance(row, str) else json.dumps(row)) + "\n" for row in rows), encoding="utf-8"
    )
    return path


def numbered(num: int, **fields: Any) -> list[dict[str, Any]]:
    return [{"question": f"What is {each} + {each}?", "answer": f"#### {2 * each}", **fields} for each in range(num)]


def test_a_row_in_the_layout_of_gsm8k(tmp_path: Path) -> None:
    (task,) = load({"train": write(tmp_path / "own.jsonl", GSM8K)})["train", 1]
    assert task.question == GSM8K["question"]
    assert task.answer == 72
    assert task.steps == ("In May she sells 48/2 = 24 clips.", "That is 48+24 = 72 clips.")
    assert task.id == "own-1"


@pytest.mark.parametrize(
    ("answer", "value"),
    [
        ("#### 72", "72"),
        ("####72", "72"),
        ("x #### 1 #### 1,234.50", "2469/2"),
        ("#### -3/4", "-3/4"),
        ("#### $5", "5"),
        ("72", "72"),
    ],
)
def test_answers(tmp_path: Path, answer: str, value: str) -> None:
    (task,) = load({"test": write(tmp_path / "own.jsonl", {**GSM8K, "answer": answer})})["test", 1]
    assert task.answer == Fraction(value)


def test_a_tenth_of_one_file_is_the_test_split(tmp_path: Path) -> None:
    tasks = load(write(tmp_path / "own.jsonl", *numbered(2000)))
    assert set(tasks) == {("train", 1), ("test", 1)}
    assert 130 < len(tasks["test", 1]) < 270
    assert len(tasks["train", 1]) + len(tasks["test", 1]) == 2000
    again = load(write(tmp_path / "moved.jsonl", *reversed(numbered(2000))))
    assert {task.question for task in again["test", 1]} == {task.question for task in tasks["test", 1]}


def test_rows_choose_split_and_level(tmp_path: Path) -> None:
    rows = [*numbered(3, split="test", level=4), {**GSM8K, "split": "train"}]
    tasks = load(write(tmp_path / "own.jsonl", *rows))
    assert {key: len(each) for key, each in tasks.items()} == {("test", 4): 3, ("train", 1): 1}


@pytest.mark.parametrize(
    ("row", "words"),
    [
        ("{oops", ["not valid JSON"]),
        ("[1]", ["expected a JSON object"]),
        ({"answer": "#### 1"}, ["field 'question'", "the row has 'answer'"]),
        ({**GSM8K, "question": "  "}, ["field 'question'", "not empty"]),
        ({**GSM8K, "question": 3}, ["field 'question'", "got 3"]),
        ({"question": "How many?"}, ["field 'answer'", "the row has 'question'"]),
        ({**GSM8K, "answer": 72}, ["field 'answer'", "got 72"]),
        ({**GSM8K, "answer": "It is many."}, ["field 'answer'", "as in '#### 42'", "got 'It is many.'"]),
        ({**GSM8K, "answer": "#### 3 or 4"}, ["field 'answer'", "3 or 4"]),
        ({**GSM8K, "answer": "#### 1e999999999"}, ["field 'answer'"]),
        ({**GSM8K, "split": "dev"}, ["field 'split'", "'train' or 'test'", "got 'dev'"]),
        ({**GSM8K, "level": 6}, ["field 'level'", "from 1 to 5", "got 6"]),
        ({**GSM8K, "level": True}, ["field 'level'", "got True"]),
    ],
)
def test_a_bad_row_is_named(tmp_path: Path, row: Mapping[str, Any] | str, words: list[str]) -> None:
    path = write(tmp_path / "own.jsonl", *numbered(2), "", row)
    with pytest.raises(DataError) as caught:
        load(path)
    message = str(caught.value)
    assert f"{path}, line 4" in message
    assert [word for word in words if word not in message] == []


def test_a_question_in_both_splits_is_refused(tmp_path: Path) -> None:
    train, test = write(tmp_path / "a.jsonl", GSM8K), write(tmp_path / "b.jsonl", *numbered(1), GSM8K)
    with pytest.raises(DataError, match=r"b\.jsonl, line 2, field 'question': .* other split: .*a\.jsonl, line 1"):
        load({"train": train, "test": test})
    assert len(load({"train": train, "test": write(tmp_path / "c.jsonl", *numbered(1))})) == 2


def test_a_row_against_the_split_of_its_file(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="field 'split': expected 'train'"):
        load({"train": write(tmp_path / "a.jsonl", {**GSM8K, "split": "test"})})


def test_files_that_cannot_be_used(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"cannot read .*none"):
        load(tmp_path / "none.jsonl")
    with pytest.raises(DataError, match="holds no rows"):
        load(write(tmp_path / "empty.jsonl"))
    with pytest.raises(UsageError, match=r"data names the splits \['dev'\]; type data=FILE"):
        load({"dev": tmp_path / "none.jsonl"})
    with pytest.raises(UsageError, match=r"data names the splits \[\]"):
        load({})


def test_the_environment_over_own_problems(tmp_path: Path) -> None:
    path = write(tmp_path / "own.jsonl", *numbered(400))
    env = MathEnv(data=path, split="test")
    seen = set()
    for seed in range(40):
        observation, info = env.reset(seed=seed)
        seen.add(info["task"]["id"])
        assert observation == env.reset(seed=seed)[0]
        _, reward, terminated, _, last = env.step(env.oracle()(observation, info))
        assert (reward, terminated, last["success"]) == (1.0, True, True)
    train = {env.reset(seed=seed, options={"split": "train"})[1]["task"]["id"] for seed in range(40)}
    assert len(seen) > 2
    assert not seen & train


def test_a_split_or_level_without_rows_is_refused_at_once(tmp_path: Path) -> None:
    path = write(tmp_path / "own.jsonl", GSM8K)
    with pytest.raises(DataError, match="no problem of split 'train' and level 3; there are 1 of train level 1"):
        MathEnv(data={"train": path}, level=3)
    env = MathEnv(data={"train": path})
    with pytest.raises(DataError, match="no problem of split 'test' and level 1"):
        env.reset(options={"split": "test"})
