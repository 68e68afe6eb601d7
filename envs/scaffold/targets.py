"""Where a new environment goes: into a checkout of AgentRL, or into a package of the author's own.

Both have one shape: a package with a folder for each environment and an `__init__.py` that registers them, and a folder
of tests. A second environment of the author's own joins the first.
"""

from __future__ import annotations

import keyword
import re
import tomllib
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

from agentrl.envs.errors import UsageError
from agentrl.envs.scaffold.names import Name

__all__ = ["Target"]

_OURS = "agentrl-gym"


@dataclass(frozen=True, kw_only=True)
class Target:
    """A package that takes environments."""

    root: Path  # of the project
    package: str  # `agentrl.envs`, or the author's package
    package_folder: Path
    tests_folder: Path
    namespace: str  # the first half of the ids
    fresh: bool = False  # whether the package itself is still to be written

    @classmethod
    def checkout(cls, start: Path) -> Target:
        """Find the checkout of AgentRL that a folder is in.

        Raises:
            UsageError: It is in none.
        """
        for folder in (start.resolve(), *start.resolve().parents):
            if (folder / "envs" / "core.py").is_file() and _project(folder) == _OURS:
                return cls(
                    root=folder,
                    package="agentrl.envs",
                    package_folder=folder / "envs",
                    tests_folder=folder / "tests" / "envs",
                    namespace="AgentRL",
                )
        raise UsageError(
            f"{start} is not in a checkout of AgentRL; for a package of your own add --to DIR, such as --to my_envs"
        )

    @classmethod
    def own(cls, folder: Path) -> Target:
        """Name the package of the author's own in a folder, which may be there already or not.

        Raises:
            UsageError: The folder's name cannot be that of a package, or it holds something else.
        """
        root = folder.expanduser().resolve()
        if root.exists() and not root.is_dir():
            raise UsageError(f"--to {folder} is a file; give a folder")
        top = root.name.replace("-", "_").lower()
        if not re.fullmatch(r"[a-z][a-z0-9_]{0,31}", top) or keyword.iskeyword(top) or top.endswith("_") or "__" in top:
            raise UsageError(
                f"--to {folder}: the package gets the folder's name, and {root.name!r} cannot be one; take at most 32 "
                "letters a to z, digits and _, such as --to my_envs"
            )
        package_folder = root / top
        fresh = not root.exists() or not any(root.iterdir())
        if fresh:
            _refuse_importable(top, folder)
        elif not (package_folder / "__init__.py").is_file() or not (root / "pyproject.toml").is_file():
            raise UsageError(
                f"--to {folder} holds something else; give a new folder, or one that agentrl new has made (it has "
                f"pyproject.toml and {top}/__init__.py)"
            )
        return cls(
            root=root,
            package=top,
            package_folder=package_folder,
            tests_folder=root / "tests",
            namespace=Name(folder=top).camel,
            fresh=fresh,
        )

    @property
    def top(self) -> str:
        """The top-level package: `agentrl`, or the author's."""
        return self.package.partition(".")[0]

    @property
    def register_file(self) -> Path:
        """The file that registers the environments."""
        return self.package_folder / "__init__.py"

    def env_id(self, camel: str) -> str:
        """Return the id to type for an environment: the author's has the package in front, which registers it."""
        env_id = f"{self.namespace}/{camel}-v0"
        return env_id if self.top == "agentrl" else f"{self.package}:{env_id}"

    def taken(self) -> set[str]:
        """Return the names of modules and folders that are in the package."""
        if not self.package_folder.is_dir():
            return set()
        names = {path.stem for path in self.package_folder.iterdir() if path.is_dir() or path.suffix == ".py"}
        return {name for name in names if not name.startswith(("_", "."))}


def _project(folder: Path) -> str:
    try:
        name = tomllib.loads((folder / "pyproject.toml").read_text(encoding="utf-8"))["project"]["name"]
    except (OSError, KeyError, ValueError):
        return ""
    return str(name)


def _refuse_importable(top: str, folder: Path) -> None:
    try:
        there = find_spec(top)
    except (ImportError, ValueError):
        return
    if there is not None and (there.origin is not None or top == "agentrl"):  # a bare folder on the path is no package
        raise UsageError(f"--to {folder}: a package {top!r} can be imported here already; choose another folder name")
