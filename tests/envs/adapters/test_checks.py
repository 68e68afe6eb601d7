"""`agentrl check` over an environment of each suite: what fails is the suite's own, and stands in docs/adapters.md."""

from __future__ import annotations

from typing import Any

import pytest

from tests.envs.adapters.playing import failed

VERIFIERS = {"env_id": "tests.envs.adapters.arithmetic"}


@pytest.mark.slow
@pytest.mark.parametrize(
    ("env_id", "arguments", "own"),
    [
        ("AgentRL/ReasoningGym-v0", {"dataset": "leg_counting"}, set()),
        ("AgentRL/TextArena-v0", {"game": "Mastermind-v0"}, set()),
        ("AgentRL/Gem-v0", {"env_id": "game:Mastermind-v0-hard"}, set()),
        ("AgentRL/Verifiers-v0", VERIFIERS, set()),
        # Its rubric pays a quarter for the form of an answer.
        ("AgentRL/Verifiers-v0", {**VERIFIERS, "config": {"kind": "single"}}, {"cheats", "fuzz", "variety"}),
    ],
)
def test_what_fails_is_the_suites_own(env_id: str, arguments: dict[str, Any], own: set[str]) -> None:
    found = failed(env_id, **arguments)
    assert set(found) <= own, found
    assert bool(found) == bool(own), "docs/adapters.md says that it fails"
