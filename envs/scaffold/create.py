"""Write a new environment, in a checkout of AgentRL or in a package of the author's own.

Everything is rendered and checked before the first file is written, and nothing that exists is written over: only one
line is added to the `__init__.py` that registers.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from agentrl.envs.errors import UsageError
from agentrl.envs.scaffold.names import Name, checked_kind
from agentrl.envs.scaffold.render import render, templates
from agentrl.envs.scaffold.targets import Target

__all__ = ["Made", "create"]

_WIDTH = 120


@dataclass(frozen=True, kw_only=True)
class Made:
    """What was written."""

    env_id: str
    """The id to give to `agentrl check`, `play` and `train`."""
    folder: Path
    """The environment's own folder."""
    tests: Path
    """The folder of its tests."""
    written: tuple[Path, ...]
    """Every new file."""
    registered: Path
    """The file that has the register line."""


def create(name: str, *, kind: str, target: Target) -> Made:
    """Write an environment.

    Args:
        name: As it is typed, such as `spelling-bee`.
        kind: A key of `KINDS`.
        target: Where to; see `Target.checkout` and `Target.package`.

    Raises:
        UsageError: A name or kind that cannot work, or something that is there already; nothing is written then.
    """
    read, kind = Name.of(name), checked_kind(kind)
    read.refuse_taken(target.taken(), str(target.package_folder))
    words = _words(read, kind, target)
    folder, tests = target.package_folder / read.folder, target.tests_folder / read.folder
    texts: dict[Path, str] = {}
    for path, text in templates("every-kind", kind).items():
        home = tests if path.startswith("test_") else folder
        texts[home / path] = render(text, words, own=target.top)
    if target.fresh:
        for path, text in templates("package").items():
            texts[target.root / path.replace("PACKAGE", target.top)] = render(text, words, own=target.top)
    there = sorted(path for path in (*texts, tests, folder) if path.exists())
    if there:
        raise UsageError(f"{there[0]} exists already, and nothing is written over; remove it or choose another NAME")
    _write(texts)
    with target.register_file.open("a", encoding="utf-8") as file:
        file.write(_register_line(words))
    return Made(
        env_id=target.env_id(read.camel),
        folder=folder,
        tests=tests,
        written=tuple(texts),
        registered=target.register_file,
    )


def _words(name: Name, kind: str, target: Target) -> dict[str, str]:
    package = f"{target.package}.{name.folder}"
    return {
        "Name": name.camel,
        "words": name.words,
        "kind": kind,
        "id": f"{target.namespace}/{name.camel}-v0",
        "make_id": f"{target.package}:{target.namespace}/{name.camel}-v0",
        "typed_id": target.env_id(name.camel),
        "package": package,
        "top": target.top,
        "distribution": target.top.replace("_", "-"),
        "folder": name.folder,
        "tests": (target.tests_folder / name.folder).relative_to(target.root).as_posix(),
        "entry_point": f"{package}.env:{name.camel}Env",
    }


def _register_line(words: Mapping[str, str]) -> str:
    arguments = [f'id="{words["id"]}"', f'entry_point="{words["entry_point"]}"']
    line = f"register({', '.join(arguments)})\n"
    return line if len(line) <= _WIDTH else "register(\n" + "".join(f"    {each},\n" for each in arguments) + ")\n"


def _write(texts: Mapping[Path, str]) -> None:
    written: list[Path] = []
    try:
        for path, text in texts.items():
            path.parent.mkdir(parents=True, exist_ok=True)
            with path.open("x", encoding="utf-8") as file:
                written.append(path)
                file.write(text)
    except BaseException:  # half an environment is worse than none
        for path in written:
            path.unlink()
        raise
