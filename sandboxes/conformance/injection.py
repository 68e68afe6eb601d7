"""Cases: code of the job that would run in the worker, in its spawner or in a later job of somebody else."""

from __future__ import annotations

from agentrl.sandboxes.base import Sandbox
from agentrl.sandboxes.conformance.case import Case, must, says
from agentrl.sandboxes.results import ExecResult

__all__ = ["CASES"]

MARK = "open('/tmp/injected', 'a').write(str(__import__('os').getuid()) + '\\n')"


def _modules(box: Sandbox) -> ExecResult:
    for name in (
        "sitecustomize",
        "usercustomize",
        "os",
        "json",
        "struct",
        "signal",
        "site",
        "encodings",
        "codecs",
        "_x",
    ):
        box.write(f"/work/{name}.py", f"{MARK}\nraise SystemExit(77)\n".encode())
    box.write("/work/x.pth", f"import sys; {MARK}\n".encode())
    box.write("/work/pyvenv.cfg", b"home = /work\n")
    box.exec(
        "mkdir -p .local/lib/python3.11/site-packages lib; cp x.pth .local/lib/python3.11/site-packages/; "
        "cp sitecustomize.py .local/lib/python3.11/site-packages/; cp -r .local /tmp/ "
    )
    _worker_is_clean(box, {})
    return box.exec(["echo", "on"])


def _variables(box: Sandbox) -> ExecResult:
    box.write("/work/start.py", MARK.encode())
    box.write("/work/sitecustomize.py", MARK.encode())
    hostile = {
        "PYTHONPATH": "/work",
        "PYTHONSTARTUP": "/work/start.py",
        "PYTHONHOME": "/work",
        "PYTHONINSPECT": "1",
        "PYTHONWARNINGS": "error",
        "LD_PRELOAD": "/work/evil.so",
        "LD_LIBRARY_PATH": "/work",
        "LD_AUDIT": "/work/evil.so",
        "BASH_ENV": "/work/start.sh",
        "ENV": "/work/start.sh",
        "IFS": "x",
        "PATH": "/work",
        "HOME": "/work",
    }
    box.exec(["/bin/echo", "x"], environment=hostile)
    box.run_python("pass", environment=hostile)
    _worker_is_clean(box, hostile)
    return box.exec(["echo", "on"])


def _worker_is_clean(box: Sandbox, environment: dict[str, str]) -> None:
    must(box.exec(["/bin/echo", "fine"]).stdout == b"fine\n", "a job after the attempt")
    box.write("/work/data", b"data")
    must(box.read("/work/data") == b"data", "files after the attempt")
    must("data" in {each.name for each in box.list("/work")}, "a list after the attempt")
    box.run_python("print(1)")
    users = box.exec("cat /tmp/injected 2>/dev/null; true").stdout_text.split()
    must("0" not in users, f"the job's code ran as root in the box: {users}")


def _trojan(box: Sandbox) -> ExecResult:
    for name in ("python3", "python", "sh", "cat", "kill", "ls", "env"):
        box.write(f"/work/{name}", b"#!/bin/sh\necho trojan\n", mode=0o755)
    box.exec("cp /work/python3 /tmp/; mkdir -p /work/bin && cp /work/python3 /work/bin/")
    must(
        b"trojan" not in box.exec(["python3", "-c", "print('true')"]).stdout,
        "a program in /work is found before the system's",
    )
    must(b"trojan" not in box.exec("ls / >/dev/null; echo ok").stdout, "a shell in /work is found before the system's")
    return box.run_python("print('true')")


def _sessions_stay_apart(box: Sandbox) -> None:
    with box.python() as one, box.python() as two:
        one.run("import builtins\nbuiltins.left = 1\nx = 1\nimport sys\nsys.modules['json'] = None")
        must(
            two.run("import builtins\nhasattr(builtins, 'left') or 'x' in globals()").value == "False",
            "sessions share state",
        )
        must(one.run("x").value == "1", "a session lost its state")
        pid = two.run("import os\nos.getpid()").value
        killed = one.run(f"import os\nos.kill({pid}, 9)")
        must(killed.status == "nonzero", f"one session could signal another: {killed}")
        must(two.run("6 * 7").value == "42", "the other session died")


CASES: tuple[Case, ...] = (
    Case(name="modules_in_the_folder", group="escape", item="injection", steps=_modules, check=says("on")),
    Case(name="variables_of_the_job", group="escape", item="injection", steps=_variables, check=says("on")),
    Case(name="programs_on_the_path", group="escape", item="trojan", steps=_trojan, check=says("true")),
    Case(
        name="sessions_stay_apart",
        group="escape",
        item="own escape",
        steps=_sessions_stay_apart,
        needs=frozenset({"split"}),
    ),
)
