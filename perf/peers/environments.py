"""Play episodes in an environment, ours or another project's, and print what they took as JSON.

Called by `perf/environments.py` under an interpreter that has the project installed: NAME TASKS URL ROUNDS. TASKS is a
JSON file of episodes, each {"question", "answer", "turns"} and, for code, {"inputs", "outputs"}; every contestant gets
the same ones, in its own dress. Prints {"version", "resets_s", "steps_s", "memory_mb"}: of the round whose sum was
smallest, and of one instance beside what the first one loaded.
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
from typing import Any, Protocol

Episode = dict[str, Any]
NUM_INSTANCES = 20


class Player(Protocol):
    """One instance of an environment. `reset` begins an episode; `step` takes a turn and returns its reward."""

    def reset(self, episode: Episode) -> None: ...

    def step(self, turn: str) -> float: ...


Contestant = tuple[str, str, Callable[[Sequence[Episode], Path, str, list[str]], Callable[[], Player]]]
"""Distribution, kind of task, and what prepares the tasks and returns a maker of instances."""


def main() -> None:
    """Measure and print."""
    name, path, url, rounds, *options = sys.argv[1:]
    episodes = json.loads(Path(path).read_text(encoding="utf-8"))
    distribution, _, prepare = CONTESTANTS[name]
    make = prepare(episodes, Path(path).parent, url, options)
    player = make()
    play(player, episodes[:10])  # what is loaded late
    best: tuple[list[float], list[float]] | None = None
    for _ in range(int(rounds)):
        taken = play(player, episodes)
        if best is None or sum(map(sum, taken)) < sum(map(sum, best)):
            best = taken
    assert best is not None
    before = memory_mb()
    more = [make() for _ in range(NUM_INSTANCES)]
    for each in more:
        each.reset(episodes[0])
    memory = (memory_mb() - before) / NUM_INSTANCES
    resets_s, steps_s = best
    version = metadata.version(distribution)
    print(json.dumps({"version": version, "resets_s": resets_s, "steps_s": steps_s, "memory_mb": memory}))
    sys.stdout.flush()
    for each in more:
        getattr(each, "close", lambda: None)()


def play(player: Player, episodes: Sequence[Episode]) -> tuple[list[float], list[float]]:
    """Play every episode once; return the seconds of each reset and step. A wrong reward ends the measurement."""
    resets, steps = [], []
    for episode in episodes:
        start = time.perf_counter()
        player.reset(episode)
        resets.append(time.perf_counter() - start)
        total = 0.0
        for turn in episode["turns"]:
            start = time.perf_counter()
            reward = player.step(turn)
            steps.append(time.perf_counter() - start)
            total += reward
        if total != 1.0:
            raise SystemExit(f"rewarded {total} for the right answer to {episode['question'][:200]!r}")
    return resets, steps


def memory_mb() -> float:
    """Return the proportional memory of this process and all below it, in MiB."""
    children: dict[int, list[int]] = {}
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = stat.read_text().rpartition(")")[2].split()
        except OSError:
            continue
        children.setdefault(int(fields[1]), []).append(int(stat.parent.name))
    waiting, total = [os.getpid()], 0.0
    while waiting:
        pid = waiting.pop()
        waiting += children.get(pid, [])
        try:
            lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
        except OSError:
            continue
        total += sum(int(line.split()[1]) for line in lines if line.startswith("Pss:")) / 1024
    return total


# -- ours ------------------------------------------------------------------------------------------------------------


class Ours:
    """One of our environments over tasks of a file: a reset draws one by its seed, which was looked up before."""

    def __init__(self, env_id: str, seeds: dict[str, int], **kwargs: Any) -> None:
        gymnasium = importlib.import_module("gymnasium")
        importlib.import_module("agentrl.envs")
        self._env = gymnasium.make(env_id, **kwargs)
        self._seeds = seeds

    def reset(self, episode: Episode) -> None:
        self._env.reset(seed=self._seeds[episode["question"]])

    def step(self, turn: str) -> float:
        return float(self._env.step(turn)[1])

    def close(self) -> None:
        self._env.close()


def _seeds(env_id: str, wanted: Sequence[Episode], **kwargs: Any) -> dict[str, int]:
    """Return a seed for each question, by trying."""
    gymnasium = importlib.import_module("gymnasium")
    importlib.import_module("agentrl.envs")
    env = gymnasium.make(env_id, **kwargs)
    missing = {episode["question"]: episode for episode in wanted}
    seeds: dict[str, int] = {}
    for seed in range(100 * len(wanted)):
        asked = env.reset(seed=seed)[0]
        found = next((question for question in missing if question in asked), None)
        if found is not None:
            seeds[found] = seed
            del missing[found]
        if not missing:
            break
    env.close()
    if missing:
        raise SystemExit(f"{env_id} never asks {next(iter(missing))[:80]!r}")
    return seeds


def ours_math(episodes: Sequence[Episode], folder: Path, url: str, options: list[str]) -> Callable[[], Player]:
    """Math-v0 over the questions as GSM8K has them."""
    path = folder / "ours_math.jsonl"
    rows = [{"question": each["question"], "answer": f"#### {each['answer']}", "split": "train"} for each in episodes]
    path.write_text("\n".join(map(json.dumps, rows)), encoding="utf-8")
    for each in episodes:
        each["turns"] = [f"{each['worked']}\n<answer>{each['answer']}</answer>"]
    seeds = _seeds("AgentRL/Math-v0", episodes, data=str(path))
    return lambda: Ours("AgentRL/Math-v0", seeds, data=str(path))


def ours_generated(episodes: Sequence[Episode], folder: Path, url: str, options: list[str]) -> Callable[[], Player]:
    """Math-v0 as it is: each reset generates a problem, at level 2."""
    for each in episodes:
        each["turns"] = [f"{each['worked']}\n<answer>{each['answer']}</answer>"]
    seeds = {each["question"]: each["seed"] for each in episodes}
    return lambda: Ours("AgentRL/Math-v0", seeds, level=2)


def ours_code(episodes: Sequence[Episode], folder: Path, url: str, options: list[str]) -> Callable[[], Player]:
    """Code-v0 over the problems, in the backend of the options."""
    path = folder / f"ours_code_{options[0]}.jsonl"
    rows = [
        {"question": each["question"], "inputs": each["inputs"], "outputs": each["outputs"], "split": "train"}
        for each in episodes
    ]
    path.write_text("\n".join(map(json.dumps, rows)), encoding="utf-8")
    for each in episodes:
        each["turns"] = [f"<answer>{each['answer']}</answer>"]
    kwargs = {"data": str(path), "backend": options[0]}
    seeds = _seeds("AgentRL/Code-v0", episodes, **kwargs)
    return lambda: Ours("AgentRL/Code-v0", seeds, **kwargs)


def ours_search(episodes: Sequence[Episode], folder: Path, url: str, options: list[str]) -> Callable[[], Player]:
    """Search-v0 over the questions, through the retrieval server."""
    path = folder / "ours_search.jsonl"
    rows = [
        {"id": each["question"], "question": each["question"], "answer": each["answer"], "split": "train"}
        for each in episodes
    ]
    path.write_text("\n".join(map(json.dumps, rows)), encoding="utf-8")
    call = importlib.import_module("agentrl.envs.scripted").call
    for each in episodes:
        searches = [call("search", query=query, k=3) for query in each["queries"]]
        each["turns"] = [*searches, f"<answer>{each['answer']}</answer>"]
    kwargs = {"questions": str(path), "retriever": url}
    seeds = _seeds("AgentRL/Search-v0", episodes, **kwargs)
    return lambda: Ours("AgentRL/Search-v0", seeds, **kwargs)


# -- GEM -------------------------------------------------------------------------------------------------------------


class Gem:
    """One of GEM's environments: it draws the next row of its data, so the turns are found by the question."""

    def __init__(self, env: Any, turns: dict[str, list[str]], find: Callable[[str], str]) -> None:
        self._env, self._turns, self._find = env, turns, find

    def reset(self, episode: Episode) -> None:
        episode["turns"] = self._turns[self._find(self._env.reset()[0])]

    def step(self, turn: str) -> float:
        told, reward, *_ = self._env.step(turn)
        if "SearchTool Error" in str(told):
            raise SystemExit(told)
        return float(reward)


