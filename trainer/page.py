"""The frame of a page that needs no network and no script: light and dark, for a wide screen and for a phone.

What stands in it is the caller's to escape; beside that the page forbids scripts and outside resources to the browser.
"""

from __future__ import annotations

from pathlib import Path
from string import Template

from agentrl.trainer.curves import FONT
from agentrl.trainer.transcripts import escape

__all__ = ["page"]


def page(title: str, body: str, *, style: str = "") -> str:
    """Return a whole HTML page.

    Args:
        title: As plain text.
        body: HTML, escaped where it has to be.
        style: CSS of this kind of page.
    """
    frame = Template(Path(__file__).with_name("page.html").read_text(encoding="utf-8"))
    return frame.substitute(title=escape(title), font=FONT, style=style, body=body)
