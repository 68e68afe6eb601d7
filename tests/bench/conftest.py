"""What several tests of the bench read from."""

from __future__ import annotations

from pathlib import Path

import pytest


@pytest.fixture(scope="session")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a real training run of two steps; to be read only."""
    from tests.bench.training import train_tiny

    return train_tiny(tmp_path_factory.mktemp("runs"))
