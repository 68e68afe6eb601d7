"""What the bench costs beside a bare loop over the same environments, with an agent that answers at once.

Each contestant plays the same seeds with the same function: a bare loop, which makes one environment, keeps the
messages in a list and stores nothing, and `agentrl.bench.run.run`, which times, watches deadlines and writes every
episode to disk, with several episodes at once. They take turns; a figure is the median of the rounds.
`…_more_ms_a_step` is the difference of wall time to the bare loop over the number of steps. Episodes have one step
(`AgentRL/Math-v0`), or as many as they are told (an environment of this file that counts).
"""

from __future__ import annotations

import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import gymnasium
from common import parser, report, versions

import agentrl.envs  # registers the environments  # noqa: F401
from agentrl.bench.run import Settings, run
from agentrl.envs.spaces import Unicode

AGENT = "python:bench:answer"
COUNTS = "PerfCounts-v0"
TOOL = {
    "type": "function",
    "function": {"name": "add", "description": "Add one.", "parameters": {"type": "object", "properties": {}}},
}


class Counts(gymnasium.Env[str, str]):
    """Ends after a number of steps; says a short sentence at each."""

    def __init__(self, num_steps: int = 5) -> None:
        self.action_space = Unicode(1000)
        self.observation_space = Unicode(1000)
        self.num_steps = num_steps
        self.done = 0

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[str, dict[str, Any]]:
        """Begin to count."""
        super().reset(seed=seed)
        self.done = 0
        task = {"id": f"count-{seed}", "split": (options or {}).get("split", "test"), "level": 1}
        return "Count with the tool.", {"system": "You count.", "tools": [TOOL], "task": task}

    def step(self, action: str) -> tuple[str, float, bool, bool, dict[str, Any]]:
        """Count one."""
        self.done += 1
        last = self.done == self.num_steps
        said = f"That makes {self.done}."
        info: dict[str, Any] = {"replies": [{"role": "tool", "name": "add", "content": said}]}
        if last:
            info |= {"success": True, "rewards": {"count": 1.0}}
        return said, float(last), last, False, info


def answer(messages: list[dict[str, Any]]) -> str:
    """Answer at once."""
    return '<tool_call>{"name": "add", "arguments": {}}</tool_call><answer>1</answer>'


def bare(env_id: str, kwargs: dict[str, Any], num_episodes: int) -> int:
    """Play by hand; return the number of steps."""
    env = gymnasium.make(env_id, disable_env_checker=True, **kwargs)
    num_steps = 0
    for seed in range(num_episodes):
        observation, info = env.reset(seed=seed, options={"split": "test"})
        messages = [{"role": "system", "content": info["system"]}, {"role": "user", "content": observation}]
        done = False
        while not done:
            action = answer(messages)
            messages.append({"role": "assistant", "content": action})
            observation, _, terminated, truncated, info = env.step(action)
            messages += info.get("replies") or [{"role": "user", "content": observation}]
            done = terminated or truncated
            num_steps += 1
    env.close()
    return num_steps


def benched(env_id: str, kwargs: dict[str, Any], num_episodes: int, concurrency: int) -> None:
    """Play with the bench, into a folder that is removed."""
    settings = Settings(envs=(env_id,), agent=AGENT, num_tasks=num_episodes, env_kwargs=kwargs, concurrency=concurrency)
    with tempfile.TemporaryDirectory() as folder:
        run(settings, Path(folder))


def timed(play: Callable[[], Any]) -> tuple[float, Any]:
    """Return the seconds, and what was returned."""
    began = time.perf_counter()
    found = play()
    return time.perf_counter() - began, found


def main() -> int:
    """Measure and report; return the exit status."""
    options = parser(__doc__)
    options.add_argument("--rounds", type=int, default=5, metavar="N")
    options.add_argument("--steps", type=int, default=2000, metavar="N", help="of each contestant and round")
    options.add_argument("--at-once", default="1,4,16", metavar="C[,C…]", help="episodes at once")
    arguments = options.parse_args()
    sys.modules["bench"] = sys.modules["__main__"]  # the agent's module is this script, loaded once
    gymnasium.register(id=COUNTS, entry_point=lambda **kwargs: Counts(**kwargs), disable_env_checker=True)
    at_once = [int(each) for each in arguments.at_once.split(",")]
    figures: dict[str, float] = {}
    for name, env_id, length in (("one", "AgentRL/Math-v0", 1), ("five", COUNTS, 5), ("long", COUNTS, 200)):
        kwargs = {} if length == 1 else {"num_steps": length}
        num_episodes = max(1, arguments.steps // length)
        seconds: dict[int, list[float]] = {each: [] for each in (0, *at_once)}
        num_steps = 1
        for _ in range(arguments.rounds + 1):
            took, num_steps = timed(lambda: bare(env_id, kwargs, num_episodes))  # noqa: B023
            seconds[0].append(took)
            for each in at_once:
                took, _ = timed(lambda: benched(env_id, kwargs, num_episodes, each))  # noqa: B023
                seconds[each].append(took)
        middle = {each: statistics.median(took[1:]) for each, took in seconds.items()}  # the first round warms up
        figures[f"{name}_bare_ms_a_step"] = 1e3 * middle[0] / num_steps
        for each in at_once:
            figures[f"{name}_at_{each}_more_ms_a_step"] = 1e3 * (middle[each] - middle[0]) / num_steps
    report(figures, versions("gymnasium"), arguments.json)
    return 0


if __name__ == "__main__":
    sys.exit(main())
