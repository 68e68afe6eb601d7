"""What the documents promise is there: commands, options, targets, paths, links and pictures exist; examples run."""

from __future__ import annotations

import ast
import contextlib
import doctest
import functools
import importlib
import io
import itertools
import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from agentrl.cli.main import main

ROOT = Path(__file__).parents[1]
HOUSES = ("bench", "cli", "envs", "sandboxes", "trainer")
GUIDES = (
    "README.md",
    "CONTRIBUTING.md",
    "perf/README.md",
    "sandboxes/README.md",
    *(
        f"docs/{name}.md"
        for name in (
            "index",
            "train",
            "distributed",
            "deploy",
            "bench",
            "environments",
            "research",
            "rubrics",
            "watch",
            "mcp",
            "programs",
        )
    ),
)
SKIPPED = {"typings", "build", "dist", "runs"}
DOCUMENTS = sorted(
    path
    for path in ROOT.rglob("*.md")
    if not any(part.startswith(".") or part in SKIPPED for part in path.relative_to(ROOT).parts)
)
FENCE = re.compile(r"^```(\w*)\n(.*?)^```", re.MULTILINE | re.DOTALL)
SPAN = re.compile(r"`([^`\n]+)`")
LINK = re.compile(r"!?\[[^\]]*\]\(\s*<?([^)\s>]+)>?[^)]*\)|<(?:img|a|source)\b[^>]*?(?:src|href|srcset)=\"([^\"]+)\"")
OPTION = re.compile(r"--[a-z][\w.-]*")
LIMIT_S = 240  # of one command; generous, for a machine that trains beside it
FOLDERS = ("envs/", "sandboxes/", "trainer/", "cli/", "tests/", "perf/", "docs/", "deploy/", ".ci/")


def _label(path: Path) -> str:
    return str(path.relative_to(ROOT))


def _without_code(text: str) -> str:
    return SPAN.sub("", FENCE.sub("", text))


def commands(text: str) -> list[list[str]]:
    """Return the words of every `agentrl …` and `make …` in code blocks and code spans."""
    blocks = [body.replace("\\\n", " ").splitlines() for language, body in FENCE.findall(text) if language != "python"]
    lines = [line.strip().removeprefix("$ ") for block in blocks for line in block] + SPAN.findall(FENCE.sub("", text))
    found = []
    for line in lines:
        first, *rest = line.split(maxsplit=1) or [""]
        if first in ("agentrl", ".venv/bin/agentrl", "make"):
            found.append([first.rpartition("/")[2], *shlex.split(" ".join(rest), comments=True)])
    return found


def _named(program: str) -> list[list[str]]:
    words = [words for guide in GUIDES for words in commands((ROOT / guide).read_text()) if words[0] == program]
    return sorted({tuple(each): each for each in words}.values())


def _run(command: list[str]) -> subprocess.CompletedProcess[str]:
    environment = {key: value for key, value in os.environ.items() if key not in ("MAKEFLAGS", "MAKELEVEL", "MFLAGS")}
    return subprocess.run(
        command,
        cwd=ROOT,
        env=environment,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=LIMIT_S,
        check=False,
    )


def test_the_guides_name_the_main_commands() -> None:
    named = [words for guide in GUIDES[:2] for words in commands((ROOT / guide).read_text())]
    assert ["make", "quickstart"] in named
    assert ["make", "test"] in named
    assert {"train", "envs", "play", "coldstart", "sandbox"} <= {
        word for words in named if words[0] == "agentrl" for word in words[1:2]
    }


@functools.cache
def _help(*words: str) -> tuple[int, str]:
    """Return the exit status of `agentrl WORDS --help` and what it prints; in this process, as it imports torch."""
    with pytest.MonkeyPatch.context() as patch, contextlib.redirect_stdout(io.StringIO()) as out:
        patch.setenv("COLUMNS", "240")
        patch.setenv("NO_COLOR", "1")
        try:
            status: object = main([*words, "--help"])
        except SystemExit as end:
            status = end.code or 0
    return (status if isinstance(status, int) else 1), out.getvalue()


@pytest.mark.parametrize("words", _named("agentrl"), ids=shlex.join)
def test_every_command_named_exists(words: list[str]) -> None:
    status, printed = _help(*itertools.takewhile(lambda word: not word.startswith("-"), words[1:]))
    assert status == 0
    options = {option for word in words[1:] for option in OPTION.findall(word.partition("=")[0])}
    options = {re.sub(r"^(--env-kwargs\.).+", r"\1NAME", option) for option in options}  # an environment's own
    missing = {option for option in options if not re.search(re.escape(option) + r"(?![\w.-])", printed)}
    assert missing == set(), printed


