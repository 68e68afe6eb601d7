"""`AgentRL/Shell-v0`: tasks in a shell, judged by the files that are left."""

from agentrl.envs.shell.env import ShellEnv

__all__ = ["ShellEnv"]
