"""Generated web sites in a real Chromium: find, fill, order, edit; see README.md."""

from agentrl.envs.browse.env import BrowseEnv

__all__ = ["BrowseEnv"]