def _rows(rows: list[dict[str, Any]]) -> Any:
    """Return a data set of the library that GEM reads."""
    os.environ["HF_HUB_OFFLINE"] = "1"
    os.environ["HF_HOME"] = tempfile.mkdtemp()
    datasets = importlib.import_module("datasets")
    datasets.disable_progress_bars()
    return datasets.Dataset.from_list(rows)


def gem_math(episodes: Sequence[Episode], folder: Path, url: str, options: list[str]) -> Callable[[], Player]:
    """GEM's MathEnv; its grader runs in a process of its own unless the options say "local"."""
    data = _rows([{"problem": each["question"], "answer": each["answer"]} for each in episodes])
    turns = {each["question"]: [f"{each['worked']}\n\\boxed{{{each['answer']}}}"] for each in episodes}
    kind = importlib.import_module("gem.envs.math_env").MathEnv
    return lambda: Gem(kind(dataset=data, use_mp="local" not in options), turns, lambda asked: asked)


def gem_code(episodes: Sequence[Episode], folder: Path, url: str, options: list[str]) -> Callable[[], Player]:
    """GEM's CodeEnv with its sandbox of the options: "none" or "bwrap"."""
    rows = [
        {"problem": each["question"], "tests": json.dumps({"inputs": each["inputs"], "outputs": each["outputs"]})}
        for each in episodes
    ]
    data = _rows(rows)
    turns = {each["question"]: [f"```python\n{each['answer']}\n```"] for each in episodes}
    kind = importlib.import_module("gem.envs.code_env").CodeEnv
    arguments = {"dataset": data, "dataset_name": "taco", "sandbox_type": options[0]}
    return lambda: Gem(kind(**arguments), turns, lambda asked: asked)


