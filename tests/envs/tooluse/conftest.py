"""The toy domain, for the tests of what all domains share."""

from __future__ import annotations

import pytest

from agentrl.envs.tooluse.tasks import DOMAINS


@pytest.fixture
def toy(monkeypatch: pytest.MonkeyPatch) -> str:
    """Make the toy one of the domains; return its name."""
    monkeypatch.setitem(DOMAINS, "toy", "tests.envs.tooluse.toy")
    return "toy"
