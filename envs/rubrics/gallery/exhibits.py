"""What hangs in the gallery: the mistake, what a policy makes of it, and the two rubrics as TOML.

    agentrl train quickstart --rubric envs/rubrics/gallery/tags.toml

The flawed components are in `flaws.py`; the mended twins use those of the box alone.
"""

from __future__ import annotations

from dataclasses import dataclass
from importlib import resources
from pathlib import Path

from agentrl.envs.errors import UsageError, nearest
from agentrl.envs.rubrics.rubric import Rubric
from agentrl.envs.rubrics.toml import load_rubric

__all__ = ["EXHIBITS", "Exhibit", "exhibit"]


@dataclass(frozen=True, kw_only=True)
class Exhibit:
    """A mistake, as a rubric, and the same rubric without it."""

    name: str
    mistake: str  # in the rubric
    hack: str  # what is easier than solving the task, and pays
    component: str  # the part of the flawed rubric that pays for it
    env_id: str = "AgentRL/Search-v0"
    level: int = 2

    def path(self, *, mended: bool = False) -> Path:
        """Return where the TOML file is."""
        file = f"{self.name}{'_mended' if mended else ''}.toml"
        return Path(str(resources.files("agentrl.envs.rubrics.gallery") / file))

    def rubric(self, *, mended: bool = False) -> Rubric:
        """Return the rubric."""
        return load_rubric(self.path(mended=mended))


EXHIBITS: tuple[Exhibit, ...] = (
    Exhibit(
        name="length",
        mistake="words pay, whatever they say",
        hack="talk until the limit",
        component="thorough",
    ),
    Exhibit(
        name="tags",
        mistake="a bonus for the form is counted once for every tag",
        hack="write the tag again and again",
        component="form",
    ),
    Exhibit(
        name="judge",
        mistake="a judge without the accepted answer takes confidence for quality",
        hack="assure that the answer is right",
        component="judge",
    ),
    Exhibit(
        name="listing",
        mistake="every candidate that was found pays, and the accepted one counts among any number of them",
        hack="answer with all that was read",
        component="candidates",
    ),
    Exhibit(
        name="verdict",
        mistake="the verdict is believed where the agent's code can write it",
        hack="write the verdict and show it",
        component="passed",
        env_id="AgentRL/Python-v0",
        level=1,
    ),
)


def exhibit(name: str) -> Exhibit:
    """Return one of them.

    Raises:
        UsageError: There is none of that name.

    >>> exhibit("length").rubric().weights
    {'correct': 0.1, 'thorough': 1.0}
    """
    for each in EXHIBITS:
        if each.name == name:
            return each
    names = [each.name for each in EXHIBITS]
    raise UsageError(f"the gallery has no {name!r}{nearest(name, names)}; there are {', '.join(names)}")
