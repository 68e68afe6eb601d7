"""What an adapter costs: steps a second of a suite's environment as `AgentRL/…`, beside the suite's own loop.

The same tasks and the same turns, one after the other in one process; of several rounds the fastest counts. A step
counts together with its share of the reset. verifiers is driven by its own `rollout`, with a client that answers at
once.
"""

from __future__ import annotations

import asyncio
import importlib
import logging
import random
import sys
from collections.abc import Callable
from pathlib import Path
from time import perf_counter
from types import SimpleNamespace
from typing import Any

import gymnasium
from common import parser, report, versions

import agentrl.envs  # noqa: F401  # registers

VERIFIERS = "tests.envs.adapters.arithmetic"
GUESSES = (10, 5, 15, 3, 18)


def main() -> None:
    """Measure and report."""
    options = parser(__doc__)
    options.add_argument("--episodes", type=int, default=300, metavar="N")
    options.add_argument("--rounds", type=int, default=5, metavar="N")
    arguments = options.parse_args()
    sys.path.insert(0, str(Path(__file__).parents[1]))  # for the environment of the tests
    logging.disable(logging.INFO)
    figures: dict[str, float] = {}
    for name, (ours, theirs) in _pairs(arguments.episodes).items():
        best = {"ours": 0.0, "theirs": 0.0}
        for _ in range(arguments.rounds):
            best["ours"] = max(best["ours"], _rate(ours))
            best["theirs"] = max(best["theirs"], _rate(theirs))
        figures |= {
            f"{name}_adapter_steps_per_s": best["ours"],
            f"{name}_own_steps_per_s": best["theirs"],
            f"{name}_adapter_over_own": best["ours"] / best["theirs"],
        }
    report(figures, versions("gem-llm", "gymnasium", "reasoning-gym", "textarena", "verifiers"), arguments.json)


def _rate(play: Callable[[], int]) -> float:
    """Return the steps a second of what plays and counts them."""
    began = perf_counter()
    return play() / (perf_counter() - began)


def _pairs(num: int) -> dict[str, tuple[Callable[[], int], Callable[[], int]]]:
    """Return, for each suite, what plays its episodes through the adapter, and what plays them without."""
    rg: Any = importlib.import_module("reasoning_gym")
    ta: Any = importlib.import_module("textarena")
    gem: Any = importlib.import_module("gem")

    def reasoning() -> int:
        config = {"min_animals": 3, "max_animals": 10}
        for seed in range(num):
            data = rg.create_dataset("leg_counting", seed=seed, size=1, **config)
            data.score_answer("12", data[0])
        return num

    def arena() -> int:
        steps = 0
        game = ta.make("GuessTheNumber-v0")
        for seed in range(num):
            game.reset(num_players=1, seed=seed)
            for guess in GUESSES:
                game.get_observation()
                steps += 1
                if game.step(f"[{guess}]")[0]:
                    break
        return steps

    def gems() -> int:
        steps = 0
        game = gem.make("game:GuessTheNumber-v0-hard")
        for seed in range(num):
            game.reset(seed=seed)
            for guess in GUESSES:
                steps += 1
                if game.step(f"\\boxed{{{guess}}}")[2]:
                    break
        return steps

    adapted = {
        "reasoning_gym": gymnasium.make("AgentRL/ReasoningGym-v0", dataset="leg_counting"),
        "textarena": gymnasium.make("AgentRL/TextArena-v0", game="GuessTheNumber-v0"),
        "gem": gymnasium.make("AgentRL/Gem-v0", env_id="game:GuessTheNumber-v0-hard"),
        "verifiers": gymnasium.make("AgentRL/Verifiers-v0", env_id=VERIFIERS, config={"kind": "single"}),
    }
    turns = {
        "reasoning_gym": ["<answer>12</answer>"],
        "textarena": [f"[{guess}]" for guess in GUESSES],
        "gem": [f"\\boxed{{{guess}}}" for guess in GUESSES],
        "verifiers": ["<answer>12</answer>"],
    }
    own = {"reasoning_gym": reasoning, "textarena": arena, "gem": gems, "verifiers": _verifiers(num)}
    return {name: (_player(env, turns[name], num), own[name]) for name, env in adapted.items()}


def _player(env: gymnasium.Env[str, str], turns: list[str], num: int) -> Callable[[], int]:
    def play() -> int:
        steps = 0
        for seed in range(num):
            env.reset(seed=seed)
            for turn in turns:
                steps += 1
                if any(env.step(turn)[2:4]):
                    break
        return steps

    return play


def _verifiers(num: int) -> Callable[[], int]:
    completions: Any = importlib.import_module("openai.types.chat")
    env = importlib.import_module(VERIFIERS).load_environment("single")
    rows = env.get_dataset()
    message = {"role": "assistant", "content": "<answer>12</answer>"}
    choice = {"index": 0, "finish_reason": "stop", "message": message, "logprobs": None}
    told = {"id": "turn", "object": "chat.completion", "created": 0, "model": "none", "choices": [choice]}

    async def create(**request: Any) -> Any:
        return completions.ChatCompletion.model_validate(told)

    client = SimpleNamespace(chat=SimpleNamespace(completions=SimpleNamespace(create=create)))
    drawn = random.Random(0)

    async def rollouts() -> int:
        for _ in range(num):
            state = await env.rollout(rows[drawn.randrange(len(rows))], client, "none", {})
            await env.rubric.score_rollout(state, score_sem=asyncio.Semaphore(1))
        return num

    return lambda: asyncio.run(rollouts())


if __name__ == "__main__":
    main()
