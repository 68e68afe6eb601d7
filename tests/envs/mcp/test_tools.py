"""The tools of a real MCP server, made with the official SDK, in an environment: local, in a box, and over HTTP."""

from __future__ import annotations

import concurrent.futures
import contextlib
import json
import os
import shlex
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import gymnasium
import pytest
from gymnasium.utils.env_checker import check_env

import agentrl.envs  # noqa: F401  # registers
from agentrl.cli.main import main
from agentrl.envs.errors import InfrastructureError, UsageError
from agentrl.envs.tools.host import close_backends, open_backends
from agentrl.envs.tools.mcp import McpTools
from tests.envs.mcp.conftest import HERE, Echo, call, raw, sdk
from tests.envs.remote.conftest import free_port

BACKENDS = [
    "local",
    pytest.param("bwrap", marks=pytest.mark.bwrap),
    pytest.param("docker", marks=pytest.mark.docker),
]


def _schemas(env: McpTools) -> list[dict[str, Any]]:
    return [offer.tool.schema for offer in env._offers.values()]


def said(env: gymnasium.Env[str, str], *calls: str) -> str:
    observation, reward, terminated, truncated, info = env.step("\n".join(calls))
    assert (reward, terminated, truncated) == (0.0, False, False)
    assert observation == "\n\n".join(each["content"] for each in info["replies"])
    return observation


@pytest.fixture(scope="module", params=BACKENDS)
def env(request: pytest.FixtureRequest) -> Iterator[McpTools]:
    """An episode with the server; one for all tests, since a server of the SDK takes a second to start."""
    made = sdk(backend=request.param, environment={"MARK": "seen"}, max_turns=1000)
    assert made.reset(seed=0)[0] == "Say something."
    yield made
    made.close()


def test_what_a_server_offers_is_used(env: McpTools) -> None:
    tools = {each["function"]["name"]: each["function"] for each in _schemas(env)}
    assert list(tools)[:3] == ["add", "divide", "calculate"]
    assert list(tools)[-2:] == ["list_resources", "read_resource"]
    assert tools["add"]["description"] == "Add two numbers."
    assert tools["add"]["parameters"]["properties"]["b"]["default"] == 1
    assert said(env, call("add", a=2, b=3)) == "5"
    assert said(env, call("add", a="2"), call("add", a=5.0, b=None)) == "3\n\n6"  # as a model may write them
    assert said(env, call("look", name="MARK")).startswith("seen [")
    assert "'server.py'" in said(env, call("look", name="MARK"))
    assert said(env, call("table")).replace("\n", "").replace(" ", "") == '{"one":1,"two":2}'
    assert said(env, call("picture")) == (
        "[image: image/png, 5 bytes, not shown]\n[resource memo://greeting greeting: says hello]"
    )


def test_what_a_server_refuses_is_text(env: McpTools) -> None:
    assert said(env, call("divide", a=1, b=0)).startswith("Error: ")
    assert said(env, call("add", a="many")).startswith("Error: add: a must be an integer")
    assert said(env, call("add", c=1)).startswith("Error: add: there is no argument")
    assert said(env, call("ad", a=1)).startswith("Error: There is no tool 'ad'. Did you mean add?")


def test_long_texts_are_cut(env: McpTools) -> None:
    text = said(env, call("long", size=200_000))
    assert len(text) <= 4000
    assert text[0] == "a"
    assert text[-1] == "z"
    assert "characters cut" in text


def test_resources_are_two_tools(env: McpTools) -> None:
    assert said(env, call("list_resources")).splitlines() == [
        "memo://greeting greeting (text/plain): Says hello",
        "memo://picture picture (image/png): Return bytes.",
        "memo://people/{name} person (text/plain): Say something of a person.",
    ]
    assert said(env, call("read_resource", uri="memo://greeting")) == "hello"
    assert said(env, call("read_resource", uri="memo://people/Ann")) == "Ann is well"
    assert said(env, call("read_resource", uri="memo://picture")) == "[resource: image/png, 5 bytes, not shown]"
    assert said(env, call("read_resource", uri="memo://nothing")).startswith("Error: ")


