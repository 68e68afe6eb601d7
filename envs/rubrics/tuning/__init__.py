"""Tune the weights of a rubric to labels or preferences: pure statistics, from the values of its components."""

from agentrl.envs.rubrics.tuning.agreement import Agreement, Interval
from agentrl.envs.rubrics.tuning.examples import Examples
from agentrl.envs.rubrics.tuning.tune import Tuned, tune

__all__ = ["Agreement", "Examples", "Interval", "Tuned", "tune"]
