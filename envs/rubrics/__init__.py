"""Rubrics: named, weighted components over an episode; their weighted sum is its reward."""

from agentrl.envs.rubrics.component import Component
from agentrl.envs.rubrics.rubric import Rubric, Score
from agentrl.envs.rubrics.toml import from_toml, load_rubric, to_toml
from agentrl.envs.rubrics.transcript import Transcript
from agentrl.envs.rubrics.wrapper import RubricReward

__all__ = ["Component", "Rubric", "RubricReward", "Score", "Transcript", "from_toml", "load_rubric", "to_toml"]
