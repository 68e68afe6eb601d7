"""An environment on a server behaves as one here; whatever the network does is a typed failure that leaks nothing."""

from __future__ import annotations

import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import gymnasium
import httpx
import pytest
from gymnasium.utils.env_checker import check_env

import agentrl.envs  # noqa: F401  # registers
from agentrl.envs.core import TextEnv
from agentrl.envs.errors import InfrastructureError, UsageError
from agentrl.envs.remote.client import RemoteEnv
from agentrl.envs.remote.sessions import Limits
from agentrl.envs.spaces import Unicode
from tests.envs.remote.conftest import free_port, served

MATH, SEARCH = "AgentRL/Math-v0", "AgentRL/Search-v0"
OPEN: set[int] = set()  # environments of `Held` that have not been closed


class Held(gymnasium.Env[str, str]):
    """Holds something from its making to its closing, and does what an action says."""

    action_space = observation_space = Unicode()

    def __init__(self) -> None:
        OPEN.add(id(self))

    def reset(self, *, seed: int | None = None, options: Any = None) -> tuple[str, dict[str, Any]]:
        super().reset(seed=seed)
        return f"seed {seed}", {}

    def step(self, action: str) -> tuple[str, float, bool, bool, dict[str, Any]]:
        word, _, rest = action.partition(" ")
        if word == "sleep":
            time.sleep(float(rest))
        if word == "raise":
            raise RuntimeError("broken")
        info = {"odd": object()} if word == "odd" else {"said": action}
        return action, 0.5, word == "end", False, info

    def close(self) -> None:
        OPEN.discard(id(self))


gymnasium.register(id="Test/Held-v0", entry_point=Held)  # type: ignore[arg-type]  # takes no arguments


def _until(true: Callable[[], bool], seconds: float = 20.0) -> bool:
    stop = time.monotonic() + seconds
    while not true() and time.monotonic() < stop:
        time.sleep(0.02)
    return true()


def _health(url: str) -> dict[str, Any]:
    told: dict[str, Any] = httpx.get(f"{url}/health").json()
    return told


@pytest.mark.parametrize("env_id", [MATH, SEARCH])
def test_an_episode_there_is_an_episode_here(env_id: str) -> None:
    with served(MATH, SEARCH) as url:
        far = gymnasium.make("AgentRL/Remote-v0", url=url, env_id=env_id)
        near = gymnasium.make(env_id)
        inner = near.unwrapped
        assert isinstance(inner, TextEnv)
        for seed in range(3):
            here, there = near.reset(seed=seed), far.reset(seed=seed)
            assert here == there
            policy, done = inner.oracle(), False
            while not done:
                action = policy(*here)
                here_step, there_step = near.step(action), far.step(action)
                assert here_step == there_step
                here = here_step[0], here_step[4]
                done = here_step[2] or here_step[3]
        far.close()
        near.close()
        assert _until(lambda: _health(url)["sessions"] == 0)


def test_it_is_an_environment_like_others() -> None:
    with served(MATH) as url:
        env = RemoteEnv(url=url)
        check_env(env, skip_render_check=True)
        env.close()
        env.close()


def test_options_and_errors_of_the_user_pass_through() -> None:
    with served(MATH) as url:
        env = RemoteEnv(url=url)
        _, info = env.reset(seed=1, options={"split": "test", "level": 3})
        assert (info["task"]["split"], info["task"]["level"]) == ("test", 3)
        with pytest.raises(InfrastructureError, match="options has no 'levle'"):
            env.reset(seed=1, options={"levle": 3})
        env.reset(seed=1)  # and it goes on
        env.close()
        with pytest.raises(UsageError, match="'AgentRL/Mth-v0' is not served; did you mean 'AgentRL/Math-v0'"):
            RemoteEnv(url=url, env_id="AgentRL/Mth-v0").reset(seed=1)
        with pytest.raises(UsageError, match="is no address"):
            RemoteEnv(url="127.0.0.1:8300")
        with pytest.raises(UsageError, match="call reset"):
            env.step("a")


