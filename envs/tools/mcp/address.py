"""Where an MCP server is: a command that speaks on its standard input and output, or an address of streamable HTTP.

mcp:python3 server.py --verbose        a program with its arguments, as in a shell without its operators
mcp+http://127.0.0.1:8000/mcp          a server that runs already; mcp+https:// likewise
"""

from __future__ import annotations

import shlex
from dataclasses import dataclass

from agentrl.envs.errors import UsageError

__all__ = ["Address", "address_of"]

_FORMS = "write 'mcp:python3 server.py', or 'mcp+http://127.0.0.1:8000/mcp' for a server that runs already"


@dataclass(frozen=True, kw_only=True)
class Address:
    """One MCP server."""

    command: tuple[str, ...] = ()  # a program and its arguments; empty where there is a URL
    url: str = ""

    @property
    def name(self) -> str:
        """What messages call it."""
        return self.url or shlex.join(self.command)


def address_of(text: str) -> Address:
    """Read what a user wrote.

    Raises:
        UsageError: It is neither a command nor an address.

    >>> address_of("mcp:python3 server.py 'two words'").command
    ('python3', 'server.py', 'two words')
    >>> address_of("mcp+http://127.0.0.1:8000/mcp").url
    'http://127.0.0.1:8000/mcp'
    """
    if not isinstance(text, str):
        raise UsageError(f"tools={text!r:.100} is {type(text).__name__}; {_FORMS}")
    if text.startswith(("mcp+http://", "mcp+https://")):
        return Address(url=text.removeprefix("mcp+"))
    if not text.startswith("mcp:"):
        raise UsageError(f"tools={text!r:.200} names no MCP server; {_FORMS}")
    try:
        command = tuple(shlex.split(text.removeprefix("mcp:")))
    except ValueError as error:
        raise UsageError(f"tools={text!r:.200} cannot be read as a command: {error}; {_FORMS}") from error
    if not command or not command[0]:
        raise UsageError(f"tools={text!r:.200} has no command; {_FORMS}")
    return Address(command=command)