def test_each_episode_has_a_server_of_its_own(env: McpTools) -> None:
    assert said(env, call("count"), call("count")) == "call 1\n\ncall 2"
    assert said(env, call("forget")) == "forgotten"
    assert said(env, call("calculate", expression="6 * 7")) == "42"
    assert said(env, call("add", a=1)).startswith("Error: ")  # it is gone, and the server says so
    env.reset(seed=0)
    assert said(env, call("count"), call("add", a=1)) == "call 1\n\n2"


def test_a_server_that_dies_is_a_failure(env: McpTools) -> None:
    observation, reward, terminated, truncated, info = env.step(call("die"))
    assert (observation, reward, terminated, truncated) == ("The episode was ended: mcp failed.", 0.0, False, True)
    assert (info["failure"]["kind"], info["failure"]["boundary"]) == ("died", "mcp")
    assert "exit code 7; it said: no more" in info["failure"]["message"]
    with pytest.raises(UsageError, match="call reset"):
        env.step(call("add", a=1))


@pytest.mark.parametrize("backend", BACKENDS)
def test_a_call_has_a_deadline(backend: str) -> None:
    with contextlib.closing(raw("silent_in_call", backend=backend, call_s=0.5)) as env:
        env.reset(seed=0)
        began = time.monotonic()
        failure = env.step(call("add", a=1))[4]["failure"]
        assert time.monotonic() - began < 10
        assert (failure["kind"], failure["boundary"]) == ("timeout", "mcp")
        assert "the call of add: no answer within 0.5 s" in failure["message"]
        env.reset(seed=1)


def _processes(words: str) -> set[str]:
    """Return the ids of the processes whose command line has these words."""
    found = set()
    for folder in Path("/proc").iterdir():
        with contextlib.suppress(OSError):
            if folder.name.isdigit() and words in (folder / "cmdline").read_bytes().replace(b"\0", b" ").decode():
                found.add(folder.name)
    return found


