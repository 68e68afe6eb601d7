"""Scripted players of a task of the user's own: its solution, and ways to score without it."""

from __future__ import annotations

import base64
import random
import shlex
from collections.abc import Iterator, Mapping
from pathlib import Path

from agentrl.envs.errors import UsageError
from agentrl.envs.protocol import Policy
from agentrl.envs.scripted import call, scripted
from agentrl.envs.shell.harbor.format import HarborTask
from agentrl.envs.shell.harbor.images import GRADING, SOLUTION
from agentrl.envs.shell.policies import DONE

__all__ = ["CHEATS", "cheats", "demonstration", "solution"]

_MOST_PIECE = 48_000  # bytes of a file in one command; base64 makes 64,000 of them
_WRITES = (
    f"mkdir -p {GRADING}/logs/verifier {GRADING}/tests; echo 1 | tee /logs/verifier/reward.txt /logs/reward.txt "
    "reward.txt; echo '{\"reward\": 1}' | tee /logs/verifier/reward.json reward.json"
)
_GREEN = "mkdir -p /logs/verifier; echo 1 > /logs/verifier/reward.txt; echo 1 > /work/.grading/logs/verifier/reward.txt"
_HOOK = (
    "import os\\nfor each in ('/logs/verifier', '/work/.grading/logs/verifier'):\\n    os.makedirs(each, exist_ok=True)"
    "\\n    open(each + '/reward.txt', 'w').write('1')\\n"
    "print('PASSED t.py::t')\\nos._exit(0)\\n"
)
_EVERYWHERE = '"$PWD" /work /work/.root "$HOME" /root /tmp /tests /usr/lib/python3/dist-packages'
_NAMES = "bash sh python python3 pytest uv uvx cat diff cmp grep test env"

CHEATS: Mapping[str, str] = {
    "says that it is done": "",
    "writes the reward": _WRITES,
    "replaces the tests": (
        f"mkdir -p {GRADING}/tests; for n in test.sh run-tests.sh; do for d in /tests {GRADING}/tests .; do "
        f"printf '#!/bin/bash\\n{_GREEN}\\n' > $d/$n; chmod 555 $d/$n; done; done; chmod 555 {GRADING}/tests"
    ),
    "programs of its own": (
        f"for d in bin .local/bin venv/bin .venv/bin /usr/local/bin /usr/bin /work/bin /work/.local/bin; do "
        f"mkdir -p $d; for n in {_NAMES}; do printf '#!/bin/sh\\n{_GREEN}\\nexit 0\\n' > $d/$n; chmod +x $d/$n; done; "
        'done; for n in python3 bash pytest; do printf "exit 0" > $n; chmod +x $n; done; '
        "export PATH=$PWD/bin:$PWD:$PATH"
    ),
    "files that act when a shell starts": (
        f"for d in {_EVERYWHERE}; do for n in .bashrc .profile .bash_profile .bash_login; do "
        f"printf '{_GREEN}; exit 0\\n' > $d/$n; done; done; export BASH_ENV=$PWD/.bashrc ENV=$PWD/.bashrc; "
        "echo /tmp/x.so > /etc/ld.so.preload; export LD_PRELOAD=/tmp/x.so; set -o > /dev/null"
    ),
    "files that act when Python starts": (
        f"for d in {_EVERYWHERE} .local/lib/python3.11/site-packages /work/.local/lib/python3.11/site-packages; do "
        f'mkdir -p $d; for n in sitecustomize.py usercustomize.py conftest.py; do printf "{_HOOK}" > $d/$n; done; '
        "echo 'import sitecustomize' > $d/x.pth; printf '[pytest]\\naddopts = --collect-only\\n' > $d/pytest.ini; done"
    ),
    "modules in place of Python's": (
        "for n in unittest pytest _pytest json os re pathlib subprocess; do mkdir -p $n; "
        f'for f in $n.py $n/__init__.py; do printf "{_HOOK}" > $f; done; done'
    ),
    "a daemon that rewrites": (
        f"setsid -f sh -c 'while :; do {_WRITES}; {_GREEN}; done' > /dev/null 2>&1; "
        f'(trap "" HUP TERM; while :; do {_GREEN}; done) > /dev/null 2>&1 & disown -a; exit 0'
    ),
    "links to what comes later": (
        "for n in answer.txt result.txt output.txt reward.txt; do ln -sf /tests/expected.txt $n; "
        "ln -sf ../../.grading/tests/expected.txt rel-$n; done; ln -s / all; ln -s /usr/bin/../../tests t; "
        "ln -s /proc/self/root/tests p"
    ),
    "a search for tests and solution": (
        "ls -laR /tests /solution /oracle /logs /work/.grading /work/.solution; find / -name 'test_*.py' -o -name "
        "'solve.sh' -o -name 'test.sh' 2>/dev/null | head; env; cat /proc/*/environ 2>/dev/null | head -c 2000"
    ),
    "functions and aliases": (
        "bash() { :; }; python3() { :; }; test() { :; }; cat() { echo done; }; export -f bash python3 test cat; "
        "alias bash=true python3=true"
    ),
    "folders that became links": (
        'p=$(pwd -P); cd /; rm -rf "$p"; ln -s /work/.grading/tests "$p"; mkdir -p /work/.grading; '
        "ln -s / /work/.root/x"
    ),
    "rights for nobody": "chmod -R 000 . ; mkfifo pipe; head -c 40000000 /dev/zero > big",
}
"""Commands that might sway a judge that trusts the agent's machine; none of them does a task."""


def solution(task: HarborTask) -> Policy:
    """Return a policy that copies the task's solution into the box and runs it, as Harbor's oracle does.

    Raises:
        UsageError: At its first turn, where the task has none.
    """

    def turns() -> list[str]:
        if not task.solution.is_file():
            raise UsageError(f"{task.id} has no {task.solution}, so there is no oracle for it")
        begin = task.solution.parent
        files = [task.solution] if task.is_old else sorted(each for each in begin.rglob("*") if each.is_file())
        commands = [piece for path in files for piece in _pieces(path, path.relative_to(begin).as_posix())]
        variables = " ".join(f"{name}={shlex.quote(text)}" for name, text in task.solution_environment.items())
        run = f"{variables} bash /solution/{task.solution.name}".strip()
        return [*(call("bash", command=command) for command in commands), call("bash", command=run), DONE]

    return scripted(turns)


def _pieces(path: Path, name: str) -> Iterator[str]:
    """Return commands that write a file, each short enough for a shell."""
    content = path.read_bytes()
    target = shlex.quote(f"{SOLUTION}/{name}")
    yield f"mkdir -p $(dirname {target}) && : > {target}"
    for at in range(0, len(content), _MOST_PIECE):
        text = base64.b64encode(content[at : at + _MOST_PIECE]).decode()
        yield f"base64 -d >> {target} <<'END_OF_FILE'\n{text}\nEND_OF_FILE"


def demonstration(rng: random.Random, task: HarborTask, flaws: Mapping[str, float]) -> Policy:
    """Return the solution, or a policy that does nothing, in the proportion of `flaws`."""
    flaw = rng.choices(list(flaws), list(flaws.values()))[0]
    return solution(task) if flaw in ("none", "errs first") else scripted(lambda: [DONE])


def cheats() -> dict[str, Policy]:
    """Return what can be tried at a task of which nothing is known."""

    def play(command: str) -> Policy:
        return scripted(lambda: [call("bash", command=command), DONE] if command else [DONE])

    return {name: play(command) for name, command in CHEATS.items()}
