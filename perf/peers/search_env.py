"""Play scripted episodes in another project's search environment, under an interpreter that has it installed.

Called by `perf/search_env.py` with the peer's name, a JSON file of episodes, the URL of a retrieval server and a number
of rounds; prints {"version", "steps_per_s", "reset_ms"} as JSON. An episode is {"question", "answer", "queries"}.
"""

from __future__ import annotations

import importlib
import json
import os
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from importlib import metadata
from pathlib import Path
from typing import Any

Episode = dict[str, Any]
Play = Callable[[], tuple[int, float, float]]


def main() -> None:
    """Measure and print."""
    name, path, url, rounds = sys.argv[1:]
    episodes = json.loads(Path(path).read_text(encoding="utf-8"))
    prepare, distribution = PEERS[name]
    play = prepare(episodes, url)
    best = 0.0
    reset_ms = 0.0
    for _ in range(int(rounds)):
        start = time.perf_counter()
        num_steps, reward, resets_s = play()
        taken = time.perf_counter() - start
        if reward != len(episodes):
            raise SystemExit(f"{name} rewarded {reward} of {len(episodes)} right answers")
        if num_steps / taken > best:
            best, reset_ms = num_steps / taken, resets_s / len(episodes) * 1e3
    print(json.dumps({"version": metadata.version(distribution), "steps_per_s": best, "reset_ms": reset_ms}))


def turns(episode: Episode) -> list[str]:
    """Return the actions of an episode in the tags that both peers took from Search-R1."""
    return [*(f"<search>{query}</search>" for query in episode["queries"]), f"<answer>{episode['answer']}</answer>"]


def gem(episodes: Sequence[Episode], url: str) -> Play:
    """GEM: a question of a data set at each reset, the search tool as a wrapper."""
    os.environ["HF_HUB_OFFLINE"] = "1"
    os.environ["HF_HOME"] = tempfile.mkdtemp()
    datasets = importlib.import_module("datasets")
    datasets.disable_progress_bars()
    rows = [{"question": episode["question"], "answer": [episode["answer"]]} for episode in episodes]
    qa = importlib.import_module("gem.envs.qa_env").QaEnv(dataset=datasets.Dataset.from_list(rows))
    tool = importlib.import_module("gem.tools.search_tool").SearchTool(search_url=url, topk=3)
    env = importlib.import_module("gem.tools.tool_env_wrapper").ToolEnvWrapper(qa, tools=[tool])
    scripts = {episode["question"]: turns(episode) for episode in episodes}

    def play() -> tuple[int, float, float]:
        num_steps, total, resets_s = 0, 0.0, 0.0
        for _ in episodes:
            start = time.perf_counter()
            observation, _ = env.reset()
            resets_s += time.perf_counter() - start
            for action in scripts[observation.split("Question: ")[1].split("\n")[0]]:
                told, reward, _, _, _ = env.step(action)
                if "SearchTool Error" in told:
                    raise SystemExit(told)
                num_steps += 1
                total += float(reward)
        return num_steps, total, resets_s

    return play


def skyrl_gym(episodes: Sequence[Episode], url: str) -> Play:
    """skyrl-gym: an environment for every episode, as its generator makes them."""
    gym = importlib.import_module("skyrl_gym")
    config = importlib.import_module("skyrl_gym.envs.search.env").SearchEnvConfig(search_url=url, topk=3)

    def play() -> tuple[int, float, float]:
        num_steps, total, resets_s = 0, 0.0, 0.0
        for episode in episodes:
            start = time.perf_counter()
            extras = {"reward_spec": {"ground_truth": {"target": [episode["answer"]]}}, "max_turns": 8}
            env = gym.make("search", env_config=config, extras=extras)
            env.init([{"role": "user", "content": episode["question"]}])
            resets_s += time.perf_counter() - start
            for action in turns(episode):
                told = env.step(action)
                if "Search error" in str(told["observations"]):
                    raise SystemExit(told["observations"])
                num_steps += 1
                total += float(told["reward"])
            env.close()
        return num_steps, total, resets_s

    return play


PEERS: dict[str, tuple[Callable[[Sequence[Episode], str], Play], str]] = {
    "gem": (gem, "gem-llm"),
    "skyrl-gym": (skyrl_gym, "skyrl-gym"),
}

if __name__ == "__main__":
    main()
