"""Environments of verifiers for the tests: products with a tool, and sums in one turn with rows of their own."""

from __future__ import annotations

import asyncio
from typing import Any

import verifiers as vf
from datasets import Dataset

__all__ = ["load_environment"]


def load_environment(kind: str = "sums", num: int = 40) -> Any:
    """Make one: "sums" (a tool, several turns), "single" (one turn), "slow", "broken", "judged" or "groups"."""
    if kind == "single":
        rows = [{"question": f"How much is {n} + {n}?", "answer": str(2 * n)} for n in range(num)]
        parser = vf.XMLParser(["answer"])
        rubric = vf.Rubric(funcs=[_exact, _marked], weights=[1.0, 0.25], parser=parser)
        return vf.SingleTurnEnv(
            dataset=Dataset.from_list(rows),
            eval_dataset=Dataset.from_list([*rows[:5], *({"question": f"{n}?", "answer": str(n)} for n in range(9))]),
            system_prompt="Answer in <answer> tags.",
            parser=parser,
            rubric=rubric,
        )
    rows = [{"question": f"Multiply {n} by 7, with the tool.", "answer": str(7 * n)} for n in range(num)]
    score: Any = {"groups": _grouped, "judged": _judged}.get(kind, _exact)
    tools = {"slow": [_sleep], "broken": [_break]}.get(kind, [multiply])
    return vf.ToolEnv(dataset=Dataset.from_list(rows), tools=tools, rubric=vf.Rubric(funcs=[score]), max_turns=4)


def multiply(a: int, b: int) -> int:
    """Multiply two numbers.

    Args:
        a: The first.
        b: The second.
    """
    return a * b


async def _sleep(seconds: float) -> str:
    """Wait.

    Args:
        seconds: How long.
    """
    await asyncio.sleep(seconds)
    return "awake"


async def _break() -> str:
    """Lose the sandbox."""
    raise SystemError("no such tool")


def _exact(completion: Any, answer: str) -> float:
    last = completion[-1]
    said = last["content"] if isinstance(last, dict) else last.content
    return float(f"<answer>{answer}</answer>" in str(said))


def _marked(completion: Any) -> float:
    last = completion[-1]
    said = last["content"] if isinstance(last, dict) else last.content
    return float(str(said).startswith("<answer>"))


def _grouped(states: list[Any]) -> list[float]:
    return [0.0 for _ in states]


def _judged(completion: Any) -> float:
    raise ConnectionError("the judge is gone")
