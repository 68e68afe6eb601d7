"""Verifiers' Rubric over five plain functions: reads {"messages", "answer", "episodes", "rounds"}, prints CPU time."""

from __future__ import annotations

import asyncio
import json
import sys
import time
from collections.abc import Callable
from importlib import import_module, metadata
from typing import Any

from peers.rewards import FUNCTIONS, Messages


def main() -> None:
    """Measure, and print {"us": microseconds an episode, "version"}."""
    vf: Any = import_module("verifiers")
    told = json.loads(sys.stdin.read())
    opening = [message for message in told["messages"][:2] if message["role"] in ("system", "user")]
    completion = told["messages"][len(opening) :]

    def as_reward(function: Callable[[Messages, str], float]) -> Any:
        def reward(completion: Any, answer: Any) -> float:
            return function(completion, answer)

        reward.__name__ = function.__name__
        return reward

    rubric = vf.Rubric(funcs=list(map(as_reward, FUNCTIONS)), weights=[1.0, 0.1, 0.1, 0.1, 0.1])

    def state() -> Any:
        given = {"prompt": opening, "answer": told["answer"], "task": "search", "info": {}, "example_id": 0}
        return vf.State(input=given, **given, completion=completion, timing={})

    async def measure() -> float:
        best = float("inf")
        for _ in range(told["rounds"]):
            began = time.process_time()
            for _ in range(told["episodes"]):
                scored = state()
                await rubric.score_rollout(scored)
            best = min(best, (time.process_time() - began) / told["episodes"])
            assert scored["metrics"]["right"] == 1.0, scored["metrics"]
        return best * 1e6

    print(json.dumps({"us": asyncio.run(measure()), "version": metadata.version("verifiers")}))


if __name__ == "__main__":
    main()
