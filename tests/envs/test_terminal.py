"""The terminal: what lasts from command to command, what ends a command, and what a tampered session costs."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator

import docker
import pytest

from agentrl.envs.errors import InfrastructureError
from agentrl.envs.tools.codebox import CodeBox
from agentrl.envs.tools.host import shared_backend
from agentrl.envs.tools.terminal import MOST_COMMAND_BYTES, STATE, Shown, Terminal, told
from agentrl.sandboxes import Backend, SandboxSpec, open_backend

BACKENDS = [
    pytest.param("docker", marks=pytest.mark.docker),
    pytest.param("bubblewrap", marks=pytest.mark.bwrap),
]
SPEC = SandboxSpec(memory_mb=128, output_bytes=20_000, files={"first.txt": b"first\n"})


@pytest.fixture(params=BACKENDS)
def terminal(request: pytest.FixtureRequest) -> Iterator[Terminal]:
    box = CodeBox(SPEC, shared_backend(request.param))
    with contextlib.closing(box):
        yield Terminal(box)


def says(terminal: Terminal, command: str) -> str:
    shown = terminal.run(command)
    assert shown.stopped is None, shown
    return shown.text


def test_folder_variables_functions_aliases_and_options_last(terminal: Terminal) -> None:
    says(terminal, "mkdir -p a/b; cd a/b; export SHARED='x  y'; plain=$'two\\nlines'; list=(1 2 'three 3')")
    says(terminal, "declare -A map=([key]=value); greet() { echo \"hello $1\"; }; alias lf='ls -a ..'; umask 027")
    says(terminal, "set -o pipefail; shopt -s nullglob; set -f")
    assert says(terminal, "pwd; echo $OLDPWD; sh -c 'echo \"$SHARED\"'") == "/work/a/b\n/work\nx  y\n"
    assert says(terminal, 'echo "$plain"; echo "${list[2]}-${map[key]}"; greet you') == (
        "two\nlines\nthree 3-value\nhello you\n"
    )
    assert says(terminal, "lf; umask; false | true; echo $?; echo *; set +f; echo *.none") == ".\n..\nb\n0027\n1\n*\n\n"


def test_a_command_ends_and_the_session_goes_on(terminal: Terminal) -> None:
    assert terminal.run("here=1; exit 3").exit_status == 3
    assert says(terminal, "echo $? $here") == "3 1\n"
    assert terminal.run("kill -9 $$").exit_status == 137
    assert terminal.run("for each in").exit_status != 0
    assert terminal.run("set -e; here=2; false; here=3").exit_status == 1
    assert says(terminal, "echo $here; set +e; false; trap 'echo bye' EXIT; here=4") == "2\nbye\n"
    assert says(terminal, "set -x; echo $here") == "++ echo 4\n4\n"
    assert says(terminal, "set +x; echo $here") == "++ set +x\n4\n"
    assert terminal.run("missing-program").text == "bash: line 1: missing-program: command not found\n"


def test_both_streams_come_in_the_order_in_which_they_were_written(terminal: Terminal) -> None:
    assert says(terminal, "echo 1; echo 2 >&2; echo 3; ls nowhere; echo 4").splitlines()[::4] == ["1", "4"]
    assert says(terminal, "echo 1 >&2; echo 2; printf '\\xff\\n'") == "1\n2\n\ufffd\n"
    assert says(terminal, "cat; read -r line; echo $?; python3 -c 'input()' 2>&1 | tail -1") == (
        "1\nEOFError: EOF when reading a line\n"
    )


def test_limits_stop_a_command_and_say_so(terminal: Terminal) -> None:
    shown = terminal.run("cd /tmp; echo begun; sleep 60", timeout_s=0.5)
    assert (shown.stopped, shown.exit_status) == ("timeout", None)
    assert shown.text.startswith("begun")
    assert "did not end in time" in told(shown)
    assert says(terminal, "pwd") == "/tmp\n"
    assert terminal.run("yes").stopped == "output_limit"
    assert terminal.run("b() { b | b & }; b; sleep 5", timeout_s=8.0).stopped == "pids"
    assert terminal.run("x=1; python3 -c 'bytearray(10**9)'").stopped == "oom"
    assert says(terminal, "pwd; cat first.txt; echo [$x]") == "/work\nfirst\n[]\n"


def test_what_a_command_leaves_running_is_dead_after_it(terminal: Terminal) -> None:
    says(terminal, "(sleep 0.3; echo late > late.txt) & setsid sh -c 'sleep 0.3; echo late > later.txt' &")
    assert says(terminal, "sleep 0.6; ls; jobs; pgrep sleep") == "first.txt\n"


@pytest.mark.parametrize(
    "harm",
    [
        f"trap 'rm -f {STATE}' EXIT",
        f"rm -f {STATE}; mkdir {STATE}",
        f"rm -f {STATE}; mkfifo {STATE}",
        f"rm -f {STATE}; ln -s /dev/zero {STATE}; rm first.txt",
        f"echo 'garbage (((' > {STATE}; chmod 000 {STATE}; exec true",
        f"printf 'exit 5\\n#end\\n' > {STATE}; exec true",
    ],
)
def test_who_tampers_with_the_session_harms_only_itself(terminal: Terminal, harm: str) -> None:
    terminal.run("x=1")
    terminal.run(harm, timeout_s=3.0)
    shown = terminal.run("echo still here", timeout_s=3.0)
    assert shown.stopped is None
    assert shown.text == ("" if "exit 5" in harm else "still here\n")
    assert isinstance(json.dumps(terminal.snapshot()), str)


def test_functions_and_aliases_do_not_reach_what_keeps_the_session(terminal: Terminal) -> None:
    says(terminal, "alias declare=echo builtin=echo eval=false; printf() { echo mine; }; cd() { command cd / && pwd; }")
    assert says(terminal, "cd nowhere; y=2") == "/\n"
    assert says(terminal, "pwd; echo $y; printf") == "/\n2\nmine\n"


def test_a_command_that_cannot_be_passed_on_is_refused_in_words(terminal: Terminal) -> None:
    for command in ("a\0b", "echo \udce4", "#" * (MOST_COMMAND_BYTES + 1)):
        shown = terminal.run(command)
        assert shown.exit_status == 2
        assert shown.text.startswith("bash: ")
    assert says(terminal, ": " + "x" * (MOST_COMMAND_BYTES - 2)) == ""


def test_the_session_can_be_taken_along(terminal: Terminal) -> None:
    box = terminal._box
    says(terminal, "mkdir d; cd d; x=before; echo file > made")
    taken = json.loads(json.dumps({"box": box.snapshot(), "terminal": terminal.snapshot()}))
    says(terminal, "cd ..; x=after; rm -r d")
    for _ in range(2):
        box.restore(taken["box"])
        terminal.restore(taken["terminal"])
        assert says(terminal, "pwd; echo $x; cat made; x=again") == "/work/d\nbefore\nfile\n"
    box.renew()
    fresh = Terminal(box)
    fresh.restore({"shell": "", "state": None})
    assert says(fresh, "pwd; echo [$x]") == "/work\n[]\n"


def test_what_the_model_reads_is_never_empty() -> None:
    assert told(Shown(text="", exit_status=0, stopped=None, wall_s=0.0)) == "(no output)"
    assert told(Shown(text="a\n", exit_status=0, stopped=None, wall_s=0.0)) == "a"
    assert told(Shown(text="", exit_status=2, stopped=None, wall_s=0.0)) == "[exit status 2]"


@pytest.fixture
def stripped() -> Iterator[object]:
    """Return a function that makes an image of the base image without some of its files."""
    client = docker.from_env()
    made: list[str] = []

    def make(*gone: str) -> str:
        container = client.containers.create("agentrl/base:1", ["rm", "-f", *gone], user="root", network_mode="none")
        try:
            container.start()
            container.wait(timeout=20)
            made.append(f"agentrl-test/stripped:{container.short_id}")
            container.commit(*made[-1].split(":"))
        finally:
            container.remove(force=True)
        return made[-1]

    yield make
    for name in made:
        client.images.remove(name, force=True)
    client.close()


@pytest.mark.docker
def test_an_image_without_bash_has_sh_and_one_without_either_says_so(stripped: object) -> None:
    assert callable(stripped)
    images = stripped("/usr/bin/bash"), stripped("/usr/bin/bash", "/usr/bin/sh", "/usr/bin/dash")
    # A backend of its own, so that no box holds an image that is to be removed.
    with open_backend("docker") as backend:
        _try_stripped(backend, *images)


def _try_stripped(backend: Backend, without_bash: str, without_shell: str) -> None:
    box = CodeBox(SandboxSpec(image=without_bash), backend)
    with contextlib.closing(box):
        terminal = Terminal(box)
        assert terminal.run("mkdir 'a \"$b'; cd a*; export X='1  2'; alias hi='echo hi'; echo e >&2").text == "e\n"
        assert says(terminal, 'pwd; echo "$X"\nhi') == '/work/a "$b\n1  2\nhi\n'
        assert terminal.run("exit 4").exit_status == 4
        says(terminal, f"echo 'if then (' > {STATE}; trap - EXIT")
        assert says(terminal, "echo still here") == "still here\n"
    box = CodeBox(SandboxSpec(image=without_shell), backend)
    with contextlib.closing(box), pytest.raises(InfrastructureError, match="neither bash nor sh"):
        Terminal(box).run("true")
