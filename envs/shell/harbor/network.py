"""Tell the lines of a test script that need a network, which no box has, before an episode is lost to them."""

from __future__ import annotations

import re

__all__ = ["reaches_out"]

# Programs that fetch something, at the beginning of a command. `uv run` alone is fine: it may find all in the image.
_FETCHES = re.compile(
    r"(?:^|[;&|(`{!]|\$\(|\b(?:then|do|else|if|exec|time)\s)\s*(?:sudo\s+|env\s+)*(?:\w+=\S*\s+)*"
    r"(?:"
    r"(?:apt|apt-get|aptitude|apk|dnf|yum|microdnf|conda|mamba|brew)\b(?=.*\s(?:update|install|add|upgrade)\b)"
    r"|(?:\S*/)?(?:python[\d.]*\s+-m\s+)?pip[\d.]*\s+(?:install|download)\b(?!.*--no-index)"
    r"|uv\s+(?:add|sync|venv|init|python|tool|self|lock)\b(?!.*--offline)|uv\s+pip\s+(?:install|sync)\b(?!.*--offline)"
    r"|uv\s+run\b(?=.*\s(?:-w|--with)\b)(?!.*--offline)|uvx\b(?!.*--offline)|pipx\s+(?:run|install)\b"
    r"|(?:npm|pnpm|yarn)\s+(?:i|ci|install|add)\b|npx\b|cargo\s+install\b|gem\s+install\b|go\s+(?:install|get)\b"
    r"|(?:curl|wget)\b(?=.*\b(?:https?|ftp)://(?!localhost|127\.|0\.0\.0\.0|\[::1\]))"
    r"|git\s+clone\b(?=.*\b(?:https?|ssh)://(?!localhost|127\.))"
    r")"
)


def reaches_out(line: str) -> bool:
    """Say whether a line of a shell script needs a network.

    >>> reaches_out("  apt-get install -y curl"), reaches_out("curl -LsSf https://example.org/install.sh | sh")
    (True, True)
    >>> reaches_out("# pip install pytest"), reaches_out("curl http://localhost:8000/"), reaches_out("pytest -rA t.py")
    (False, False, False)
    """
    return not line.lstrip().startswith("#") and _FETCHES.search(line) is not None
