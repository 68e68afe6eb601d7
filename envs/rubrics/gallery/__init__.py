"""Rubrics that can be hacked, on purpose, each beside a twin that mends it: for the watch, and to learn from."""

from agentrl.envs.rubrics.gallery.exhibits import EXHIBITS, Exhibit, exhibit

__all__ = ["EXHIBITS", "Exhibit", "exhibit"]
