"""Files that act without being called: what Python or a test runner loads by its name when it starts."""

from __future__ import annotations

__all__ = ["is_startup"]

_STARTUP = frozenset({"sitecustomize.py", "usercustomize.py", "conftest.py", "pytest.ini", "tox.ini"})


def is_startup(name: str) -> bool:
    """Say whether a file of this name acts when Python or a test runner starts, or changes what they do.

    >>> is_startup("conftest.py"), is_startup("x.pth"), is_startup("shop.py")
    (True, True, False)
    """
    return name in _STARTUP or name.endswith((".pth", ".egg-link"))
