"""Both ends of a box's connections in one process, and no box: the worker's door in a thread, and the host's side."""

from __future__ import annotations

import selectors
import socket
import threading
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Protocol, TypeVar

from agentrl.sandboxes.network.stream import Send
from agentrl.sandboxes.worker.frames import Frame, Reader
from agentrl.sandboxes.worker.tunnel import Tunnel

__all__ = ["chain", "free_port"]


class Host(Protocol):
    """What takes frames on the host."""

    def handle(self, frame: Frame) -> None: ...

    def close(self) -> None: ...


H = TypeVar("H", bound=Host)
OpenDoors = Callable[[selectors.BaseSelector, Callable[[bytes], None]], list[Tunnel]]


def free_port() -> int:
    """Return a port that nobody has at this moment."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return int(free.getsockname()[1])


@contextmanager
def chain(make_host: Callable[[Send], H], open_doors: OpenDoors) -> Iterator[H]:
    """Give the host's side, while a loop like the worker's serves the doors."""
    selector = selectors.DefaultSelector()
    wake_r, wake_w = socket.socketpair()
    wake_w.setblocking(False)
    frames: deque[Frame] = deque()
    stop = threading.Event()

    def to_worker(kind: int, run: bytes, body: bytes) -> None:
        frames.append(Frame(kind, run, body))
        wake_w.send(b"x")

    host = make_host(to_worker)
    reader = Reader()

    def to_host(data: bytes) -> None:
        for frame in reader.feed(data):
            host.handle(frame)

    doors = open_doors(selector, to_host)

    def woken(mask: int) -> None:
        wake_r.recv(65_536)
        while frames:
            frame = frames.popleft()
            for door in doors:
                door.take(frame)

    selector.register(wake_r, selectors.EVENT_READ, woken)

    def loop() -> None:
        while not stop.is_set():
            for key, mask in selector.select(0.1):
                key.data(mask)
        for door in doors:
            door.shut()

    thread = threading.Thread(target=loop)
    thread.start()
    try:
        yield host
    finally:
        stop.set()
        thread.join()
        host.close()
        wake_r.close()
        wake_w.close()
        selector.close()
