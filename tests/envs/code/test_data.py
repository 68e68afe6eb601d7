"""Problems of the user's own: each layout is read, wrong rows are named, what cannot be read is refused or counted."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from agentrl.envs.code.data import load
from agentrl.envs.code.env import CodeEnv
from agentrl.envs.code.policies import solution
from agentrl.envs.errors import DataError, UsageError

Play = Any  # the fixtures of conftest.py

HUMAN_EVAL = {
    "task_id": "Own/0",
    "prompt": (
        "from typing import List\n\nSTEP = 2\n\n\ndef climb(start: int, times: int) -> List[int]:\n"
        '    """Return the numbers from start, each STEP more.\n\n    >>> climb(1, 3)\n    [1, 3, 5]\n    """\n'
    ),
    "entry_point": "climb",
    "canonical_solution": "    return [start + STEP * k for k in range(times)]\n",
    "test": (
        "METADATA = {'author': 'a test'}\n\n\ndef check(candidate):\n    assert candidate(0, 0) == []\n"
        "    assert candidate(1, 3) == [1, 3, 5], 'odd'\n    for n in range(2, 5):\n"
        "        assert len(candidate(n, n)) == n\n    assert abs(sum(candidate(1, 2)) - 4.0) < 1e-6\n"
    ),
}
MBPP = {
    "task_id": 7,
    "text": "Write a function to count how often each letter of a text occurs.",
    "code": "from collections import Counter\ndef letters(text):\n    return Counter(text)\n",
    "test_list": [
        "assert letters('aab') == {'a': 2, 'b': 1}",
        "assert letters('') == {}",
        "assert sorted(letters('xyx').items()) == [('x', 2), ('y', 1)]",
    ],
    "test_setup_code": "",
    "challenge_test_list": ["assert letters('q' * 5)['q'] == 5"],
}
PROGRAM = {
    "question": "Read a number n and then n numbers. Print their sum.",
    "inputs": ["3\n1 2 3\n", "1\n-4\n", ["2", "10 20"]],
    "outputs": ["6\n", "-4", ["30"]],
    "examples": [{"input": "2\n5 5\n", "output": "10\n"}],
    "solutions": ["n = int(input())\nprint(sum(map(int, input().split())))"],
}
APPS = {
    "problem_id": 4,
    "question": "Print the input in capital letters.",
    "input_output": json.dumps({"inputs": ["ab\n", "Cd\n"], "outputs": ["AB\n", "CD\n"]}),
    "solutions": json.dumps(["print(input().upper())"]),
}
RIGHT = {"human-eval": HUMAN_EVAL, "mbpp": MBPP, "program": PROGRAM, "apps": APPS}
WRONG = {
    "human-eval": "def climb(start, times):\n    return [start] * times",
    "mbpp": "def letters(text):\n    return {each: 1 for each in text}",
    "program": "input()\nprint(input())",
    "apps": "print(input())",
}


def written(folder: Path, *rows: Any) -> Path:
    path = folder / "own.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


@pytest.mark.parametrize("layout", RIGHT)
def test_a_row_s_own_solution_is_right_and_another_is_not(
    layout: str, backend: str, tmp_path: Path, play: Play, says: Play
) -> None:
    env = CodeEnv(data={"train": written(tmp_path, RIGHT[layout])}, backend=backend)
    episode = play(env, env.oracle())
    assert episode.reward == 1.0
    assert "right" in episode.observations[0] or layout == "apps"
    assert play(env, says(f"<answer>{WRONG[layout]}</answer>")).reward == 0.0
    assert play(env, env.noop()).reward == 0.0
    tools = [tool["function"]["name"] for tool in episode.begun[1]["tools"]]
    assert tools == (["run_code"] if layout == "apps" else ["run_code", "try_examples"])
    env.close()


def test_what_stands_before_the_function_is_there_when_it_is_graded(
    backend: str, tmp_path: Path, play: Play, says: Play
) -> None:
    env = CodeEnv(data={"train": written(tmp_path, HUMAN_EVAL)}, backend=backend)
    body = "def climb(start: int, times: int) -> List[int]:\n    return list(range(start, start + STEP * times, STEP))"
    assert play(env, says(f"<answer>```python\n{body}\n```</answer>")).reward == 1.0
    env.close()


@pytest.mark.parametrize(
    "source",
    [
        "from collections import defaultdict\ndef letters(text):\n    d = defaultdict(int)\n"
        "    for c in text: d[c] += 1\n"
        "    return d",
        "class Mine(dict):\n    pass\ndef letters(text):\n    return Mine({c: text.count(c) for c in text})",
    ],
)
def test_values_of_derived_types_count_as_their_base(
    source: str, backend: str, tmp_path: Path, play: Play, says: Play
) -> None:
    env = CodeEnv(data={"train": written(tmp_path, MBPP)}, backend=backend)
    assert play(env, says(f"<answer>{source}</answer>")).reward == 1.0
    env.close()


def test_a_value_that_is_equal_to_everything_is_not_right(backend: str, tmp_path: Path, play: Play, says: Play) -> None:
    env = CodeEnv(data={"train": written(tmp_path, MBPP)}, backend=backend)
    lie = "__eq__ = lambda *a: True\n    __ne__ = lambda *a: False\n    __hash__ = lambda s: 0"
    for base in ("", "(dict)", "(list)", "(str)", "(int)"):
        source = f"class Same{base}:\n    {lie}\ndef letters(text):\n    return Same()"
        assert play(env, says(f"<answer>{source}</answer>")).reward == 0.0
    env.close()


def test_asserts_never_run_beside_the_candidate(backend: str, tmp_path: Path, play: Play, says: Play) -> None:
    env = CodeEnv(data={"train": written(tmp_path, MBPP)}, backend=backend)
    for source in ("import os\nos._exit(0)", "import sys\ndef letters(text):\n    sys.exit(0)", "print('1 passed')"):
        assert play(env, says(f"<answer>{source}</answer>")).reward == 0.0
    env.close()


def test_the_question_holds_what_is_public_and_no_more(tmp_path: Path) -> None:
    tasks = [task for found in load(written(tmp_path, *RIGHT.values())).tasks.values() for task in found]
    human_eval, mbpp, program, apps = sorted(tasks, key=lambda task: ["Own/0", "7", "3", "4"].index(task.id[4:]))
    assert ">>> climb(1, 3)" in human_eval.question
    assert "candidate" not in human_eval.question
    assert "def letters(text)\nassert letters('aab') == {'a': 2, 'b': 1}" in mbpp.question
    assert "xyx" not in mbpp.question
    assert "Input:\n2\n5 5\n" in program.question
    assert "10 20" not in program.question
    assert apps.examples == ()
    assert [len(task.hidden) for task in (human_eval, mbpp, program, apps)] == [6, 4, 3, 2]


@pytest.mark.parametrize(
    ("row", "said"),
    [
        ({"a": 1}, "field 'question': expected 'entry_point' and 'test' (HumanEval), 'test_list' (MBPP)"),
        ({**HUMAN_EVAL, "entry_point": "cl imb"}, "field 'entry_point': expected the name of a function; got 'cl imb'"),
        ({**HUMAN_EVAL, "entry_point": "walk"}, "field 'prompt': expected a line that begins with 'def walk('"),
        ({**HUMAN_EVAL, "test": 5}, "field 'test': expected a source that is not empty; got 5"),
        ({**HUMAN_EVAL, "prompt": " "}, "field 'prompt': expected a source"),
        ({**MBPP, "test_list": []}, "field 'test_list': expected a list of asserts that is not empty; got []"),
        ({**MBPP, "test_setup_code": 5}, "field 'test_setup_code': expected Python, as a text or a list of lines"),
        ({**MBPP, "text": ""}, "field 'text': expected a string that is not empty"),
        ({**MBPP, "level": 9}, "field 'level': expected a whole number from 1 to 5; got 9"),
        ({**MBPP, "split": "dev"}, "field 'split': expected 'train' or 'test'; got 'dev'"),
        ({**PROGRAM, "outputs": ["6"]}, "field 'outputs': expected as many as inputs, 3; got 1"),
        ({**PROGRAM, "inputs": [1, 2, 3]}, "field 'inputs': expected a text, or a list of lines; got 1"),
        ({**PROGRAM, "examples": [1]}, "field 'examples': expected a list of objects"),
        ({**PROGRAM, "solutions": [1]}, "field 'solutions': expected a list of sources"),
        ({**APPS, "input_output": "{"}, "field 'input_output': expected JSON; got '{'"),
        ({**APPS, "input_output": "[]"}, "field 'input_output': expected an object with 'inputs' and 'outputs'"),
        ({**APPS, "input_output": "{}"}, "field 'input_output.inputs': expected a list of texts"),
    ],
)
def test_a_wrong_row_is_named_with_file_line_and_field(row: dict[str, Any], said: str, tmp_path: Path) -> None:
    path = written(tmp_path, APPS, row)
    for skip in (False, True):  # what is wrong is never skipped
        with pytest.raises(DataError) as caught:
            load(path, skip_unreadable=skip)
        assert str(caught.value).startswith(f"{path}, line 2, ")
        assert said in str(caught.value)


UNREADABLE = [
    (
        {**MBPP, "test_list": ["assert letters(Node(4)) == {}"]},
        "field 'test_list': line 1 of it: Node(4) is not evaluated",
    ),
    (
        {**MBPP, "test_setup_code": "def sorted(x): return 1"},
        "field 'test_list': line 4 of it: sorted is not Python's own in this test",
    ),
    (
        {**MBPP, "test_imports": ["from mylib import sorted"]},
        "field 'test_list': line 4 of it: sorted is not Python's own in this test",
    ),
    ({**MBPP, "code": "def letters(:"}, "field 'code': the solution is no Python: line 1"),
    (
        {**HUMAN_EVAL, "test": "def check(candidate):\n    assert candidate(decode('x')) == 1"},
        "field 'test': line 2 of it",
    ),
    ({**APPS, "input_output": {"fn_name": "f", "inputs": [[1]], "outputs": [1]}}, "field 'input_output.fn_name'"),
]


@pytest.mark.parametrize(("row", "said"), UNREADABLE, ids=[said for _, said in UNREADABLE])
def test_tests_that_cannot_be_read_are_refused_or_skipped_and_counted(
    row: dict[str, Any], said: str, tmp_path: Path
) -> None:
    path = written(tmp_path, MBPP, row)
    with pytest.raises(DataError) as caught:
        load(path)
    assert f"{path}, line 2, {said}" in str(caught.value)
    assert "skip_unreadable=True leaves out such rows" in str(caught.value)
    loaded = load(path, skip_unreadable=True)
    assert sum(map(len, loaded.tasks.values())) == 1
    assert [said in reason for reason in loaded.skipped] == [True]
    with pytest.raises(DataError, match="no row can be used"):
        load(written(tmp_path, row), skip_unreadable=True)


def test_splits_and_levels_are_the_rows_own_or_by_a_stable_hash(tmp_path: Path) -> None:
    rows = [{**APPS, "question": f"Question {number}", "problem_id": number} for number in range(200)]
    tasks = load(written(tmp_path, *rows)).tasks
    assert {key: len(found) for key, found in tasks.items()} == {("train", 1): 181, ("test", 1): 19}
    own = [{**APPS, "split": "test", "level": 3}, {**MBPP, "split": "train"}]
    env = CodeEnv(data=written(tmp_path, *own))
    with pytest.raises(
        DataError, match="no problem of split 'test' and level 1; there are 1 of test level 3, 1 of train"
    ):
        env.reset(seed=1, options={"split": "test"})
    with pytest.raises(DataError, match="the same question is in the other split"):
        load(written(tmp_path, {**APPS, "split": "test"}, {**APPS, "split": "train"}))


def test_arguments_that_exclude_each_other_are_refused(tmp_path: Path) -> None:
    path = written(tmp_path, MBPP)
    with pytest.raises(UsageError, match="leave out family= and topic="):
        CodeEnv(data=path, topic="strings")
    with pytest.raises(UsageError, match="skip_unreadable=True is about rows"):
        CodeEnv(skip_unreadable=True)
    with pytest.raises(UsageError, match="data names the splits"):
        CodeEnv(data={"dev": path})
    row = {key: value for key, value in PROGRAM.items() if key != "solutions"}
    (task,) = load({"train": written(tmp_path, row)}).tasks["train", 1]
    with pytest.raises(UsageError, match="has no solution in its row"):
        solution(task, with_tools=True)
