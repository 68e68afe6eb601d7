"""What a rubric costs an episode: five cheap components, beside the same functions called bare and beside verifiers.

An episode of Search-v0, played by its oracle, is scored again and again. Bare are five plain functions of the text with
the same work; ours are the components of the box, from messages to the reward, the transcript's making included.
`wrapped` is what RubricReward adds to a whole episode that is stepped. Verifiers scores the same conversation with the
same five functions; it needs an environment of its own:

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

import agentrl.envs  # noqa: F401  # registers
from agentrl.envs.rubrics import RubricReward, Transcript, from_toml

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
    ours = fastest(lambda: rubric.score(Transcript(messages=kept, tools=opening)), arguments)
    figures = {
        "rubric_us_per_episode": ours,
        "wrapped_us_per_episode": wrapped(answer, arguments.episodes // 25, arguments.rounds),
    }
    peers = {}
    if arguments.peer_python is not None:
        task = json.dumps({"messages": messages, "answer": answer, "episodes": 500, "rounds": arguments.rounds})
        script = Path(__file__).parent / "peers" / "rubrics.py"
        done = subprocess.run([arguments.peer_python, script], input=task, capture_output=True, text=True, check=True)
        told = json.loads(done.stdout)
        figures["verifiers_us_per_episode"] = told["us"]
        figures["verifiers_over_ours"] = told["us"] / ours
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
    return tools, messages, str(inner._answers[0])


def wrapped(answer: str, num_episodes: int, rounds: int) -> float:
    """Return the microseconds of CPU time that RubricReward adds to an episode, everything of a step included."""
    rubric = from_toml(RUBRIC.replace("ANSWER", answer))
    envs = [gymnasium.make("AgentRL/Search-v0", level=2) for _ in range(2)]
    wrapped_env = RubricReward(envs[1], rubric)
    inner: Any = envs[0].unwrapped
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
