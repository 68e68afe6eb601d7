"""How fast environments reset and step, beside those of GEM, skyrl-gym and reasoning-gym, on the kinds that they share.

Math: the same word problems for all, one turn each; and problems generated at each reset beside reasoning-gym's own.
Code: the same programs with ten inputs each, answered rightly, so that all ten run. Search: the same questions, asked
of one retrieval server on the loopback. Contestants take turns, a process each; of several rounds the fastest counts.
The peers need environments of their own, since GEM and reasoning-gym want different versions of the latter:

    python3.11 -m venv PEERS && PEERS/bin/pip install gem-llm==0.1.0 skyrl-gym==0.4.0 datasets requests pylatexenc
    PEERS/bin/pip install textarena==0.7.4
    python3.11 -m venv RG && RG/bin/pip install reasoning-gym==0.1.25

GEM's terminal needs more: terminal-bench 0.2.18 (of Python 3.12), Docker's compose, and an image with tmux in it:

    debootstrap --variant=minbase --include=tmux,asciinema,procps bookworm ROOT
    tar -C ROOT -c . | docker import - agentrl/terminal-peer:1
"""

from __future__ import annotations

import json
import os
import random
import sqlite3
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

from common import parser, percentile, report, versions
from retrieval_server import server, tasks

from agentrl.envs.code.tasks import Task as CodeTask
from agentrl.envs.code.tasks import generate as code_task
from agentrl.envs.math.answers import show
from agentrl.envs.math.env import MathEnv

NUM_INPUTS = 10
SHARES: Mapping[str, int] = {"code": 5, "terminal": 40, "games": 4}  # TextArena makes a room of Sokoban in seconds
"""Kind -> what part of the episodes it plays, where one takes long."""
DATABASE = "shop"
TERMINAL_IMAGE = "agentrl/terminal-peer:1"
Episode = dict[str, Any]

# Kind -> name in the figures -> (contestant of peers/environments.py, whose interpreter, its options).
CONTESTS: Mapping[str, Mapping[str, tuple[str, str, Sequence[str]]]] = {
    "math": {
        "agentrl": ("agentrl", "", ()),
        "gem": ("gem-math", "peers", ()),
        "gem_in_process": ("gem-math", "peers", ("local",)),
        "skyrl": ("skyrl-math", "peers", ()),
    },
    "math_generated": {
        "agentrl": ("agentrl-generated", "", ()),
        "reasoning_gym_gsm_symbolic": ("reasoning-gym", "rg", ("gsm_symbolic",)),
        "reasoning_gym_chain_sum": ("reasoning-gym", "rg", ("chain_sum",)),
    },
    "code": {
        "agentrl_docker": ("agentrl-code", "", ("docker",)),
        "agentrl_bwrap": ("agentrl-code", "", ("bwrap",)),
        "gem_bwrap": ("gem-code", "peers", ("bwrap",)),
        "gem_no_sandbox": ("gem-code", "peers", ("none",)),
        "skyrl_no_sandbox": ("skyrl-code", "peers", ()),
    },
    "search": {
        "agentrl": ("agentrl-search", "", ()),
        "gem": ("gem-search", "peers", ()),
        "skyrl": ("skyrl-search", "peers", ()),
    },
    "sql": {
        "agentrl": ("agentrl-sql", "", (DATABASE,)),
        "skyrl": ("skyrl-sql", "peers", (DATABASE,)),
    },
    "games": {
        "agentrl_mastermind": ("agentrl-games", "", ("mastermind",)),
        "textarena_mastermind": ("textarena-games", "peers", ("mastermind",)),
        "gem_mastermind": ("gem-games", "peers", ("mastermind",)),
        "agentrl_sokoban": ("agentrl-games", "", ("sokoban",)),
        "textarena_sokoban": ("textarena-games", "peers", ("sokoban",)),
        "agentrl_connectfour": ("agentrl-games", "", ("connectfour",)),
        "textarena_connectfour": ("textarena-games", "peers", ("connectfour",)),
    },
    "terminal": {
        "agentrl": ("agentrl-terminal", "", (TERMINAL_IMAGE,)),
        "gem": ("gem-terminal", "peers", (TERMINAL_IMAGE,)),
    },
}


