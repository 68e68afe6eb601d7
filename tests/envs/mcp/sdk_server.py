"""An MCP server by the official SDK, as tests use it: over standard input and output, or over HTTP with a port."""

import os
import subprocess
import sys
import time

from mcp.server.mcpserver import MCPServer
from mcp.types import ImageContent, ResourceLink

server = MCPServer("calculator", instructions="Reckon.")
counted = 0


@server.tool()
def add(a: int, b: int = 1) -> int:
    """Add two numbers."""
    return a + b


@server.tool()
def divide(a: float, b: float) -> float:
    """Divide one number by another."""
    return a / b


@server.tool()
def calculate(expression: str) -> str:
    """Work out one sum, difference, product or quotient of whole numbers, such as 6 * 7."""
    left, operation, right = expression.split()
    one, other = int(left), int(right)
    return str({"+": one + other, "-": one - other, "*": one * other, "/": one // (other or 1)}[operation])


@server.tool()
def count() -> str:
    """Count how often this was called."""
    global counted
    counted += 1
    return f"call {counted}"


@server.tool()
def table() -> dict[str, int]:
    """Return a table."""
    return {"one": 1, "two": 2}


@server.tool()
def picture() -> list[ImageContent | ResourceLink]:
    """Return a picture and a link."""
    link = ResourceLink(uri="memo://greeting", name="greeting", description="says hello")
    return [ImageContent(data="aGVsbG8=", mime_type="image/png"), link]


@server.tool()
def long(size: int) -> str:
    """Return a long text."""
    return "a" + "x" * size + "z"


@server.tool()
def sleep(seconds: float) -> str:
    """Sleep."""
    time.sleep(seconds)
    return "slept"


@server.tool()
def die() -> str:
    """End the server."""
    sys.stderr.write("no more\n")
    sys.stderr.flush()
    os._exit(7)


@server.tool()
def spawn(marker: str) -> str:
    """Leave a process behind, in a session of its own."""
    subprocess.Popen(["sh", "-c", f"trap '' TERM; sleep {marker}"], start_new_session=True)
    return "left"


@server.tool()
def look(name: str) -> str:
    """Return a variable of the environment and what is in the folder."""
    return f"{os.environ.get(name)} {sorted(os.listdir('.'))}"


@server.tool()
def forget() -> str:
    """Take a tool away."""
    server.remove_tool("add")
    return "forgotten"


@server.resource("memo://greeting", name="greeting", description="Says hello", mime_type="text/plain")
def greeting() -> str:
    """Say hello."""
    return "hello"


@server.resource("memo://picture", name="picture", mime_type="image/png")
def drawing() -> bytes:
    """Return bytes."""
    return b"12345"


@server.resource("memo://people/{name}", name="person")
def person(name: str) -> str:
    """Say something of a person."""
    return f"{name} is well"


if __name__ == "__main__":
    if len(sys.argv) > 1:
        server.run("streamable-http", host="127.0.0.1", port=int(sys.argv[1]))
    else:
        server.run()
