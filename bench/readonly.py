"""The address under which SQLite reads a file and leaves it, its folder and its writer alone."""

from __future__ import annotations

import os
from pathlib import Path
from urllib.parse import quote

__all__ = ["readonly_uri"]


def readonly_uri(path: Path) -> str:
    """Return a URI for `sqlite3.connect(…, uri=True)`.

    A file in write-ahead mode is read through the index that its writer made. One without a log is whole as it lies,
    while opening it in the usual way would make two files beside it (https://sqlite.org/wal.html#read_only_databases).

    Raises:
        OSError: The file cannot be read.
    """
    with path.open("rb") as file:
        head = file.read(20)
    log, index = (path.with_name(f"{path.name}{ending}") for ending in ("-wal", "-shm"))
    if head[18:19] == b"\x02" and not (log.exists() and log.stat().st_size):
        how = "&immutable=1"
    elif log.exists() and index.exists():
        how = "&readonly_shm=1"
    else:
        how = ""
    return f"file:{quote(os.fsencode(path.absolute()))}?mode=ro{how}"
