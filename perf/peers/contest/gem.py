"""GEM's environments over the tasks of a contest."""

from __future__ import annotations

import importlib
import json
import logging
import os
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from peers.contest import Episode, Player, tagged


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
    turns = {each["question"]: tagged(each) for each in episodes}
    kind = importlib.import_module("gem.envs.qa_env").QaEnv
    tool = importlib.import_module("gem.tools.search_tool").SearchTool
    wrapper = importlib.import_module("gem.tools.tool_env_wrapper").ToolEnvWrapper
    return lambda: Gem(
        wrapper(kind(dataset=data), tools=[tool(search_url=url, topk=3)]),
        turns,
        lambda asked: asked.split("Question: ")[1].split("\n")[0],
    )


class GemTerminal:
    """GEM's terminal: a container of terminal-bench for every episode, commands by `docker exec`."""

    def __init__(self, kind: Any, task: Any, containers: Any) -> None:
        self._kind, self._task, self._containers = kind, task, containers
        self._env: Any = None

    def reset(self, episode: Episode) -> None:
        self.close()
        self._env = self._kind([self._task], self._containers)
        self._env.reset()
        commands = [f"<bash>{json.dumps({'cmd': command})}</bash>" for command in episode["commands"]]
        episode["turns"] = [*commands, "<finish></finish>"]

    def step(self, turn: str) -> float:
        return float(self._env.step(turn)[1])

    def close(self) -> None:
        env, self._env = self._env, None
        if env is not None and env.terminal is not None:  # the next reset would leave its container running
            env.terminal.container.remove(force=True)


def gem_terminal(episodes: Sequence[Episode], folder: Path, url: str, options: list[str]) -> Callable[[], Player]:
    """GEM's DockerEnv over a task of terminal-bench in the image of the options, which has tmux and asciinema."""
    os.environ["LITELLM_LOCAL_MODEL_COST_MAP"] = "True"  # else it asks the network at import, three times
    module = importlib.import_module("gem.envs.terminal.docker_env")
    logging.disable()
    task = folder / "gem_terminal" / "task"
    (task / "tests").mkdir(parents=True)
    for name, content in _terminal_bench(episodes[0], options[0]).items():
        (task / name).write_text(content, encoding="utf-8")
    config = module.TaskConfig(task_name=task.name, task_path=str(task), test_weights={"test_it": 1.0})
    containers = module.ContainerConfig(no_rebuild=True)
    return lambda: GemTerminal(module.DockerEnv, config, containers)


def _terminal_bench(episode: Episode, image: str) -> dict[str, str]:
    """Return the files of a task in terminal-bench's first format, judged by the same shell test as elsewhere."""
    compose = {
        "version": "3",
        "services": {
            "client": {
                "image": image,
                "container_name": "${T_BENCH_TASK_DOCKER_CLIENT_CONTAINER_NAME}",
                "network_mode": "none",
                "working_dir": "/app",
                "command": ["sleep", "infinity"],
                "volumes": [
                    "${T_BENCH_TASK_LOGS_PATH}:${T_BENCH_CONTAINER_LOGS_PATH}",
                    "${T_BENCH_TASK_AGENT_LOGS_PATH}:${T_BENCH_CONTAINER_AGENT_LOGS_PATH}",
                ],
            }
        },
    }
    about = {
        "instruction": episode["question"],
        "difficulty": "easy",
        "category": "files",
        "parser_name": "pytest",
        "author_name": "contest",
        "author_email": "contest@example.org",
        "max_agent_timeout_sec": 60,
        "max_test_timeout_sec": 60,
    }
    # Its parser reads pytest's summary; no pytest is run, which would only slow it.
    passed, failed = (f'echo "{word} t.py::test_it"' for word in ("PASSED", "FAILED"))
    summary = 'echo "=== short test summary info ==="'
    verdict = f"{summary}; if {episode['test']}; then {passed}; else {failed}; fi\n"
    return {
        "docker-compose.yaml": json.dumps(compose),
        "task.yaml": json.dumps(about),
        "Dockerfile": f"FROM {image}\n",
        "run-tests.sh": verdict,
        "tests/t.py": "",
    }
