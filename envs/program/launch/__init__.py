"""Starting a program for an episode, and ending it with everything that it started."""

from agentrl.envs.program.launch.program import Ended, Order, Program, Run

__all__ = ["Ended", "Order", "Program", "Run"]