def main() -> None:
    """Measure and report."""
    options = parser(__doc__)
    options.add_argument("--peers-python", type=Path, metavar="PATH", help="interpreter with GEM and skyrl-gym")
    options.add_argument("--rg-python", type=Path, metavar="PATH", help="interpreter with reasoning-gym")
    options.add_argument("--episodes", type=int, default=200, metavar="N", help="of math and search; a fifth for code")
    options.add_argument("--rounds", type=int, default=3, metavar="N")
    options.add_argument("--kinds", default=",".join(CONTESTS), help="some of %(default)s")
    arguments = options.parse_args()
    pythons = {"": Path(sys.executable), "peers": arguments.peers_python, "rg": arguments.rg_python}
    figures: dict[str, float] = {}
    peers: dict[str, str] = {}
    with tempfile.TemporaryDirectory() as folder:
        for kind in arguments.kinds.split(","):
            for url, path in prepared(kind, arguments.episodes, Path(folder)):
                for name, (contestant, where, extra) in CONTESTS[kind].items():
                    python = pythons[where]
                    told = contest(python, contestant, path, url, arguments.rounds, extra)
                    if isinstance(told, str):
                        peers[f"{kind} {name}"] = f"not measured: {told}"
                        continue
                    peers[contestant] = told["version"]
                    figures |= {f"{kind}_{name}_{key}": value for key, value in summed(told).items()}
    report(figures, versions("gymnasium") | peers, arguments.json)


def summed(told: Mapping[str, Any]) -> dict[str, float]:
    """Return the figures of one contestant."""
    resets, steps = told["resets_s"], told["steps_s"]
    return {
        "steps_per_s": len(steps) / (sum(resets) + sum(steps)),
        "reset_p50_ms": percentile(resets, 50) * 1e3,
        "reset_p99_ms": percentile(resets, 99) * 1e3,
        "step_p50_ms": percentile(steps, 50) * 1e3,
        "step_p99_ms": percentile(steps, 99) * 1e3,
        "memory_mb": told["memory_mb"],
    }


