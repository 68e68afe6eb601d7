"""The one source of an answer: out of fences and wrappers, whole where it is Python, never put together of several."""

from __future__ import annotations

import textwrap
import time
from typing import Any

import pytest

from agentrl.envs.code.env import CodeEnv
from agentrl.envs.code.source import between_tags, source_of

Play = Any  # the fixtures of conftest.py

CODE = "def f(x):\n    return x + 1"
USE = "print(f(1))\nprint(f(2))\nprint(f(3))\nassert f(1) == 2"
FENCED_DOC = 'def f(x):\n    """Add.\n\n    ```\n    >>> f(1)\n    2\n    ```\n    """\n    return x + 1'
INDENTED = textwrap.indent(CODE, "    ")

SAME: dict[str, tuple[str, str]] = {
    "unfenced": (CODE, CODE),
    "fenced": (f"```python\n{CODE}\n```", CODE),
    "fenced, with words": (f"Here it is:\n```\n{CODE}\n```\nDone.", CODE),
    "a fence that stays open": (f"```py\n{CODE}", CODE),
    "a fence that is indented": (f"1. So:\n    ```python\n{INDENTED}\n    ```", CODE),
    "an indented fence that lost its first blanks": (f"```python\n{INDENTED}\n    ```\n    Done.", CODE),
    "an indented fence around less indented text": (
        "  ```\n  def f(x):\n      t = '''\na\n  b'''\n      return x\n  ```",
        "def f(x):\n    t = '''\na\nb'''\n    return x",
    ),
    "one line": ("```def f(x): return x + 1```", "def f(x): return x + 1"),
    "one line with the language": ("```python def f(x): return x + 1```", "def f(x): return x + 1"),
    "code behind the opening": (f"```{CODE}\n```", CODE),
    "code on both lines of the fence": (f"```{CODE}```", CODE),
    "tildes": (f"~~~python\n{CODE}\n~~~", CODE),
    "tildes that stay open": (f"~~~python\n{CODE}", CODE),
    "CDATA": (f"<![CDATA[\n{CODE}\n]]>", CODE),
    "CDATA in a fence": (f"```\n<![CDATA[{CODE}]]>\n```", CODE),
    "a fence in CDATA": (f"<![CDATA[\n```python\n{CODE}\n```\n]]>", CODE),
    "a use first": (f"```\n{USE}\n```\nThe code:\n```python\n{CODE}\n```", CODE),
    "a use last": (f"```python\n{CODE}\n```\nUse it so:\n```\n{USE}\n```", CODE),
    "a draft first": (f"```\ndef f(x): pass\n```\nBetter:\n```\n{CODE}\n```", CODE),
    "no fence has it": ("```\nx = 1\n```\nand\n```\nlonger = 2\n```", "longer = 2"),
    "a fence in the docstring": (FENCED_DOC, FENCED_DOC),
    "a fence in the docstring, fenced": (f"```python\n{FENCED_DOC}\n```", FENCED_DOC),
    "a title beside the language": (f"```python title='a.py'\n{CODE}\n```", CODE),
}


@pytest.mark.parametrize("name", SAME)
def test_the_source_is_found(name: str) -> None:
    text, source = SAME[name]
    assert source_of(text, "f") == source


def test_of_a_program_the_longest_fence_counts_and_the_last_of_such() -> None:
    assert source_of("```\n1 2\n```\n```\nprint(sum(map(int, input().split())))\n```").startswith("print(sum")
    assert source_of("```\nprint(1)\n```\n```\nprint(2)\n```") == "print(2)"


def test_odd_fences_take_no_time() -> None:
    start = time.process_time()
    for text in ("```", "`" * 300_000, "```x\n" * 100_000, "```x\n  ```\n" * 50_000, "```\n" * 100_000, "~~~" * 99_999):
        assert isinstance(source_of(text, "f"), str)
    assert time.process_time() - start < 10.0


TAGGED = "def f(x):\n    # as <answer>x</answer>\n    return x + 1 if '</answer>' else '<answer>'"
TWO = f"<answer>{CODE}</answer>"


def test_tags_in_a_source_are_part_of_it() -> None:
    assert between_tags(f"So: <answer>{TAGGED}</answer> Done.", "f") == TAGGED
    fenced = f"```python\n{TAGGED}\n```"
    assert between_tags(f"<answer>\n{fenced}\n</answer>", "f") == fenced


@pytest.mark.parametrize(
    "text",
    [
        TWO,
        TWO + TWO,
        f"{TWO}\n{TWO}",
        f"<answer>```\n{CODE}\n```</answer>\n<answer>```\n{CODE}\n```</answer>",
        f"<answer>\n```\n{CODE}\n```\n</answer>\n<answer>\n```\n{CODE}\n```\n</answer>",
        f"The <answer> follows. {TWO}",
        f"{TWO} and an end </answer>",
        "<answer>",
        "</answer><answer>",
        "",
        "<answer></answer></answer>",
    ],
)
def test_several_answers_are_not_made_one(text: str) -> None:
    assert between_tags(text, "f") == ""


def test_honest_answers_score_and_several_do_not(env: CodeEnv, play: Play, says: Play) -> None:
    env.reset(seed=5)
    assert env._task is not None
    solution, name = env._task.solution.strip(), env._task.function
    indented = textwrap.indent(solution, "    ")
    tags = f"{solution}\n# <answer>, </answer>\nTAG = '</answer>'"
    for text in (
        solution,
        f"```python\n{solution}\n```",
        f"Here it is:\n    ```\n{indented}\n    ```\nDone.",
        f"~~~python\n{solution}\n~~~",
        f"<![CDATA[{solution}]]>",
        f"```\nprint({name}())\n```\nThe code:\n```\n{solution}\n```",
        tags,
        f"```python\n{tags}\n```",
    ):
        assert play(env, says(f"<answer>{text}</answer>"), seed=5).reward == 1.0, text
    wrong = f"def {name}(*args):\n    return None"
    for one, other in ((solution, wrong), (wrong, solution), (solution, solution)):
        for pattern in ("{}", "```python\n{}\n```", "\n```\n{}\n```\n"):
            text = "\n".join(f"<answer>{pattern.format(each)}</answer>" for each in (one, other))
            episode = play(env, says(text), seed=5)
            assert (episode.reward, episode.info["success"]) == (0.0, False)
    # Of two fences that define it one is graded, and it is said which: the last.
    both = "```\n{}\n```\nor\n```\n{}\n```"
    assert play(env, says(f"<answer>{both.format(solution, wrong)}</answer>"), seed=5).reward == 0.0
