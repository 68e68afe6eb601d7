"""Rubrics over stored runs: labels of episodes, and what a rubric's components say of them."""

from agentrl.bench.rubrics.groups import stored_groups
from agentrl.bench.rubrics.labels import Labels, read_labels
from agentrl.bench.rubrics.measure import Measured, measure

__all__ = ["Labels", "Measured", "measure", "read_labels", "stored_groups"]
