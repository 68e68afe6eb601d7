"""A link that can be cut: passes bytes between the loopback and a server, until it does not."""

from __future__ import annotations

import socket
import threading
from contextlib import suppress
from typing import Self
from urllib.parse import urlsplit

from agentrl.trainer.engines.fleet.process import Launched

__all__ = ["Relay"]


class Relay:
    """Stands before a server, at an address of its own."""

    def __init__(self, server: Launched) -> None:
        self._to = ("127.0.0.1", urlsplit(server.url).port or 0)
        self._port = 0
        self._open: list[socket.socket] = []
        self.restore()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._port}"

    def restore(self) -> None:
        """Listen, again after a cut."""
        self._listening = socket.create_server(("127.0.0.1", self._port), backlog=128)
        self._port = self._listening.getsockname()[1]
        threading.Thread(target=self._accept, args=(self._listening,), daemon=True).start()

    def cut(self) -> None:
        """Break every connection, and refuse new ones."""
        for each in [self._listening, *self._open]:
            with suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)
            each.close()
        self._open = []

    def _accept(self, listening: socket.socket) -> None:
        while True:
            try:
                ours, _ = listening.accept()
            except OSError:
                return
            try:
                theirs = socket.create_connection(self._to)
            except OSError:
                ours.close()
                continue
            self._open += [ours, theirs]
            for one, other in ((ours, theirs), (theirs, ours)):
                threading.Thread(target=_pass, args=(one, other), daemon=True).start()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self.cut()


def _pass(one: socket.socket, other: socket.socket) -> None:
    with suppress(OSError):
        while data := one.recv(65_536):
            other.sendall(data)
    for each in (one, other):
        with suppress(OSError):
            each.shutdown(socket.SHUT_RDWR)