def test_a_wrong_token_is_refused() -> None:
    with served(MATH, token="secret") as url:
        for token in ("", "other", "Secret"):
            with pytest.raises(UsageError, match="the token is missing or wrong"):
                RemoteEnv(url=url, token=token).reset(seed=1)
            headers = {"Authorization": f"Bearer {token}"} if token else {}
            for method, path in (("GET", "/v1/envs"), ("POST", "/v1/sessions"), ("GET", "/metrics"), ("GET", "/docs")):
                assert httpx.request(method, url + path, headers=headers).status_code == 401
        assert httpx.get(f"{url}/health").status_code == 200
        env = RemoteEnv(url=url, token="secret")
        env.reset(seed=1)
        env.close()


def test_a_client_that_is_gone_frees_what_its_episode_held() -> None:
    program = (
        "import sys, time\nfrom agentrl.envs.remote.client import RemoteEnv\n"
        "env = RemoteEnv(url=sys.argv[1])\nprint(env.reset(seed=4)[0], flush=True)\ntime.sleep(600)"
    )
    with served("Test/Held-v0") as url:
        client = subprocess.Popen([sys.executable, "-c", program, url], stdout=subprocess.PIPE, text=True)
        assert client.stdout is not None
        assert client.stdout.readline() == "seed 4\n"
        assert len(OPEN) == 1
        client.kill()
        client.communicate()
        assert _until(lambda: not OPEN)
        assert _health(url)["sessions"] == 0
        assert 'event="lost"} 1' in httpx.get(f"{url}/metrics").text


def test_a_client_that_leaves_in_the_middle_of_a_step_frees_it_when_the_step_has_ended() -> None:
    with served("Test/Held-v0") as url:
        env = RemoteEnv(url=url, timeout_s=0.3)
        env.reset(seed=1)
        _, reward, terminated, truncated, info = env.step("sleep 1.5")
        assert (reward, terminated, truncated) == (0.0, False, True)
        assert (info["failure"]["kind"], info["failure"]["boundary"]) == ("timeout", "server")
        assert _until(lambda: _health(url)["sessions"] == 0, 1.0)  # at once, though the step goes on
        assert _until(lambda: not OPEN)
        assert env.reset(seed=2)[0] == "seed 2"
        env.close()


def test_an_environment_that_hangs_or_raises_is_a_failure_of_its_own() -> None:
    with served("Test/Held-v0", limits=Limits(deadline_s=0.3)) as url:
        env = RemoteEnv(url=url)
        for action, kind in (("sleep 1.5", "timeout"), ("raise", "error")):
            env.reset(seed=1)
            *_, truncated, info = env.step(action)
            assert (truncated, info["failure"]["kind"], info["failure"]["boundary"]) == (True, kind, "environment")
        env.reset(seed=1)
        *_, truncated, info = env.step("odd")
        assert truncated
        assert "object is no plain data" in info["failure"]["message"]
        assert env.reset(seed=9)[0] == "seed 9"
        env.close()
    assert _until(lambda: not OPEN)


def test_sessions_over_http_end_when_they_were_silent_for_too_long() -> None:
    with served("Test/Held-v0", limits=Limits(idle_s=0.5)) as url:
        opened = httpx.post(f"{url}/v1/sessions", json={})
        assert opened.status_code == 201
        place = f"{url}/v1/sessions/{opened.json()['session']}"
        assert httpx.post(f"{place}/reset", json={"seed": 3}).json()["observation"] == "seed 3"
        assert httpx.post(f"{place}/step", json={"action": "a"}).json()["reward"] == 0.5
        assert _until(lambda: not OPEN)
        gone = httpx.post(f"{place}/step", json={"action": "a"})
        assert (gone.status_code, gone.json()["error"]["kind"]) == (404, "no_session")
        again = httpx.post(f"{url}/v1/sessions", json={}).json()["session"]
        assert httpx.delete(f"{url}/v1/sessions/{again}").status_code == 204
        assert httpx.delete(f"{url}/v1/sessions/{again}").status_code == 404


