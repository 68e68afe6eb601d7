"""Labelled episodes as tuning sees them: the values of a rubric's components, and what somebody said of the episodes.

Three kinds of label: of two episodes the better one (or neither), true or false of one episode, or a number. Episodes
of one task resemble each other, so tasks are what is held out and drawn; preferences across tasks tie these together.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from agentrl.envs.errors import UsageError

__all__ = ["Examples", "Floats", "Ints", "Kind"]

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Kind = Literal["preferences", "classes", "numbers"]


@dataclass(frozen=True, kw_only=True)
class Examples:
    """Labels over the values of components.

    Raises:
        UsageError: Shapes or values that do not fit together.
    """

    kind: Kind
    names: tuple[str, ...]  # of the C components
    values: Floats  # [E, C], as the rubric combines them: normalised and clipped, without the weight
    tasks: tuple[str, ...]  # of the E episodes
    episodes: Ints  # [N] the labelled episode; of preferences [N, 2], the first and the second
    labels: Floats  # [N]; of preferences 1: the first is better, 0: the second, 0.5: neither; of classes 0 or 1

    def __post_init__(self) -> None:
        num, width = self.values.shape
        pairs = self.kind == "preferences"
        if width != len(self.names) or num != len(self.tasks):
            raise UsageError(
                f"values of shape {self.values.shape} for {len(self.names)} names, {len(self.tasks)} tasks"
            )
        if self.episodes.shape != ((len(self.labels), 2) if pairs else (len(self.labels),)):
            raise UsageError(f"{self.kind}: {self.episodes.shape} episodes for {len(self.labels)} labels")
        if not np.isfinite(self.values).all() or not np.isfinite(self.labels).all():
            raise UsageError("values and labels must be finite numbers")
        allowed = {"preferences": (0.0, 0.5, 1.0), "classes": (0.0, 1.0)}.get(self.kind)
        if allowed is not None and not np.isin(self.labels, allowed).all():
            raise UsageError(f"labels of {self.kind} must be among {allowed}, got {sorted(set(self.labels))[:5]}")
        if pairs and (self.episodes[:, 0] == self.episodes[:, 1]).any():
            raise UsageError("a preference must be between two episodes, and not between an episode and itself")

    def __len__(self) -> int:
        return len(self.labels)

    def inputs(self) -> Floats:
        """Return what a label is explained by, [N, C]: the values, or the first episode's less the second's."""
        if self.kind == "preferences":
            return self.values[self.episodes[:, 0]] - self.values[self.episodes[:, 1]]
        return self.values[self.episodes]

    def groups(self) -> Ints:
        """Return for each label, [N], the number of its group: a task, or tasks that preferences tie together."""
        from scipy.sparse import coo_array
        from scipy.sparse.csgraph import connected_components

        _, task = np.unique(np.asarray(self.tasks), return_inverse=True)
        if self.kind != "preferences":
            found = task[self.episodes]
        else:
            ends = task[self.episodes]
            size = int(task.max()) + 1 if len(task) else 0
            edges = coo_array((np.ones(len(ends)), (ends[:, 0], ends[:, 1])), shape=(size, size))
            _, component = connected_components(edges, directed=False)
            found = component[ends[:, 0]]
        return np.unique(found, return_inverse=True)[1].astype(np.int64)

    def some(self, rows: Sequence[int] | Ints | NDArray[np.bool_]) -> Examples:
        """Return these with some of the labels only."""
        return dataclasses.replace(self, episodes=self.episodes[rows], labels=self.labels[rows])
