"""A server of environments on the loopback, in a thread, and one in a process of its own that can be killed."""

from __future__ import annotations

import contextlib
import socket
import threading
import time
from collections.abc import Iterator, Mapping
from typing import Any

import uvicorn

from agentrl.envs.remote.server import make_app
from agentrl.envs.remote.sessions import Limits


def free_port() -> int:
    """Return a port on which nobody listens now."""
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))
        return int(held.getsockname()[1])


@contextlib.contextmanager
def served(
    *env_ids: str, token: str = "", limits: Limits | None = None, kwargs: Mapping[str, Any] | None = None, port: int = 0
) -> Iterator[str]:
    """Serve environments in a thread; yield the address."""
    app = make_app({env_id: dict(kwargs or {}) for env_id in env_ids}, token=token, limits=limits)
    port = port or free_port()
    server = uvicorn.Server(uvicorn.Config(app, host="127.0.0.1", port=port, log_level="error", ws="websockets-sansio"))
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    stop = time.monotonic() + 30
    while not server.started and time.monotonic() < stop:
        time.sleep(0.01)
    assert server.started
    try:
        yield f"http://127.0.0.1:{port}"
    finally:
        server.should_exit = True
        thread.join(30)
        assert not thread.is_alive()
