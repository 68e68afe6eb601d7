"""Play episodes in a fresh process with another PYTHONHASHSEED, and listen to what it prints."""

from __future__ import annotations

import json
import os
import pickle
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from agentrl.envs.checker.crumbs import Crumbs
from agentrl.envs.checker.episodes import Episode, Task, last_line
from agentrl.envs.checker.subject import Subject

__all__ = ["Answer", "main", "played_elsewhere"]

_HASH_SEED = "4242"
_START = "import sys; from agentrl.envs.checker.elsewhere import main; sys.exit(main(*sys.argv[1:]))"


@dataclass(frozen=True, kw_only=True)
class Answer:
    """What came back."""

    pairs: tuple[tuple[Task, Any, Any], ...]  # task, what was played here, what was played there
    printed: str
    error: str
    import_s: float
    hash_seed: str = _HASH_SEED


def played_elsewhere(subject: Subject) -> Answer:
    """Play some episodes here and in a fresh process; done once for a subject."""
    if subject.elsewhere is None:
        subject.elsewhere = _ask(subject)
    answer: Answer = subject.elsewhere
    return answer


def main(request_path: str, response_path: str) -> int:
    """Play what a request says; the way of the fresh process."""
    job, wanted = pickle.loads(Path(request_path).read_bytes())
    before = time.perf_counter()
    answer: dict[str, Any] = {"episodes": [], "error": "", "import_s": 0.0}
    try:
        job.settle()
        subject = Subject(job, Crumbs(Path(response_path + ".crumbs")))
        subject.make()
        answer["import_s"] = time.perf_counter() - before
        answer["episodes"] = [_plain(subject.replay(subject.make(), task, actions)) for task, actions in wanted]
        subject.release()
    except Exception as error:
        answer["error"] = last_line(error)
    Path(response_path).write_text(json.dumps(answer))
    return 0


def _ask(subject: Subject) -> Answer:
    folder = Path(subject.job.folder)
    request, response = folder / "request", folder / "response"
    tasks = subject.tasks(2)[:10]
    scripts = [subject.script(subject.make(), task) for task in tasks]
    request.write_bytes(pickle.dumps((subject.job, [(each.task, each.actions) for each in scripts])))
    environment = {**os.environ, "PYTHONHASHSEED": _HASH_SEED}
    limit_s = subject.profile.check_s - 10
    command = [sys.executable, "-c", _START, str(request), str(response)]
    try:
        done = subprocess.run(
            command, env=environment, capture_output=True, text=True, errors="replace", timeout=limit_s, check=False
        )
    except subprocess.TimeoutExpired:
        return Answer(pairs=(), printed="", error=f"nothing came back within {limit_s:.0f} s", import_s=0.0)
    printed = done.stdout + done.stderr
    if not response.exists():
        return Answer(
            pairs=(), printed=printed, error=f"it ended with {done.returncode}: {printed[-300:]}", import_s=0.0
        )
    answer = json.loads(response.read_text())
    pairs = tuple(
        (each.task, json.loads(json.dumps(_plain(each))), there)
        for each, there in zip(scripts, answer["episodes"], strict=False)
    )
    return Answer(pairs=pairs, printed=printed, error=answer["error"], import_s=answer["import_s"])


def _plain(episode: Episode) -> Any:
    steps = [list(vars(step).values()) for step in episode.steps]
    return json.loads(json.dumps([episode.observation, episode.info, steps], default=str))
