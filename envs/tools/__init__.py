"""Tools that a model can call: schemas from typed functions, and parsers of the calls in a model's text."""

from agentrl.envs.tools.calls import Malformed, ToolCall
from agentrl.envs.tools.parsers import FORMATS, PARSERS, parse
from agentrl.envs.tools.tool import ArgumentError, Tool
from agentrl.envs.tools.toolset import ToolError, Toolset, ToolsetSpec

__all__ = [
    "FORMATS",
    "PARSERS",
    "ArgumentError",
    "Malformed",
    "Tool",
    "ToolCall",
    "ToolError",
    "Toolset",
    "ToolsetSpec",
    "parse",
]