def gem_search(episodes: Sequence[Episode], folder: Path, url: str, options: list[str]) -> Callable[[], Player]:
    """GEM's QaEnv with the search tool as a wrapper."""
    data = _rows([{"question": each["question"], "answer": [each["answer"]]} for each in episodes])
    turns = {each["question"]: _tagged(each) for each in episodes}
    kind = importlib.import_module("gem.envs.qa_env").QaEnv
    tool = importlib.import_module("gem.tools.search_tool").SearchTool
    wrapper = importlib.import_module("gem.tools.tool_env_wrapper").ToolEnvWrapper
    return lambda: Gem(
        wrapper(kind(dataset=data), tools=[tool(search_url=url, topk=3)]),
        turns,
        lambda asked: asked.split("Question: ")[1].split("\n")[0],
    )


# -- skyrl-gym -------------------------------------------------------------------------------------------------------


class Skyrl:
    """skyrl-gym makes an environment for every episode, as its generator does."""

    def __init__(self, name: str, truth: Callable[[Episode], Any], config: Any = None) -> None:
        self._gym = importlib.import_module("skyrl_gym")
        self._name, self._truth, self._config = name, truth, config
        self._env: Any = None

    def reset(self, episode: Episode) -> None:
        self.close()
        extras = {"reward_spec": {"ground_truth": self._truth(episode)}, "max_turns": 8}
        self._env = self._gym.make(
            self._name, **({} if self._config is None else {"env_config": self._config}), extras=extras
        )
        self._env.init([{"role": "user", "content": episode["question"]}])

    def step(self, turn: str) -> float:
        told = self._env.step(turn)
        if "Search error" in str(told["observations"]):
            raise SystemExit(told["observations"])
        reward = told["reward"]
        return float(reward)

    def close(self) -> None:
        if self._env is not None:
            self._env.close()


def skyrl_math(episodes: Sequence[Episode], folder: Path, url: str, options: list[str]) -> Callable[[], Player]:
    """skyrl-gym's gsm8k: one regular expression."""
    for each in episodes:
        each["turns"] = [f"{each['worked']}\n#### {each['answer']}"]
    return lambda: Skyrl("gsm8k", lambda episode: episode["answer"])


def skyrl_code(episodes: Sequence[Episode], folder: Path, url: str, options: list[str]) -> Callable[[], Player]:
    """skyrl-gym's LiveCodeBench: runs the answer in a forked process, without a sandbox."""
    for each in episodes:
        each["turns"] = [f"```python\n{each['answer']}\n```"]

    def truth(episode: Episode) -> str:
        pairs = zip(episode["inputs"], episode["outputs"], strict=True)
        return json.dumps(
            [
                {"input": one, "output": other, "testtype": "stdin", "metadata": {"func_name": None}}
                for one, other in pairs
            ]
        )

    return lambda: Skyrl("lcb", truth)


def skyrl_search(episodes: Sequence[Episode], folder: Path, url: str, options: list[str]) -> Callable[[], Player]:
    """skyrl-gym's search."""
    for each in episodes:
        each["turns"] = _tagged(each)
    config = importlib.import_module("skyrl_gym.envs.search.env").SearchEnvConfig(search_url=url, topk=3)
    return lambda: Skyrl("search", lambda episode: {"target": [episode["answer"]]}, config)


# -- reasoning-gym ---------------------------------------------------------------------------------------------------


class ReasoningGym:
    """A data set of reasoning-gym: a reset generates the next entry, a step scores an answer."""

    def __init__(self, name: str, size: int) -> None:
        self._data = importlib.import_module("reasoning_gym").create_dataset(name, size=size, seed=0)
        self._next = 0
        self._entry: Any = None

    def reset(self, episode: Episode) -> None:
        self._entry = self._data[self._next % len(self._data)]
        self._next += 1
        episode["turns"] = [self._entry["answer"]]

    def step(self, turn: str) -> float:
        return float(self._data.score_answer(answer=turn, entry=self._entry))


def reasoning_gym(episodes: Sequence[Episode], folder: Path, url: str, options: list[str]) -> Callable[[], Player]:
    """reasoning-gym's word problems."""
    return lambda: ReasoningGym(options[0], len(episodes))


def _tagged(episode: Episode) -> list[str]:
    """Return the actions of an episode in the tags that both peers took from Search-R1."""
    return [*(f"<search>{query}</search>" for query in episode["queries"]), f"<answer>{episode['answer']}</answer>"]


CONTESTANTS: dict[str, Contestant] = {
    "agentrl": ("agentrl-gym", "math", ours_math),
    "agentrl-generated": ("agentrl-gym", "math", ours_generated),
    "agentrl-code": ("agentrl-gym", "code", ours_code),
    "agentrl-search": ("agentrl-gym", "search", ours_search),
    "gem-math": ("gem-llm", "math", gem_math),
    "gem-code": ("gem-llm", "code", gem_code),
    "gem-search": ("gem-llm", "search", gem_search),
    "skyrl-math": ("skyrl-gym", "math", skyrl_math),
    "skyrl-code": ("skyrl-gym", "code", skyrl_code),
    "skyrl-search": ("skyrl-gym", "search", skyrl_search),
    "reasoning-gym": ("reasoning_gym", "math", reasoning_gym),
}

if __name__ == "__main__":
    main()
