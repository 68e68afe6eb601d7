"""What a rubric costs an episode, in CPU time: five cheap components, beside bare functions and beside verifiers.

An episode of Search-v0, played by its oracle, is scored again and again, from its messages to the reward. `plain` is
the same five functions (peers/rewards.py) called bare, through our Rubric, and through verifiers' Rubric, so that the
ratio is that of the layers. `box` is five components of the box, which check more than those functions do; `wrapped`
is what RubricReward with these adds to a whole episode that is stepped. Verifiers needs an environment of its own:

    python3.11 -m venv PEER && PEER/bin/pip install 'verifiers==0.1.14'
"""

from __future__ import annotations

import json
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import gymnasium
from common import parser, report, versions
from peers.rewards import FUNCTIONS

import agentrl.envs  # noqa: F401  # registers
from agentrl.envs.rubrics import Component, Rubric, RubricReward, Transcript, from_toml

RUBRIC = """
[[component]]
use = "exact_match"
with = {reference = "ANSWER"}

[[component]]
use = "format_tags"
weight = 0.1
with = {tags = ["answer"]}

[[component]]
use = "num_turns"
weight = 0.1
with = {soft = 4, hard = 8}

[[component]]
use = "length"
weight = 0.1
with = {soft = 60, hard = 120}

[[component]]
use = "tools_repeated"
weight = 0.1
"""


def main() -> None:
    """Measure and report."""
    options = parser(__doc__)
    options.add_argument("--episodes", type=int, default=5000, metavar="N")
    options.add_argument("--rounds", type=int, default=5, metavar="N", help="the fastest counts")
    options.add_argument("--peer-python", type=Path, metavar="PATH", help="interpreter with verifiers")
    arguments = options.parse_args()
    opening, messages, answer = played()
    rubric = from_toml(RUBRIC.replace("ANSWER", answer))
    kept = tuple(messages)
    score = rubric.score(Transcript(messages=kept, tools=opening))
    assert score.values["exact_match"] == 1.0
    given = [lambda episode, f=f: f(episode.messages, answer) for f in FUNCTIONS]
    plain = Rubric(components=tuple(Component(name=f.__name__, use=g) for f, g in zip(FUNCTIONS, given, strict=True)))
    bare = fastest(lambda: sum(function(messages, answer) for function in FUNCTIONS), arguments)
    ours = fastest(lambda: plain.score(Transcript(messages=kept, tools=opening)), arguments)
    figures = {
        "bare_us_per_episode": bare,
        "plain_us_per_episode": ours,
        "plain_over_bare": ours / bare,
        "box_us_per_episode": fastest(lambda: rubric.score(Transcript(messages=kept, tools=opening)), arguments),
        "wrapped_us_per_episode": wrapped(answer, arguments.episodes // 25, arguments.rounds),
    }
    peers = {}
    if arguments.peer_python is not None:
        task = json.dumps({"messages": messages, "answer": answer, "episodes": 500, "rounds": arguments.rounds})
        command, here = [arguments.peer_python.absolute(), "-m", "peers.rubrics"], Path(__file__).parent
        done = subprocess.run(command, input=task, capture_output=True, text=True, check=True, cwd=here)
        told = json.loads(done.stdout)
        figures["verifiers_us_per_episode"] = told["us"]
        figures["verifiers_over_plain"] = told["us"] / ours
        peers["verifiers"] = told["version"]
    report(figures, {**versions("gymnasium"), **peers}, arguments.json)


def played() -> tuple[tuple[dict[str, Any], ...], list[dict[str, Any]], str]:
    """Return the tools, the messages and the accepted answer of an episode that the oracle solves."""
    env = gymnasium.make("AgentRL/Search-v0", level=2)
    inner: Any = env.unwrapped
    observation, info = env.reset(seed=1)
    tools = tuple(info["tools"])
    messages = [{"role": "system", "content": info["system"]}, {"role": "user", "content": observation}]
    policy, done = inner.oracle(), False
    while not done:
        action = policy(observation, info)
        messages.append({"role": "assistant", "content": action})
        observation, _, terminated, truncated, info = env.step(action)
        messages += info["replies"]
        done = terminated or truncated
    env.close()
    return tools, messages, str(inner.references()[0])


def wrapped(answer: str, num_episodes: int, rounds: int) -> float:
    """Return the microseconds of CPU time that RubricReward adds to an episode, everything of a step included."""
    rubric = from_toml(RUBRIC.replace("ANSWER", answer))
    envs = [gymnasium.make("AgentRL/Search-v0", level=2) for _ in range(2)]
    wrapped_env = RubricReward(envs[1], rubric)
    inner: Any
    best = {0: float("inf"), 1: float("inf")}
    for _ in range(rounds):
        for at, env in enumerate((envs[0], wrapped_env)):
            spent = 0.0
            inner = env.unwrapped
            for _ in range(num_episodes):
                observation, info = env.reset(seed=1)
                policy, done = inner.oracle(), False
                while not done:
                    action = policy(observation, info)
                    began = time.process_time()
                    observation, _, terminated, truncated, info = env.step(action)
                    spent += time.process_time() - began
                    done = terminated or truncated
            best[at] = min(best[at], spent / num_episodes)
    for env in envs:
        env.close()
    return (best[1] - best[0]) * 1e6


def fastest(score: Callable[[], Any], arguments: Any) -> float:
    """Return the microseconds of CPU time of a call, in the fastest of several rounds."""
    best = float("inf")
    for _ in range(arguments.rounds):
        began = time.process_time()
        for _ in range(arguments.episodes):
            score()
        best = min(best, (time.process_time() - began) / arguments.episodes)
    return best * 1e6


if __name__ == "__main__":
    main()
