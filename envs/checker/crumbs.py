"""What the environment is doing right now, readable from another process while it hangs."""

from __future__ import annotations

import contextlib
import json
import os
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

__all__ = ["Crumb", "Crumbs"]

_SIZE = 2048


@dataclass(frozen=True, kw_only=True)
class Crumb:
    """One call that has not come back."""

    what: str
    since: float  # time.monotonic(), which all processes of a machine share


class Crumbs:
    """A small file with the current call. Written at every reset and step, so it costs a microsecond or two."""

    def __init__(self, path: Path) -> None:
        self._fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC)

    @contextlib.contextmanager
    def during(self, what: str) -> Iterator[None]:
        """Say what is done while it is done."""
        text = json.dumps([time.monotonic(), what[:300]]).encode()
        os.pwrite(self._fd, text.ljust(_SIZE), 0)
        try:
            yield
        finally:
            os.pwrite(self._fd, b"[]".ljust(_SIZE), 0)

    def read(self) -> Crumb | None:
        """Return the call that runs now, None between calls."""
        try:
            seen = json.loads(os.pread(self._fd, _SIZE, 0) or b"[]")
        except ValueError:  # read while it was written
            return None
        return Crumb(since=seen[0], what=seen[1]) if seen else None

    def clear(self) -> None:
        """Forget the last call, of a process that is gone."""
        os.pwrite(self._fd, b"[]".ljust(_SIZE), 0)

    def close(self) -> None:
        """Close the file."""
        os.close(self._fd)