def test_too_many_sessions_wait_or_are_refused() -> None:
    with served("Test/Held-v0", limits=Limits(max_sessions=1)) as url:
        first = RemoteEnv(url=url)
        first.reset(seed=1)
        with pytest.raises(InfrastructureError, match="as many as may be") as failure:
            RemoteEnv(url=url, connect_s=0.5).reset(seed=1)
        assert (failure.value.kind, failure.value.boundary) == ("full", "server")
        refused = httpx.post(f"{url}/v1/sessions", json={})
        assert (refused.status_code, refused.headers["retry-after"]) == (503, "1")
        threading.Timer(0.5, first.close).start()
        second = RemoteEnv(url=url, connect_s=20)
        assert second.reset(seed=2)[0] == "seed 2"  # it waited
        second.close()


SERVER = """
import sys
sys.path.insert(0, {root!r})
import uvicorn
import tests.envs.remote.test_remote
from agentrl.envs.remote.server import make_app
uvicorn.run(make_app({{"Test/Held-v0": {{}}}}), host="127.0.0.1", port={port}, log_level="error")
"""


def _server(port: int) -> subprocess.Popen[str]:
    root = str(Path(__file__).parents[3])
    process = subprocess.Popen([sys.executable, "-c", SERVER.format(root=root, port=port)], text=True)
    assert _until(lambda: _is_up(port), 60)
    return process


def _is_up(port: int) -> bool:
    try:
        return httpx.get(f"http://127.0.0.1:{port}/health").is_success
    except httpx.TransportError:
        return False


@pytest.mark.slow
def test_a_server_that_is_killed_and_restarted_is_found_again() -> None:
    port = free_port()
    server = _server(port)
    env = RemoteEnv(url=f"http://127.0.0.1:{port}", connect_s=60)
    try:
        env.reset(seed=1)
        server.kill()
        server.wait()
        *_, truncated, info = env.step("a")
        assert (truncated, info["failure"]["kind"], info["failure"]["boundary"]) == (True, "unreachable", "server")
        with pytest.raises(InfrastructureError, match="not reached within") as failure:
            RemoteEnv(url=f"http://127.0.0.1:{port}", connect_s=0.5).reset(seed=1)
        assert failure.value.boundary == "server"
        server = _server(port)
        assert env.reset(seed=5)[0] == "seed 5"
        env.close()
    finally:
        server.kill()
        server.wait()


@pytest.mark.parametrize(
    "text",
    [
        *("[]", "no json", "{}", '{"op": "step", "action": "a"}', '{"op": "fly"}', '{"op": "open", "env_id": 3}'),
        *('{"op": "open", "kwargs": {}}', "[" * 100_000),
    ],
)
def test_garbage_is_answered_and_opens_nothing(text: str) -> None:
    from websockets.sync.client import connect

    with served("Test/Held-v0") as url, connect("ws" + url.removeprefix("http") + "/v1/connect") as socket:
        socket.send(text)
        assert '"error"' in str(socket.recv(timeout=10))
        assert not OPEN
        socket.send('{"op": "open"}')  # and the connection is as good as before
        assert '"session"' in str(socket.recv(timeout=10))


def test_a_request_without_bounds_is_refused() -> None:
    with served("Test/Held-v0") as url:
        pieces = httpx.post(f"{url}/v1/sessions", content=iter([b"{}"]))  # in pieces, without a length
        assert pieces.status_code == 411
        large = httpx.post(f"{url}/v1/sessions", content=b" " * ((16 << 20) + 1))
        assert large.status_code == 413
        assert not OPEN


@pytest.mark.parametrize(
    "wrong", [{"seed": -1}, {"seed": "1"}, {"seed": True}, {"options": []}, {"sed": 1}, {"seed": 1.5}]
)
def test_a_wrong_reset_is_refused(wrong: dict[str, Any]) -> None:
    with served("Test/Held-v0") as url:
        name = httpx.post(f"{url}/v1/sessions", json={}).json()["session"]
        assert httpx.post(f"{url}/v1/sessions/{name}/reset", json=wrong).status_code in (400, 422)
