"""Programs of all kinds, good and bad, that the tests run; they speak HTTP by the standard library."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
import urllib.error
import urllib.request
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from typing import Any

ADD = {
    "type": "function",
    "function": {
        "name": "add",
        "description": "Add two numbers",
        "parameters": {"type": "object", "properties": {"a": {"type": "integer"}, "b": {"type": "integer"}}},
    },
}


def ask(base_url: str, api_key: str, messages: list[Any], **more: Any) -> dict[str, Any]:
    """Return the first message of a completion."""
    answer = whole(base_url, api_key, messages, **more)
    found: dict[str, Any] = answer["choices"][0]["message"]
    return found


def whole(base_url: str, api_key: str, messages: list[Any], timeout_s: float = 60.0, **more: Any) -> dict[str, Any]:
    """Return a completion."""
    request = urllib.request.Request(
        f"{base_url}/chat/completions",
        json.dumps({"model": "any", "messages": messages, **more}).encode(),
        {"Authorization": f"Bearer {api_key}", "Content-Type": "application/json"},
    )
    with urllib.request.urlopen(request, timeout=timeout_s) as answer:
        found: dict[str, Any] = json.loads(answer.read())
    return found


def user(text: str) -> dict[str, str]:
    return {"role": "user", "content": text}


def adder(task: dict[str, Any], base_url: str, api_key: str) -> str:
    """Call a tool until the model answers."""
    messages: list[dict[str, Any]] = [{"role": "system", "content": "Use tools."}, user(task["question"])]
    while True:
        said = ask(base_url, api_key, messages, tools=[ADD])
        messages.append(said)
        if not said.get("tool_calls"):
            return str(said["content"])
        for call in said["tool_calls"]:
            given = json.loads(call["function"]["arguments"])
            total = int(given["a"]) + int(given["b"])
            messages.append({"role": "tool", "tool_call_id": call["id"], "content": str(total)})


async def waits(task: dict[str, Any], base_url: str, api_key: str) -> str:
    """Be a coroutine."""
    return str(ask(base_url, api_key, [user(task["question"])])["content"])


def helpers(task: dict[str, Any], base_url: str, api_key: str) -> list[str]:
    """Lead conversations of its own in parallel, each with a marker that must come back."""

    def one(number: int) -> str:
        messages: list[dict[str, Any]] = [user(f"{task['question']} #{number}")]
        for _ in range(2):
            messages.append(ask(base_url, api_key, messages))
            messages.append(user(f"go on #{number}"))
        return str(messages[-2]["content"])

    with ThreadPoolExecutor(4) as pool:
        return list(pool.map(one, range(4)))


def marked(task: dict[str, Any], base_url: str, api_key: str) -> list[str]:
    """Lead two conversations at once, three turns each; what comes back must carry the marker that was sent."""

    def talk(number: int) -> str:
        mark = f"{task['question']}/{number}"
        messages: list[dict[str, Any]] = [user(f"<{mark}:0>")]
        for turn in range(3):
            messages.append(ask(base_url, api_key, messages))
            if messages[-1]["content"] != f"heard <{mark}:{turn}>":
                return f"crossed: {messages[-1]['content']} for {mark}:{turn}"
            messages.append(user(f"<{mark}:{turn + 1}>"))
        return "kept"

    with ThreadPoolExecutor(2) as pool:
        return list(pool.map(talk, range(2)))


def consults(task: dict[str, Any], base_url: str, api_key: str) -> str:
    """Ask another model beside its own."""
    said = ask(base_url, api_key, [user(task["question"])])["content"]
    other = ask(base_url, api_key, [user("check: " + said)], model="big-2")["content"]
    return f"{said} {other}"


def structured(task: dict[str, Any], base_url: str, api_key: str) -> Any:
    """Ask for JSON, then go on."""
    form = {"type": "json_schema", "json_schema": {"name": "answer", "schema": {"type": "object"}}}
    messages: list[dict[str, Any]] = [{"role": "system", "content": "Be exact."}, user(task["question"])]
    messages.append(ask(base_url, api_key, messages, response_format=form))
    ask(base_url, api_key, [*messages, user("sure?")], response_format=form)
    return json.loads(messages[2]["content"])


def rewrites(task: dict[str, Any], base_url: str, api_key: str) -> str:
    """Put a summary in place of the history."""
    messages: list[dict[str, Any]] = [user(task["question"])]
    messages.append(ask(base_url, api_key, messages))
    messages.append(user("more"))
    messages.append(ask(base_url, api_key, messages))
    return str(ask(base_url, api_key, [user("summary: " + messages[1]["content"]), user("now?")])["content"])


def twice(task: dict[str, Any], base_url: str, api_key: str) -> list[str]:
    """Ask for two answers at once."""
    answer = whole(base_url, api_key, [user(task["question"])], n=2)
    return [choice["message"]["content"] for choice in answer["choices"]]


def gives_up(task: dict[str, Any], base_url: str, api_key: str) -> str:
    """Lose patience, then ask the same again."""
    with suppress(TimeoutError):
        whole(base_url, api_key, [user(task["question"])], timeout_s=0.5)
    return str(ask(base_url, api_key, [user(task["question"])])["content"])


def stranger(task: dict[str, Any], base_url: str, api_key: str) -> list[int]:
    """Ask with wrong keys and with garbage, then properly."""
    seen = []
    good = json.dumps({"model": "m", "messages": [user("?")]}).encode()
    for key, body in (("nonsense", good), ("", good), (api_key, b"\xff\x00"), (api_key, b"[1]"), (api_key, b"{}")):
        request = urllib.request.Request(
            f"{base_url}/chat/completions", body, {"Authorization": f"Bearer {key}", "Content-Type": "application/json"}
        )
        try:
            urllib.request.urlopen(request, timeout=20)
        except urllib.error.HTTPError as error:
            seen.append(error.code)
            error.close()
    ask(base_url, api_key, [user(task["question"])])
    return seen


def says_nothing(task: dict[str, Any], base_url: str, api_key: str) -> str:
    """End without a question."""
    return "42"


def sleeps_first(task: dict[str, Any], base_url: str, api_key: str) -> None:
    """Hang before it has asked anything."""
    time.sleep(600)


def _asks_then(task: dict[str, Any], base_url: str, api_key: str) -> None:
    ask(base_url, api_key, [user(task["question"])])


def hangs(task: dict[str, Any], base_url: str, api_key: str) -> None:
    """Hang after an answer, deaf to SIGTERM."""
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    _asks_then(task, base_url, api_key)
    time.sleep(600)


def raises(task: dict[str, Any], base_url: str, api_key: str) -> None:
    """Fail after an answer."""
    _asks_then(task, base_url, api_key)
    raise ValueError("cannot read that")


def exits(task: dict[str, Any], base_url: str, api_key: str) -> None:
    """Exit after an answer."""
    _asks_then(task, base_url, api_key)
    sys.exit(3)


def leaves_at_once(task: dict[str, Any], base_url: str, api_key: str) -> None:
    """Leave without any ceremony after an answer."""
    _asks_then(task, base_url, api_key)
    os._exit(0)


def is_killed(task: dict[str, Any], base_url: str, api_key: str) -> None:
    """Die as when the machine runs out of memory."""
    _asks_then(task, base_url, api_key)
    os.kill(os.getpid(), signal.SIGKILL)


def daemons(task: dict[str, Any], base_url: str, api_key: str) -> str:
    """Leave processes behind that have gone to sessions of their own."""
    for _ in range(3):
        subprocess.Popen(
            [sys.executable, "-c", f"import time; time.sleep(600)  # {task['mark']}"], start_new_session=True
        )
    if os.fork() == 0:
        os.setsid()
        if os.fork() == 0:
            time.sleep(600)
        os._exit(0)
    return str(ask(base_url, api_key, [user(task["question"])])["content"])


def asks_for_ever(task: dict[str, Any], base_url: str, api_key: str) -> None:
    """Never come to an end."""
    messages = [user(task["question"])]
    while True:
        messages += [ask(base_url, api_key, messages), user("and?")]


def floods(task: dict[str, Any], base_url: str, api_key: str) -> str:
    """Print without end beside its work."""

    def write() -> None:
        while True:
            sys.stdout.write("x" * 65536)

    threading.Thread(target=write, daemon=True).start()
    return str(ask(base_url, api_key, [user(task["question"])])["content"])


def wraps(task: dict[str, Any], base_url: str, api_key: str) -> str:
    """Give what the model said with words of its own around it."""
    return "wrong: " + str(ask(base_url, api_key, [user(task["question"])])["content"])


def wrecks(task: dict[str, Any], base_url: str, api_key: str) -> str:
    """Close its output and remove its folder."""
    said = str(ask(base_url, api_key, [user(task["question"])])["content"])
    shutil.rmtree(tempfile.gettempdir())
    sys.stdout.close()
    return said


def odd_keys(task: dict[str, Any], base_url: str, api_key: str) -> Any:
    """Return what JSON cannot hold."""
    _asks_then(task, base_url, api_key)
    return {(1, 2): 3}


def unpicklable(task: dict[str, Any], base_url: str, api_key: str) -> Any:
    """Return what is no plain data."""
    _asks_then(task, base_url, api_key)
    return {"lock": threading.Lock(), "n": 1}