@pytest.mark.parametrize("words", _named("make"), ids=shlex.join)
def test_every_make_target_named_exists(words: list[str]) -> None:
    done = _run(["make", "--dry-run", *words[1:]])
    assert done.returncode == 0, done.stderr
    assert done.stdout


def test_a_missing_command_would_be_seen() -> None:
    assert _help("no-such-command")[0] != 0
    assert _run(["make", "--dry-run", "no-such-target"]).returncode != 0


def test_commands_are_found() -> None:
    block = "# agentrl no\nagentrl train a \\\n  --name b  # why\nls\n"
    text = f"Type `make test`, not `make`s.\n```bash\n{block}```\n`agentrl`"
    assert commands(text) == [["agentrl", "train", "a", "--name", "b"], ["make", "test"], ["make"], ["agentrl"]]


@pytest.mark.parametrize("guide", GUIDES)
def test_every_path_named_exists(guide: str) -> None:
    text = (ROOT / guide).read_text()
    code = [body for _, body in FENCE.findall(text)] + SPAN.findall(FENCE.sub("", text))
    words = [word.strip(",;()\"'").partition("::")[0] for each in code for word in each.split()]
    # A word with a placeholder (<name>, *, …) or of capitals names no file.
    paths = {word for word in words if word.startswith(FOLDERS) and re.fullmatch(r"[\w./-]+", word)}
    assert sorted(path for path in paths if not (ROOT / path).exists()) == []


def _anchors(text: str) -> set[str]:
    headings = re.findall(r"^#+ +(.+?) *$", FENCE.sub("", text), re.MULTILINE)
    return {re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("document", DOCUMENTS, ids=_label)
def test_every_link_and_picture_exists(document: Path) -> None:
    targets = [link or source for link, source in LINK.findall(_without_code(document.read_text()))]
    broken = []
    for target in targets:
        if re.match(r"[a-z]+:", target):
            continue
        name, _, anchor = target.partition("#")
        path = document.parent / name if name else document
        if not path.exists() or (anchor and anchor not in _anchors(path.read_text())):
            broken.append(target)
    assert broken == []


def test_links_are_found() -> None:
    text = 'See [a](b.md#c "t"), ![p](d.svg) and <img width="9" src="e.png">; not `[x](y)`.'
    assert [link or source for link, source in LINK.findall(_without_code(text))] == ["b.md#c", "d.svg", "e.png"]


def _python(document: Path, *, boxes: bool | None = None) -> str:
    """Return the Python of a document; with `boxes`, only the blocks that do or do not need a sandbox's backend."""
    blocks = [body for language, body in FENCE.findall(document.read_text()) if language == "python"]
    return "\n".join(body for body in blocks if boxes is None or boxes == ("open_backend" in body))


def _run_python(source: str, folder: Path) -> None:
    command = [sys.executable, "-W", "error", "-c", source]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=LIMIT_S, check=False)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("guide", [guide for guide in GUIDES if _python(ROOT / guide, boxes=False)])
def test_python_in_the_guides_runs(guide: str, tmp_path: Path) -> None:
    _run_python(_python(ROOT / guide, boxes=False), tmp_path)


@pytest.mark.bwrap
@pytest.mark.parametrize("guide", [guide for guide in GUIDES if _python(ROOT / guide, boxes=True)])
def test_python_about_sandboxes_runs(guide: str, tmp_path: Path) -> None:
    _run_python(_python(ROOT / guide, boxes=True), tmp_path)


@pytest.mark.parametrize("document", [path for path in DOCUMENTS if _python(path)], ids=_label)
def test_python_in_documents_parses_and_imports(document: Path) -> None:
    # A card's example may need files of the reader, so it is not run; what it imports must be there.
    for node in ast.walk(ast.parse(_python(document))):
        if isinstance(node, ast.Import):
            for alias in node.names:
                importlib.import_module(alias.name)
        elif isinstance(node, ast.ImportFrom):
            module = importlib.import_module(node.module or "")
            assert [alias.name for alias in node.names if not hasattr(module, alias.name)] == []


def _examples() -> list[str]:
    paths = sorted(path for house in HOUSES for path in (ROOT / house).rglob("*.py") if ">>> " in path.read_text())
    return [
        ".".join(["agentrl", *path.relative_to(ROOT).with_suffix("").parts]).removesuffix(".__init__") for path in paths
    ]


@pytest.mark.parametrize("name", _examples())
def test_examples_in_docstrings_run(name: str) -> None:
    result = doctest.testmod(importlib.import_module(name), optionflags=doctest.ELLIPSIS)
    assert result.failed == 0
    assert result.attempted > 0
