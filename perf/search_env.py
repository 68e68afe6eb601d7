"""How fast Search-v0 steps at level 2 in process, played by the oracle on one core, and what a world takes to make.

Beside the search environments of other projects it is measured by `environments.py`.
"""

from __future__ import annotations

import random
import time

import gymnasium
from common import parser, percentile, report, versions

import agentrl.envs  # noqa: F401  # registers
from agentrl.envs.search.env import SearchEnv
from agentrl.envs.search.questions import make_question
from agentrl.envs.search.world import make_world

ROUNDS = 3  # the best counts, for all alike


def main() -> None:
    """Measure and report."""
    options = parser(__doc__)
    options.add_argument("--episodes", type=int, default=500, metavar="N", help="in process")
    arguments = options.parse_args()
    report(in_process(arguments.episodes) | worlds(), versions("gymnasium", "numpy"), arguments.json)


def in_process(num_episodes: int) -> dict[str, float]:
    """Return the figures of level 2 with the oracle, as `gymnasium.make` gives the environment."""
    env = gymnasium.make("AgentRL/Search-v0", level=2)
    inner = env.unwrapped
    assert isinstance(inner, SearchEnv)
    figures: dict[str, float] = {}
    for _ in range(ROUNDS):
        num_steps, steps_s, resets_s = 0, 0.0, 0.0
        for seed in range(num_episodes):
            start = time.perf_counter()
            observation, info = env.reset(seed=seed)
            resets_s += time.perf_counter() - start
            policy, done = inner.oracle(), False
            while not done:
                action = policy(observation, info)
                start = time.perf_counter()
                observation, _, terminated, truncated, info = env.step(action)
                steps_s += time.perf_counter() - start
                num_steps += 1
                done = terminated or truncated
            assert info["success"]
        with_resets = num_steps / (steps_s + resets_s)
        if with_resets > figures.get("steps_with_resets_per_s", 0.0):
            figures = {
                "steps_with_resets_per_s": with_resets,
                "steps_alone_per_s": num_steps / steps_s,
                "steps_per_episode": num_steps / num_episodes,
            }
    env.close()
    return figures


def worlds(number: int = 200) -> dict[str, float]:
    """Return what an episode's world takes by level: world and question drawn, and the whole reset with its index."""
    figures = {}
    env = gymnasium.make("AgentRL/Search-v0")
    for level in range(1, 6):
        drawn, resets = [], []
        for seed in range(number):
            start = time.perf_counter()
            rng = random.Random(seed)
            world = make_world(rng, "train", level, hidden=2 if level >= 4 else 0)
            while make_question(rng, world) is None:
                pass
            drawn.append(time.perf_counter() - start)
            start = time.perf_counter()
            env.reset(seed=seed, options={"level": level})
            resets.append(time.perf_counter() - start)
        figures[f"world_level_{level}_ms"] = sum(drawn) / number * 1e3
        figures[f"reset_level_{level}_ms"] = sum(resets) / number * 1e3
        figures[f"reset_level_{level}_p99_ms"] = percentile(resets, 99) * 1e3
    env.close()
    return figures


if __name__ == "__main__":
    main()
