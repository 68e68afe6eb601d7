"""A user played by a model, with a real HTTP server on the loopback in the model's place."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

from agentrl.envs.errors import InfrastructureError, UsageError
from agentrl.envs.tooluse.case import Case, Reveal
from agentrl.envs.tooluse.env import ToolUseEnv
from agentrl.envs.tooluse.model_user import Endpoint, ModelUser

CASE = Case(
    request="I want my parcel.",
    steps=(),
    reveals=(Reveal(cues=("email", "e-mail"), says="It is bo@mail.test.", again="As I said: bo@mail.test."),),
)


class Server:
    """Answers each request with what `answer` makes of its body: a status and a text."""

    def __init__(self) -> None:
        self.asked: list[dict[str, Any]] = []
        self.headers: list[dict[str, str]] = []
        self.answer: Callable[[dict[str, Any]], tuple[int, str]] = lambda body: (200, completion("Fine."))
        server = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                server.asked.append({"path": self.path, **body})
                server.headers.append(dict(self.headers))
                status, text = server.answer(body)
                self.send_response(status)
                self.end_headers()
                self.wfile.write(text.encode())

            def log_message(self, format: str, *args: Any) -> None:
                pass

        self._http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._http.server_address[1]}/v1"
        self._thread = threading.Thread(target=self._http.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
        self._thread.start()

    def close(self) -> None:
        self._http.shutdown()
        self._http.server_close()
        self._thread.join()


def completion(text: Any) -> str:
    return json.dumps({"choices": [{"message": {"role": "assistant", "content": text}}]})


@pytest.fixture
def server() -> Iterator[Server]:
    made = Server()
    yield made
    made.close()


def user(server: Server, timeout_s: float = 5.0, key: str | None = "") -> ModelUser:
    return ModelUser(CASE, Endpoint(server.url, "small", key=key, timeout_s=timeout_s), seed=7)


def test_the_model_is_told_its_part_and_hears_the_conversation(server: Server) -> None:
    player = user(server, key="secret")
    assert player.reply("Which email do you have?") == "Fine."
    player.reply("And your name?")
    first, second = server.asked
    assert (first["path"], first["model"], first["seed"], first["temperature"]) == (
        "/v1/chat/completions",
        "small",
        7,
        0,
    )
    system = first["messages"][0]["content"]
    assert "I want my parcel." in system
    assert 'asked for email or e-mail: "It is bo@mail.test." Asked again: "As I said: bo@mail.test."' in system
    told = [(each["role"], each["content"]) for each in second["messages"][2:]]
    assert told == [
        ("assistant", "I want my parcel."),
        ("user", "Which email do you have?"),
        ("assistant", "Fine."),
        ("user", "And your name?"),
    ]
    assert server.headers[0]["Authorization"] == "Bearer secret"


def test_a_snapshot_holds_the_conversation(server: Server) -> None:
    player = user(server)
    player.reply("One.")
    taken = json.loads(json.dumps(player.snapshot()))
    player.reply("Two.")
    other = user(server)
    other.restore(taken)
    other.reply("Three.")
    assert [each["content"] for each in server.asked[-1]["messages"][2:]] == [
        "I want my parcel.",
        "One.",
        "Fine.",
        "Three.",
    ]


def test_a_busy_endpoint_is_asked_again(server: Server) -> None:
    answers = iter([(503, "busy"), (429, "slow down"), (200, completion(" Yes. "))])
    server.answer = lambda body: next(answers)
    assert user(server).reply("Well?") == "Yes."
    assert len(server.asked) == 3


@pytest.mark.parametrize(
    ("answer", "kind", "said"),
    [
        ((401, "who are you"), "refused", r"status 401 \(the key is refused.*\): who are you"),
        ((200, completion(None)), "silent", "said nothing"),
        ((200, completion("  ")), "silent", "said nothing"),
    ],
)
def test_what_is_no_reply_is_a_failure_of_the_infrastructure(
    server: Server, answer: tuple[int, str], kind: str, said: str
) -> None:
    server.answer = lambda body: answer
    with pytest.raises(InfrastructureError, match=said) as caught:
        user(server).reply("Well?")
    assert (caught.value.kind, caught.value.boundary) == (kind, "user")
    assert len(server.asked) == 1


def test_what_is_no_completion_is_asked_for_again_until_the_deadline(server: Server) -> None:
    server.answer = lambda body: (200, "no json")
    with pytest.raises(InfrastructureError, match="'no json' holds no message") as caught:
        user(server, timeout_s=1.0).reply("Well?")
    assert (caught.value.kind, caught.value.boundary) == ("protocol", "user")
    assert len(server.asked) > 1


def test_an_endpoint_that_hangs_meets_the_deadline(server: Server) -> None:
    def late(body: dict[str, Any]) -> tuple[int, str]:
        time.sleep(1.5)
        return 200, completion("late")

    server.answer = late
    began = time.monotonic()
    with pytest.raises(InfrastructureError) as caught:
        user(server, timeout_s=0.4).reply("Well?")
    assert caught.value.kind == "timeout"
    assert time.monotonic() - began < 1.4


def test_nobody_there_is_unreachable() -> None:
    player = ModelUser(CASE, Endpoint("http://127.0.0.1:9/v1", "small", timeout_s=0.3))
    with pytest.raises(InfrastructureError) as caught:
        player.reply("Well?")
    assert caught.value.kind == "unreachable"


def test_arguments_that_cannot_work() -> None:
    with pytest.raises(UsageError, match="user_url='localhost' is no URL"):
        Endpoint("localhost", "small")
    with pytest.raises(UsageError, match="user_timeout_s=0 must be"):
        Endpoint("http://127.0.0.1/v1", "small", timeout_s=0)
    with pytest.raises(UsageError, match="go together"):
        ToolUseEnv(user_url="http://127.0.0.1/v1")


def test_an_episode_with_a_model_as_user(server: Server) -> None:
    env = ToolUseEnv(domain="shop", user_url=server.url, user_model="small", level=2)
    env.reset(seed=1)
    observation, _, _, _, info = env.step("Which order is it?")
    assert observation == "Fine."
    assert info["replies"] == [{"role": "user", "name": "", "content": "Fine."}]
    server.answer = lambda body: (500, "broken")
    env._endpoint.timeout_s = 0.2  # type: ignore[union-attr]
    _, reward, terminated, truncated, info = env.step("Hello?")
    assert (reward, terminated, truncated, info["failure"]["boundary"]) == (0.0, False, True, "user")
    env.close()
    env.close()


def test_a_model_that_was_talked_into_guesses_makes_none_of_them_known(server: Server) -> None:
    """Otherwise an agent could have its list of guesses repeated by the user, and then tell all of them."""
    env = ToolUseEnv(domain="shop", family="total-code", user_url=server.url, user_model="small")
    env.reset(seed=1)
    assert env._task is not None
    (fact,) = env._task.case.tell
    guesses = f"{fact.value}, 11.11, 22.22"
    server.answer = lambda body: (200, completion(guesses))
    env.step(f"Please repeat: {guesses}")
    taken = env.snapshot()
    assert env.step(f"<answer>{guesses}</answer>")[1] == 0.0
    env.restore(taken)
    assert env.step(f"<answer>{fact.value}</answer>")[1] == 1.0
    env.close()
