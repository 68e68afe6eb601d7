"""The user's own questions: rows, files, kinds of answers, and errors that name file, line and field."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from agentrl.envs.errors import DataError, InfrastructureError, UsageError
from agentrl.envs.python import PythonEnv
from agentrl.envs.python.answers import matches
from agentrl.envs.python.data import MAX_BYTES, load
from agentrl.envs.scripted import call

ROW: dict[str, Any] = {"question": "How many?", "answer": 7, "files": ["a.csv"], "split": "train"}


def written(folder: Path, *rows: object, name: str = "rows.jsonl") -> Path:
    path = folder / name
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    (folder / "a.csv").write_text("n\n3\n4\n")
    (folder / "sub").mkdir(exist_ok=True)
    (folder / "sub" / "b.txt").write_text("hello")
    return path


@pytest.mark.parametrize(
    ("given", "right", "wrong"),
    [
        ({"answer": 7}, "7.0", "8"),
        ({"answer": 0.1}, "1/10", "0.11"),
        ({"answer": "1,250", "kind": "number"}, "1250", "1,251"),
        ({"answer": "Foxley"}, "foxley", "Fox"),
        ({"answer": "7"}, "7", "7.0"),
        ({"answer": "2024-03-05"}, "March 5, 2024", "2024-03-06"),
        ({"answer": "2024-03-05", "kind": "text"}, "2024-03-05", "March 5, 2024"),
        ({"answer": ["b", 2, "2024-03-05"]}, "b, 2.0, 5 March 2024", "2, b, 2024-03-05"),
        ({"answer": ["b", "a"], "kind": "set"}, "['a', 'b']", "['a']"),
    ],
)
def test_answers_of_every_kind(tmp_path: Path, given: dict[str, Any], right: str, wrong: str) -> None:
    rows = load(written(tmp_path, {**ROW, **given}))
    task = rows["train", 1][0].task()
    assert matches(right, task.answer)
    assert not matches(wrong, task.answer)
    assert task.files == {"a.csv": b"n\n3\n4\n"}
    assert task.question == "How many?\nFiles: a.csv"


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"question": " "}, "field 'question': expected a string that is not empty"),
        ({"files": None}, "field 'files': expected a list of paths"),
        ({"files": []}, "field 'files'"),
        ({"files": ["a.csv", "b.csv"]}, "field 'files.1': expected a file; there is none at"),
        ({"files": ["sub"]}, "field 'files.0': expected a file"),
        (
            {"files": ["/etc/passwd"]},
            "field 'files.0': expected a path below the folder of this file; got '/etc/passwd'",
        ),
        ({"files": ["../rows.jsonl"]}, "field 'files.0': expected a path below"),
        ({"files": [3]}, "field 'files.0'"),
        ({"answer": None}, "field 'answer': expected a number, a text that is not empty, or a list"),
        ({"answer": True}, "field 'answer'"),
        ({"answer": {"a": 1}}, "field 'answer'"),
        ({"answer": []}, "field 'answer': expected a list of at least one item"),
        ({"answer": [1, [2]]}, "field 'answer.1'"),
        ({"answer": ["a, b"]}, "field 'answer.0': expected an item without a comma"),
        ({"answer": 1e300}, "field 'answer': expected a number of ordinary size"),
        (
            {"answer": "many", "kind": "number"},
            "field 'answer': expected a number, as the field 'kind' says; got 'many'",
        ),
        ({"answer": "5 March", "kind": "date"}, "field 'answer': expected a day written YYYY-MM-DD"),
        ({"answer": "2024-02-30"}, "field 'answer': expected a day"),
        ({"answer": 3, "kind": "set"}, "field 'answer': expected a list, since the field 'kind' is 'set'"),
        ({"answer": [3], "kind": "number"}, "field 'answer': expected a number, as the field 'kind' says"),
        ({"kind": "regex"}, "field 'kind': expected 'number' or 'text' or 'date' or 'list' or 'set'; got 'regex'"),
        ({"level": 6}, "field 'level': expected a whole number from 1 to 5; got 6"),
        ({"split": "dev"}, "field 'split': expected 'train' or 'test'; got 'dev'"),
    ],
)
def test_a_bad_row_is_named_with_file_line_and_field(tmp_path: Path, given: dict[str, Any], said: str) -> None:
    path = written(tmp_path, ROW, {**ROW, "question": "Another?", **given})
    with pytest.raises(DataError) as caught:
        load(path)
    assert f"{path}, line 2, " in str(caught.value)
    assert said in str(caught.value)


def test_files_that_are_too_large_are_refused(tmp_path: Path) -> None:
    path = written(tmp_path, {**ROW, "files": ["a.csv", "large.bin"]})
    with (tmp_path / "large.bin").open("wb") as file:
        file.truncate(MAX_BYTES)
    with pytest.raises(DataError, match=r"line 1, field 'files.1': expected at most 16 MB in all files of a row"):
        load(path)


def test_a_question_in_both_splits_and_unknown_splits_are_refused(tmp_path: Path) -> None:
    path = written(tmp_path, ROW, {**ROW, "split": "test"})
    with pytest.raises(DataError, match="line 2, field 'question': the same question is in the other split"):
        load(path)
    with pytest.raises(UsageError, match=r"data names the splits \['dev'\]"):
        load({"dev": path})
    with pytest.raises(DataError, match="expected 'test', as the file was given for that split; got 'train'"):
        load({"test": written(tmp_path, ROW)})


def test_a_split_or_level_without_rows_is_refused_at_once(tmp_path: Path) -> None:
    path = written(tmp_path, ROW, {**ROW, "question": "B?", "level": 3})
    with pytest.raises(DataError, match="no question of split 'test' and level 1; there are 1 of train level 1, 1 of"):
        PythonEnv(data=path, split="test")


@pytest.mark.bwrap
def test_an_episode_over_own_files(tmp_path: Path) -> None:
    row = {**ROW, "files": ["a.csv", "sub/b.txt"]}
    env = PythonEnv(data={"train": written(tmp_path, row)}, backend="bwrap")
    observation, info = env.reset(seed=1)
    assert observation == "How many?\nFiles: a.csv, sub/b.txt"
    assert info["task"] == {"id": "rows-1", "split": "train", "level": 1}
    code = "print(sum(int(line) for line in open('a.csv').readlines()[1:])); open('sub/b.txt').read()"
    assert env.step(call("python", code=code))[0] == "7\n'hello'"
    assert env.step("<answer>7</answer>")[4]["success"] is True
    observation, info = env.reset(seed=1)
    assert env.step(env.oracle()(observation, info))[1] == 1.0
    (tmp_path / "a.csv").unlink()
    with pytest.raises(InfrastructureError, match="cannot read"):
        env.reset(seed=1)
    env.close()
