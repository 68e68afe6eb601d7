"""Where the modules of a repository lie, and how they are written: names, imports, docstrings, the order of helpers.

The same seed writes the broken sources and the right ones in the same way, so that they differ in the bug alone.
"""

from __future__ import annotations

import random
import re
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from string import Template

from agentrl.envs.repo.family import Bug, Kind, Params, Step, Steps

__all__ = ["Layout", "Part", "STYLES", "lay_out", "with_bugs"]

STYLES = ("modules", "package", "src", "subpackages", "namespace")
"""Flat modules; a package; src/ with a pyproject.toml; a package with a sub-package; a namespace package below src/."""
_DOC = re.compile(r'^( *)"""(.*)"""\n', re.MULTILINE)
_IMPORT = re.compile(r"^from @(\w+) import", re.MULTILINE)
_RUN = re.compile(r"(?:^def (?:.*\n)(?:(?:[ ].*|\)[^\n]*)?\n)*){2,}", re.MULTILINE)


@dataclass(frozen=True, kw_only=True)
class Part:
    """One kind with what was drawn for it."""

    kind: Kind
    params: Params
    package: str


@dataclass(frozen=True, kw_only=True)
class Layout:
    """Where the modules of all parts are, and how they are written."""

    root: str  # "" or "src": what has to be on the path of modules
    paths: Mapping[tuple[str, str], str]  # (kind, module) -> path
    extra: Mapping[str, str]  # files beside the modules: __init__.py, pyproject.toml
    docs: str  # "kept", "bare" or "long"
    is_relative: bool
    salt: int

    def dotted(self, kind: str, module: str) -> str:
        """Return the name by which a module is imported."""
        path = self.paths[kind, module].removeprefix(f"{self.root}/" if self.root else "")
        return path.removesuffix(".py").replace("/", ".")

    def source(self, part: Part, module: str, template: str, *, docs: str | None = None) -> str:
        """Write a module out of its template.

        Args:
            part: Whose module.
            module: Its short name.
            template: As in the kind, or with bugs.
            docs: How docstrings are written, where not as everywhere.
        """
        text = Template(template.lstrip("\n")).substitute(part.params)
        own = self.dotted(part.kind.name, module).rpartition(".")[0]

        def imported(match: re.Match[str]) -> str:
            name = self.dotted(part.kind.name, match[1])
            package, _, last = name.rpartition(".")
            return f"from .{last} import" if self.is_relative and package and package == own else f"from {name} import"

        text = _documented(_IMPORT.sub(imported, text), docs or self.docs)
        return _RUN.sub(self._shuffled, text)

    def steps(self, part: Part, steps: Steps) -> Steps:
        """Return steps with the names that modules have here."""
        return [self._step(part.kind.name, step) for step in steps]

    def _step(self, kind: str, step: Step) -> Step:
        where, args = step
        if where.startswith("."):
            return step
        mark = "$" if where.startswith("$") else ""
        module, _, name = where.removeprefix("$").partition(":")
        return f"{mark}{self.dotted(kind, module)}:{name}", args

    def _shuffled(self, match: re.Match[str]) -> str:
        """Put functions that follow each other into another order; one that is missing moves no other."""
        text = match[0]
        starts = [each.start() for each in re.finditer(r"^def ", text, re.MULTILINE)]
        pieces = [text[a:b].strip("\n") for a, b in zip(starts, [*starts[1:], len(text)], strict=True)]
        pieces.sort(key=lambda piece: zlib.crc32(f"{self.salt} {piece[4 : piece.index('(')]}".encode()))
        return "\n\n\n".join(pieces) + text[len(text.rstrip("\n")) :]


def lay_out(rng: random.Random, parts: Sequence[Part], project: str, style: str) -> Layout:
    """Decide where everything lies.

    Args:
        rng: Draws what is free.
        parts: The first is what the repository is about; each kind once.
        project: Name of the whole.
        style: One of STYLES; with several parts, never "modules".
    """
    root = "src" if style in ("src", "namespace") else ""
    paths: dict[tuple[str, str], str] = {}
    extra: dict[str, str] = {}
    for part in parts:
        if len(parts) > 1:
            package = f"{project}/{part.package}"
        else:
            package = {"modules": "", "namespace": f"{project}/{part.package}"}.get(style, part.package)
        modules = list(part.kind.modules)
        for module in modules:
            inner = "core/" if style == "subpackages" and module != modules[-1] else ""
            path = "/".join(each for each in (root, package, f"{inner}{module}.py") if each)
            paths[part.kind.name, module] = path
            folder = path.rpartition("/")[0]
            if folder not in ("", root):
                about = part.kind.about if not inner else "What the rest is built on."
                extra[f"{folder}/__init__.py"] = f'"""{about}"""\n'
    if style == "subpackages" or (len(parts) > 1 and style == "package"):
        for path in list(extra):
            above = path.removesuffix("/__init__.py").rpartition("/")[0]
            if above not in ("", root):
                extra.setdefault(f"{above}/__init__.py", "")
    if len(parts) > 1 and style == "src":
        extra[f"src/{project}/__init__.py"] = ""
    if root or rng.random() < 0.3:
        extra["pyproject.toml"] = _PYPROJECT.format(project=project, minor=rng.randrange(1, 12))
    return Layout(
        root=root,
        paths=paths,
        extra=extra,
        docs=rng.choice(("kept", "kept", "bare", "long")),
        is_relative=rng.random() < 0.5,
        salt=rng.getrandbits(32),
    )


_PYPROJECT = """[project]
name = "{project}"
version = "0.{minor}.0"
requires-python = ">=3.8"
"""


def with_bugs(kind: Kind, bugs: Sequence[Bug]) -> dict[str, str]:
    """Return the templates of a kind with some of its bugs in them."""
    templates = dict(kind.modules)
    for bug in bugs:
        text = templates[bug.module]
        assert text.count(bug.old) == 1, f"{kind.name}: {bug.name}: {bug.old!r} stands {text.count(bug.old)} times"
        templates[bug.module] = text.replace(bug.old, bug.new)
    return templates


def _documented(text: str, docs: str) -> str:
    """Write the docstrings of functions in one of three ways; that of the module stays."""
    if docs == "kept":
        return text
    head, mark, rest = text.partition("\n") if text.startswith('"""') else ("", "", text)
    written = "" if docs == "bare" else '\\1"""\n\\1\\2\n\\1"""\n'
    return head + mark + _DOC.sub(written, rest)
