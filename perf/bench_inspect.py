"""The bench beside inspect_ai: the same questions, the same answers at once, the same scorer, both writing to disk.

The questions are those of `AgentRL/Math-v0`; about every third answer is wrong. Each contestant plays in a process of
its own, a few questions first that are not timed, and they take turns. inspect_ai has its mock model with a function
for its outputs, which counts the tokens itself, as an endpoint would, since inspect_ai otherwise counts them at length;
no display, no live log, no copy of the model's calls, no control server, a log that is written at the end rather than
now and then, and `max_samples` and `max_connections` as many as we play at once. Ours writes episodes as they end, as
it always does.
"""

from __future__ import annotations

import json
import statistics
import subprocess
import sys
import tempfile
import zlib
from pathlib import Path
from typing import Any

import gymnasium
from common import parser, report, versions

import agentrl.envs  # registers the environments  # noqa: F401

CHILD = Path(__file__).parent / "peers" / "questions.py"


def questions(num_questions: int) -> dict[str, Any]:
    """Return the questions of as many seeds, with what is said to each."""
    env = gymnasium.make("AgentRL/Math-v0")
    found = []
    system = ""
    for seed in range(num_questions):
        observation, info = env.reset(seed=seed, options={"split": "test"})
        system = info["system"]
        task = env.unwrapped._task  # type: ignore[attr-defined]  # the truth is nowhere else, which is right
        said = env.unwrapped.oracle()(observation, info)  # type: ignore[attr-defined]
        wrong = zlib.crc32(observation.encode()) % 3 == 0  # by its text, since two seeds may draw the same
        if wrong:
            said += "\n<answer>123456789</answer>"
        found.append(
            {"question": observation, "said": said, "answer": str(task.answer), "unit": task.unit, "right": not wrong}
        )
    env.close()
    return {"system": system, "questions": found}


def played(kind: str, file: Path, concurrency: int) -> dict[str, float]:
    """Let a contestant play; return what it printed."""
    with tempfile.TemporaryDirectory() as folder:
        words = [sys.executable, str(CHILD), kind, str(file), folder, str(concurrency)]
        done = subprocess.run(words, check=True, stdout=subprocess.PIPE, text=True, cwd=folder)
    found: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return found


def main() -> int:
    """Measure and report; return the exit status."""
    options = parser(__doc__)
    options.add_argument("--rounds", type=int, default=3, metavar="N")
    options.add_argument("--questions", type=int, default=1000, metavar="N")
    options.add_argument("--at-once", default="1,4,16", metavar="C[,C…]", help="episodes at once")
    arguments = options.parse_args()
    kinds = ["ours", "inspect"] if versions("inspect-ai") else ["ours"]
    if len(kinds) == 1:
        print("inspect_ai is left out, since it is not installed; type: pip install inspect-ai", file=sys.stderr)
    figures: dict[str, float] = {}
    with tempfile.TemporaryDirectory() as folder:
        told = questions(arguments.questions)
        file = Path(folder) / "questions.json"
        file.write_text(json.dumps(told))
        num_right = sum(each["right"] for each in told["questions"])
        for concurrency in map(int, arguments.at_once.split(",")):
            rounds: dict[str, list[dict[str, float]]] = {kind: [] for kind in kinds}
            for _ in range(arguments.rounds):
                for kind, found in rounds.items():
                    found.append(played(kind, file, concurrency))
            for kind, found in rounds.items():
                if wrong := [each["right"] for each in found if each["right"] != num_right]:
                    print(f"{kind}: {wrong} are right, not {num_right}", file=sys.stderr)
                    return 1
                name = f"at_{concurrency}_{kind}"
                seconds = statistics.median(each["seconds"] for each in found)
                figures[f"{name}_episodes_per_s"] = arguments.questions / seconds
                figures[f"{name}_peak_mb"] = statistics.median(each["peak_mb"] for each in found)
                figures[f"{name}_written_mb"] = statistics.median(each["written_mb"] for each in found)
            for unit in ("episodes_per_s", "peak_mb") if len(kinds) > 1 else ():
                ratio = figures[f"at_{concurrency}_ours_{unit}"] / figures[f"at_{concurrency}_inspect_{unit}"]
                figures[f"at_{concurrency}_{unit}_ratio"] = ratio
    report(figures, versions("inspect-ai", "gymnasium"), arguments.json)
    return 0


if __name__ == "__main__":
    sys.exit(main())
