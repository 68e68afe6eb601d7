"""What several tests of the bench read from, and the module that a user writes."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest


@pytest.fixture(scope="session")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a real training run of two steps; to be read only."""
    from tests.bench.training import train_tiny

    return train_tiny(tmp_path_factory.mktemp("runs"))


@pytest.fixture
def module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[str], None]]:
    """Write the user's module `mine` into the current folder; nobody finds it afterwards."""

    def write(source: str) -> None:
        (tmp_path / "mine.py").write_text(source)
        monkeypatch.chdir(tmp_path)
        monkeypatch.setattr(sys, "path", list(sys.path))
        sys.modules.pop("mine", None)

    yield write
    sys.modules.pop("mine", None)
