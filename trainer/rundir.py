"""The folder of a run: made once, never overwritten, every small file replaced as a whole."""

from __future__ import annotations

import fcntl
import json
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

from agentrl.trainer.errors import RunFolderError

__all__ = ["RunDir"]

_MIN_FREE_MB = 200


@dataclass(frozen=True)
class RunDir:
    """`runs/<name>/`."""

    path: Path

    @property
    def checkpoints(self) -> Path:
        """Where checkpoints are."""
        return self.path / "checkpoints"

    @classmethod
    def create(cls, out: Path, name: str | None, *, default: str) -> Self:
        """Make a new folder in `out`: `name`, or else `default` with the first free number.

        Raises:
            RunFolderError: It exists, cannot be written, or the disk is full.
        """
        if name is not None and (not name.strip() or name in (".", "..") or Path(name).name != name):
            raise RunFolderError(f"--name {name!r} is no name of a folder; type --out FOLDER --name NAME")
        path = out / (name or _free_name(out, default))
        _check_disk(next(each for each in path.absolute().parents if each.is_dir()))  # before anything is made
        try:
            path.mkdir(parents=True)
        except FileExistsError:
            how = f"type --resume {path} to go on with it, or --name {_free_name(out, path.name)} for a new one"
            raise RunFolderError(f"run folder {path} exists; {how}") from None
        except OSError as error:
            raise RunFolderError(
                f"run folder {path} cannot be made: {error.strerror}; type --out FOLDER with one that you may write"
            ) from error
        made = cls(path)
        made.check()
        return made

    @classmethod
    def existing(cls, path: Path) -> Self:
        """Return the folder of a run to resume.

        Raises:
            RunFolderError: It is no run.
        """
        if not (path / "config.toml").is_file():
            known = sorted(each.parent for each in path.parent.glob("*/config.toml")) if path.parent.is_dir() else []
            hint = f"; there are {', '.join(map(str, known))}" if known else ""
            raise RunFolderError(f"{path} is no run: it has no config.toml{hint}")
        found = cls(path)
        found.check()
        return found

    def check(self) -> None:
        """Refuse a folder that cannot be written or a disk that is nearly full.

        Raises:
            RunFolderError: As said.
        """
        _check_disk(self.path)
        try:
            with tempfile.NamedTemporaryFile(dir=self.path, prefix=".write"):
                pass
        except OSError as error:
            raise RunFolderError(
                f"run folder {self.path} cannot be written: {error.strerror}; type --out FOLDER with one that you "
                "may write"
            ) from error

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Keep the run to this process; a killed process holds nothing.

        Raises:
            RunFolderError: Another process is at work in it.
        """
        with (self.path / ".lock").open("w") as file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                raise RunFolderError(f"another process is training in {self.path}; wait for it, or stop it") from None
            yield

    def write_text(self, name: str, text: str) -> None:
        """Write a file as a whole or not at all.

        Raises:
            RunFolderError: It cannot be written.
        """
        target, temporary = self.path / name, self.path / f".{name}.tmp"
        try:
            with temporary.open("w", encoding="utf-8") as file:
                file.write(text)
                file.flush()
                os.fsync(file.fileno())
            temporary.replace(target)
        except OSError as error:
            raise RunFolderError(
                f"{target} cannot be written: {error.strerror}; free some space, then agentrl train --resume "
                f"{self.path}"
            ) from error

    def write_json(self, name: str, value: Any) -> None:
        """Write a value as JSON, as a whole or not at all."""
        self.write_text(name, json.dumps(value, indent=2) + "\n")


def _check_disk(folder: Path) -> None:
    free_mb = shutil.disk_usage(folder).free >> 20
    if free_mb < _MIN_FREE_MB:
        raise RunFolderError(
            f"only {free_mb} MB are free at {folder}, and a run wants at least {_MIN_FREE_MB}; free some, or type "
            "--out FOLDER with one on another disk"
        )


def _free_name(out: Path, default: str) -> str:
    return next(
        name
        for number in range(1, 1_000_000)
        if not (out / (name := default if number == 1 else f"{default}-{number}")).exists()
    )