def prepared(kind: str, number: int, folder: Path) -> Iterator[tuple[str, Path]]:
    """Yield once the URL of the server, where there is one, and the file of episodes; the server ends afterwards."""
    path = folder / f"{kind}.json"
    if kind == "search":
        documents, episodes = tasks(number)
        path.write_text(json.dumps(episodes), encoding="utf-8")
        with server(documents) as url:
            yield url, path
        return
    make = {"code": programs, "sql": queries, "terminal": commands, "games": games}.get(kind, problems)
    if kind == "sql":
        database(folder / "spider" / "database" / DATABASE / f"{DATABASE}.sqlite")
    episodes = make(max(2, number // SHARES.get(kind, 1)))
    path.write_text(json.dumps(episodes), encoding="utf-8")
    yield "", path


def games(number: int) -> list[Episode]:
    """Return seeds; what is played depends on the game, four turns each."""
    return [{"question": f"seed {seed}", "seed": seed} for seed in range(number)]


def problems(number: int) -> list[Episode]:
    """Return word problems of level 2 with whole answers and their worked solutions."""
    env = MathEnv(level=2)
    episodes: dict[str, Episode] = {}
    for seed in range(100 * number):
        question, _ = env.reset(seed=seed)
        task = env._current()
        if task.answer.denominator == 1 and task.unit != "%" and question not in episodes:
            worked = "\n".join(task.steps)
            episodes[question] = {"question": question, "answer": show(task.answer), "worked": worked, "seed": seed}
        if len(episodes) == number:
            break
    return list(episodes.values())


def programs(number: int) -> list[Episode]:
    """Return problems with standard input and output, a right program for each, and ten inputs with what comes out."""
    episodes: dict[str, Episode] = {}
    for seed in range(100 * number):
        level = random.Random(seed).randint(2, 5)
        try:
            task: CodeTask = code_task(seed, "train", level, topic="programs")
        except ValueError:  # no program of this level
            continue
        checks = [*task.examples, *task.hidden][:NUM_INPUTS]
        if len(checks) < NUM_INPUTS or task.question.strip() in episodes:
            continue
        inputs = [str(check.args[0]) for check in checks]
        outputs = [str(check.expected) for check in checks]
        question = task.question.strip()
        episodes[question] = {"question": question, "answer": task.solution, "inputs": inputs, "outputs": outputs}
        if len(episodes) == number:
            break
    return list(episodes.values())


def database(path: Path) -> None:
    """Write a database of customers and their orders, as large as many of Spider's."""
    path.parent.mkdir(parents=True)
    rng = random.Random(0)
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute("CREATE TABLE customers (id INTEGER PRIMARY KEY, name TEXT, city TEXT)")
        connection.execute(
            "CREATE TABLE orders (id INTEGER PRIMARY KEY, customer_id INTEGER REFERENCES customers(id), "
            "product TEXT, units INTEGER, month TEXT)"
        )
        people = [(key, f"name{key}", f"city{rng.randrange(12)}") for key in range(1, 201)]
        connection.executemany("INSERT INTO customers VALUES (?, ?, ?)", people)
        orders = [
            (
                key,
                rng.randint(1, 200),
                f"product{rng.randrange(30)}",
                rng.randint(1, 9),
                f"2025-{rng.randint(1, 12):02}",
            )
            for key in range(1, 2001)
        ]
        connection.executemany("INSERT INTO orders VALUES (?, ?, ?, ?, ?)", orders)


def queries(number: int) -> list[Episode]:
    """Return questions over that database with a query for each: a filter, a group, a join."""
    rng = random.Random(1)
    episodes: dict[str, Episode] = {}
    while len(episodes) < number:
        units, product, city = rng.randint(1, 9), f"product{rng.randrange(30)}", f"city{rng.randrange(12)}"
        question, query = rng.choice(
            [
                (
                    f"How many orders are for more than {units} units of {product}?",
                    f"SELECT COUNT(*) FROM orders WHERE units > {units} AND product = '{product}'",
                ),
                (
                    f"How many units of {product} were ordered in each month, where it was more than {units}?",
                    f"SELECT month, SUM(units) FROM orders WHERE product = '{product}' GROUP BY month "
                    f"HAVING SUM(units) > {units}",
                ),
                (
                    f"Which customers of {city} ordered more than {units} units at once, and what?",
                    "SELECT DISTINCT c.name, o.product FROM orders AS o JOIN customers AS c ON c.id = o.customer_id "
                    f"WHERE c.city = '{city}' AND o.units > {units}",
                ),
            ]
        )
        episodes[question] = {"question": question, "answer": query}
    return list(episodes.values())


def commands(number: int) -> list[Episode]:
    """Return one task for a shell, three commands that do it, and the test of it, several times."""
    made = ["mkdir -p /app/out", "echo hello > /app/out/note.txt", "cat /app/out/note.txt"]
    question = "Make the folder /app/out and write the line hello into /app/out/note.txt."
    test = '[ "$(cat /app/out/note.txt)" = hello ]'
    return [{"question": question, "answer": "done", "commands": made, "test": test} for _ in range(number)]


def contest(
    python: Path | None, name: str, path: Path, url: str, rounds: int, options: Sequence[str]
) -> dict[str, Any] | str:
    """Run a contestant; return what it measured, or why it could not run."""
    if python is None:
        return "no interpreter given (--peers-python, --rg-python)"
    program = Path(__file__).parent / "peers" / "environments.py"
    command = [str(python), "-W", "ignore", str(program), name, str(path), url, str(rounds), *options]
    with tempfile.TemporaryDirectory() as cwd:  # GEM makes folders where it runs
        try:
            # GEM runs the `python` of PATH: that of its own environment, not a slower one that happens to come first.
            environ = {**os.environ, "PATH": f"{python.parent}:{os.environ['PATH']}"}
            done = subprocess.run(command, capture_output=True, text=True, timeout=900, cwd=cwd, env=environ)
        except (OSError, subprocess.TimeoutExpired) as error:
            return str(error)
    if done.returncode != 0:
        return (done.stderr.strip().splitlines() or [f"exit status {done.returncode}"])[-1]
    told: dict[str, Any] = json.loads(done.stdout.strip().splitlines()[-1])
    return told


if __name__ == "__main__":
    main()
