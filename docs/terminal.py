"""Take pictures of commands in a terminal, for the pages of docs/: each runs for real, and what it prints is drawn.

python docs/terminal.py            # all of them
python docs/terminal.py check      # one
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from pathlib import Path

from rich.console import Console
from rich.text import Text

HERE = Path(__file__).parent
WIDTH = 104
# name -> the commands of one picture, each as it is typed; all run in one folder, in this order
PICTURES = {
    "bench": [
        "agentrl bench --env AgentRL/Math-v0,AgentRL/ToolUse-v0 --agent oracle -n 50 --out runs/oracle",
        "agentrl bench --env AgentRL/Math-v0,AgentRL/ToolUse-v0 --agent random -n 50 --out runs/random",
        "agentrl compare runs/oracle runs/random",
    ],
    "check": ["agentrl check AgentRL/Math-v0 --only oracle,leak,splits,determinism,deadlines,success"],
    "plan": ["agentrl train quickstart --dry-run --threads 1"],
}


def main() -> None:
    """Take the pictures that are named, or all."""
    with tempfile.TemporaryDirectory() as folder:
        for name in sys.argv[1:] or PICTURES:
            draw(name, PICTURES[name], Path(folder))


def draw(name: str, commands: list[str], folder: Path) -> None:
    """Run the commands of a picture and write it."""
    console = Console(record=True, width=WIDTH, file=open(os.devnull, "w"), force_terminal=True)  # noqa: SIM115
    environment = os.environ | {"FORCE_COLOR": "1", "COLUMNS": str(WIDTH), "TERM": "xterm-256color"}
    environment["PATH"] = f"{Path(sys.executable).parent}{os.pathsep}{environment['PATH']}"
    for command in commands:
        done = subprocess.run(
            command, shell=True, cwd=folder, env=environment, capture_output=True, text=True, check=False
        )
        console.print(Text("$ ", style="bold green") + Text(command, style="bold"))
        console.print(Text.from_ansi(done.stdout.rstrip() or done.stderr.rstrip()))
    path = HERE / "pictures" / f"{name}.svg"
    console.save_svg(str(path), title="agentrl")
    # Fonts are not fetched from elsewhere: the reader's own monospaced one does.
    text = path.read_text()
    start, end = text.find("@font-face"), text.rfind("}", 0, text.find(".terminal-")) if "@font-face" in text else -1
    path.write_text(text[:start] + text[end + 1 :] if 0 <= start < end else text)


if __name__ == "__main__":
    main()