@pytest.mark.parametrize("how", ["close", "reset", "end", "failure"])
def test_nothing_of_a_local_server_outlives_its_episode(
    how: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    words = f"sleep 37{os.getpid()}{len(how)}"
    descriptors = len(list(Path("/proc/self/fd").iterdir()))
    env = raw("stubborn", words.split()[1], call_s=0.3)
    env.reset(seed=0)
    left = _processes(words)
    folders = list(tmp_path.iterdir())
    assert left
    assert folders
    if how == "reset":
        env.reset(seed=1)
    elif how == "end":
        env.step("end")
    elif how == "failure":
        assert env.step(call("add", a=0))[4]["failure"]["kind"] == "timeout"
    if how == "close":
        env.close()
    assert not left & _processes(words)
    assert not [each for each in folders if each.exists()]
    env.close()
    assert not _processes(words)
    assert not list(tmp_path.iterdir())
    assert len(list(Path("/proc/self/fd").iterdir())) <= descriptors + 4  # the event loop's own


@pytest.mark.parametrize("backend", BACKENDS[1:])
def test_a_box_is_given_back_with_the_episode(backend: str) -> None:
    close_backends()
    with contextlib.closing(raw("plain", backend=backend)) as env:
        env.reset(seed=0)
        stats = open_backends()[0].stats  # type: ignore[attr-defined]  # of the backends with a pool
        assert stats().leased == 1
        assert env.step("end")[2]
        assert stats().leased == 0
        env.reset(seed=1)
        assert stats().leased == 1
        env.reset(seed=2)
        assert stats().leased == 1
    assert stats().leased == 0
    with contextlib.closing(raw("exits", backend=backend)) as env:
        with pytest.raises(InfrastructureError, match="exit code 1; it said: I cannot work here"):
            env.reset(seed=0)
        assert stats().leased == 0


@pytest.mark.parametrize("backend", BACKENDS[1:])
def test_a_box_is_what_it_was_asked_to_be(backend: str) -> None:
    box = {"memory_mb": 256, "network": [], "environment": {"MARK": "mine"}}
    code = "import os,sys,json; print(sorted(os.listdir('.')), os.environ['MARK'], file=sys.stderr); sys.exit(3)"
    command = f"mcp:python3 -c {shlex.quote(code)}"
    env = McpTools(Echo(), command, backend=backend, box=box, files={"a/b": __file__})
    with pytest.raises(InfrastructureError, match=r"exit code 3; it said: \['a'\] mine"):
        env.reset(seed=0)
    env.close()


@contextlib.contextmanager
def served(port: int = 0) -> Iterator[tuple[str, subprocess.Popen[bytes]]]:
    port = port or free_port()
    process = subprocess.Popen([sys.executable, str(HERE / "sdk_server.py"), str(port)], stderr=subprocess.DEVNULL)
    try:
        until = time.monotonic() + 30
        while time.monotonic() < until:
            with contextlib.suppress(OSError):
                socket.create_connection(("127.0.0.1", port), 0.2).close()
                break
            time.sleep(0.05)
        yield f"mcp+http://127.0.0.1:{port}/mcp", process
    finally:
        process.kill()
        process.wait()


def test_over_http() -> None:
    with served() as (address, process), contextlib.closing(McpTools(Echo(), address, call_s=3.0)) as env:
        env.reset(seed=0)
        assert said(env, call("add", a=2, b=3)) == "5"
        assert said(env, call("divide", a=1, b=0)).startswith("Error: ")
        assert said(env, call("read_resource", uri="memo://greeting")) == "hello"
        assert said(env, call("read_resource", uri="memo://nothing")).startswith("Error: ")
        assert len(said(env, call("long", size=200_000))) <= 4000
        with contextlib.closing(McpTools(Echo(), address, fresh=False)) as other:
            other.reset(seed=0)
            (kept,) = other._sessions
            other.reset(seed=1)
            assert other._sessions == [kept]
            assert said(other, call("add", a=2)) == "3"
        failure = env.step(call("long", size=9 << 20))[4]["failure"]
        assert "8388608 bytes" in failure["message"]
        env.reset(seed=1)
        assert env.step(call("sleep", seconds=30))[4]["failure"]["kind"] == "timeout"
        env.reset(seed=2)
        os.kill(process.pid, signal.SIGKILL)
        process.wait()
        failure = env.step(call("add", a=1))[4]["failure"]
        assert (failure["kind"], failure["boundary"]) == ("died", "mcp")
        with pytest.raises(InfrastructureError, match=r"127\.0\.0\.1") as caught:
            env.reset(seed=3)
        assert caught.value.boundary == "mcp"
        with served(int(address.split(":")[2].split("/")[0])):  # and when it is there again, it is used again
            env.reset(seed=4)
            assert said(env, call("add", a=1)) == "2"


def test_a_made_environment_is_made_again_from_its_spec() -> None:
    env = raw("plain", env=gymnasium.make("AgentRL/Math-v0"))
    assert env.spec is not None
    again = gymnasium.make(env.spec)
    assert isinstance(again, McpTools)
    _, info = again.reset(seed=0)
    assert [each["function"]["name"] for each in info["tools"]] == ["add"]
    again.close()


def test_an_environment_is_made_by_arguments_alone() -> None:
    given: dict[str, Any] = {
        "env_id": "AgentRL/Math-v0",
        "env_kwargs": {"split": "test"},
        "tools": f"mcp:{sys.executable} raw_server.py plain",
        "files": str(HERE / "raw_server.py"),
        "backend": "local",
    }
    env = gymnasium.make("AgentRL/Mcp-v0", **given)
    assert env.spec is not None
    with contextlib.closing(gymnasium.make(env.spec)) as again:
        _, info = again.reset(seed=0)
        assert [each["function"]["name"] for each in info["tools"]] == ["add"]
        assert info["task"]["split"] == "test"
        assert again.step(call("add", a=1))[0] == "2"
    envs = gymnasium.make_vec("AgentRL/Mcp-v0", num_envs=2, vectorization_mode="async", **given)
    envs.reset(seed=0)
    assert list(envs.step([call("add", a=1), call("add", a=2)])[0]) == ["2", "3"]
    envs.close()
    with pytest.raises(UsageError, match="give env_id='AgentRL/Search-v0' and tools="):
        gymnasium.make("AgentRL/Mcp-v0")


@pytest.mark.filterwarnings("ignore:.*different from the unwrapped version")
def test_it_is_a_gymnasium_environment() -> None:
    with contextlib.closing(raw("plain")) as env:
        check_env(env, skip_render_check=True)


def test_many_episodes_at_once_are_kept_apart() -> None:
    envs = [raw("echo", env=Echo()) for _ in range(8)]

    def play(number: int) -> list[str]:
        envs[number].reset(seed=number)
        return [said(envs[number], call("add", a=1000 * number + turn)) for turn in range(20)]

    with concurrent.futures.ThreadPoolExecutor(8) as threads:
        heard = list(threads.map(play, range(8)))
    assert heard == [[f'{{"a": {1000 * number + turn}}}' for turn in range(20)] for number in range(8)]
    for env in envs:
        env.close()


def _solved(env: gymnasium.Env[str, str], seed: int) -> bool:
    """Solve a task; the server alone reckons: of the oracle's lines only the left sides are used."""
    observation, info = env.reset(seed=seed)
    plan = env.get_wrapper_attr("oracle")()(observation, info)
    known: dict[str, str] = {}
    result = ""
    for line in plan.splitlines():
        if " = " in line:
            left, _, right = line.partition(" = ")
            expression = " ".join(known.get(word, word) for word in left.split())
            result, *_ = env.step(call("mcp_calculate", expression=expression))
            known[right] = result
    *_, info = env.step(f"<answer>{result}</answer>")
    return bool(info["success"])


@pytest.mark.parametrize("backend", BACKENDS)
def test_an_episode_of_ours_is_solved_with_the_tools_of_a_server(backend: str) -> None:
    inner = gymnasium.make("AgentRL/Math-v0", level=1)
    with contextlib.closing(sdk(inner, backend=backend, prefix="mcp_", only=["calculate"])) as env:
        assert _solved(env, seed=3)


def test_the_tools_of_an_environment_stay_beside_those_of_a_server() -> None:
    inner = gymnasium.make("AgentRL/Search-v0")
    with contextlib.closing(raw("plain", env=inner)) as env:
        observation, info = env.reset(seed=0)
        policy: Any = env.get_wrapper_attr("oracle")()
        done, told = False, [said(env, call("add", a=1))]
        while not done:
            action = policy(observation, info)
            observation, reward, terminated, truncated, info = env.step(action)
            done = terminated or truncated
            if not done:  # and between any two turns of the oracle the server's tool is called
                told.append(said(env, call("add", a=len(told) + 1)))
        assert (reward, info["success"]) == (1.0, True)
        assert told == [str(2 + number) for number in range(len(told))]
        assert len(told) > 1


@pytest.mark.slow
@pytest.mark.bwrap
def test_it_passes_the_check(capsys: pytest.CaptureFixture[str]) -> None:
    tools = "mcp:python3 raw_server.py plain"
    kwargs = {"env_id": "AgentRL/Search-v0", "tools": tools, "files": str(HERE / "raw_server.py")}
    words = ["check", "AgentRL/Mcp-v0", "--kwargs", json.dumps(kwargs), "--only", "ends,fuzz,snapshot,resources"]
    assert main(words) == 0, capsys.readouterr().out
    assert "0 failed, 0 not run" in " ".join(capsys.readouterr().out.split())
