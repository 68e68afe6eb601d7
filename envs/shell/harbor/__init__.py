"""Tasks of the user's own for Shell-v0: folders in the format of Harbor, or in that of terminal-bench before it."""

from agentrl.envs.shell.harbor.format import HarborTask, load

__all__ = ["HarborTask", "load"]
