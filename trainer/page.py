"""The frame of a page that needs no network and no script: light and dark, for a wide screen and for a phone.

What stands in it is the caller's to escape; beside that the page forbids scripts and outside resources to the browser.
"""

from __future__ import annotations

import os
from pathlib import Path
from string import Template

from agentrl.trainer.curves import FONT
from agentrl.trainer.errors import RunFolderError
from agentrl.trainer.transcripts import escape

__all__ = ["page", "write_page"]


def page(title: str, body: str, *, style: str = "") -> str:
    """Return a whole HTML page.

    Args:
        title: As plain text.
        body: HTML, escaped where it has to be.
        style: CSS of this kind of page.
    """
    frame = Template(Path(__file__).with_name("page.html").read_text(encoding="utf-8"))
    return frame.substitute(title=escape(title), font=FONT, style=style, body=body)


def write_page(path: Path, text: str) -> Path:
    """Write a file whole or not at all, and return its path.

    Raises:
        RunFolderError: It could not be written.
    """
    part = path.with_name(f"{path.name}.part")
    try:
        part.write_text(text, encoding="utf-8")
        os.replace(part, path)
    except OSError as error:
        part.unlink(missing_ok=True)
        advice = "free some space, or choose another folder"
        raise RunFolderError(f"{path} could not be written: {error.strerror}; {advice}") from error
    return path
