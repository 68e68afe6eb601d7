"""What `agentrl new` writes: a small, real environment with generator, oracle, cheats, tests and card."""

from agentrl.envs.scaffold.create import Made, create
from agentrl.envs.scaffold.names import KINDS, Name

__all__ = ["KINDS", "Made", "Name", "create"]
