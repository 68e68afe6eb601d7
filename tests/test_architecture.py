"""The arrows between the houses, read from the imports, and the rules for files that no linter knows.

An import counts wherever it stands: in a function, under TYPE_CHECKING, relative, by name through importlib, or as a
plain string such as "agentrl.envs:AgentRL/Search-v0", which loads a house when Gymnasium makes it.
"""

from __future__ import annotations

import ast
import re
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
# Which houses a house may import.
ARROWS: dict[str, frozenset[str]] = {
    "sandboxes": frozenset(),
    "envs": frozenset({"sandboxes"}),
    "trainer": frozenset(),
    "bench": frozenset({"envs", "trainer"}),
    "cli": frozenset({"bench", "envs", "trainer", "sandboxes"}),
}
# Stepping an environment or a sandbox, or benching an agent, must not need a deep-learning stack.
HEAVY = frozenset({"torch", "transformers", "tokenizers", "vllm", "trl"})
NOT_HERE: dict[str, frozenset[str]] = {"bench": HEAVY, "envs": HEAVY, "sandboxes": HEAVY}
IMPORTERS = frozenset({"import_module", "__import__", "find_spec", "resolve_name", "run_module"})
DOTTED = re.compile(r"agentrl(\.\w+)+(:.*)?")
# Files that may pass 400 lines, each with its reason. No file of a house is among them.
LONG = {
    "tests/envs/search/test_env.py": "oracle, cheats, own data and hostile actions of one environment",
    "tests/envs/test_parsers.py": "five formats, each with what real models write",
    "tests/trainer/test_chat.py": "four chat templates under one set of rules",
    "tests/trainer/test_engine.py": "the conformance suite of an engine",
    "tests/sandboxes/worker/test_worker.py": "the whole contract of the worker, clause by clause",
    "tests/trainer/test_rollout.py": "deadlines, failures and retries, each with its own environment",
}

HOUSES = sorted(house for house in ARROWS if (ROOT / house / "__init__.py").exists())
FILES = sorted(path for house in HOUSES for path in (ROOT / house).rglob("*.py"))


def _name(path: Path, root: Path = ROOT) -> str:
    return str(path.relative_to(root))


def _resolve(base: str | None, level: int, package: str) -> str:
    """Make a relative import absolute, as Python does from within `package`."""
    if level == 0:
        return base or ""
    parents = package.split(".")
    kept = parents[: len(parents) - level + 1]
    return ".".join([*kept, base] if base else kept)


def _called(node: ast.Call, package: str) -> Iterator[str]:
    """Yield what an importlib call loads, as far as a literal, or the literal start of an f-string, tells."""
    function = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
    if function not in IMPORTERS or not node.args:
        return
    first = node.args[0]
    if isinstance(first, ast.JoinedStr):
        first = first.values[0]
    if not isinstance(first, ast.Constant) or not isinstance(first.value, str):
        return
    text = first.value.partition(":")[0]
    if text.startswith("."):
        others = [*node.args[1:], *(keyword.value for keyword in node.keywords if keyword.arg == "package")]
        named = next((other.value for other in others if isinstance(other, ast.Constant)), None)
        stripped = text.lstrip(".")
        text = _resolve(stripped, len(text) - len(stripped), named if isinstance(named, str) else package)
    yield text.rstrip(".")


def imports(source: str, package: str) -> Iterator[tuple[int, str]]:
    """Yield line and absolute dotted name of all that a module in `package` names for import."""
    tree = ast.parse(source)
    prose = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr)}
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from ((node.lineno, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = _resolve(node.module, node.level, package)
            yield from ((node.lineno, f"{base}.{alias.name}") for alias in node.names)
        elif isinstance(node, ast.Call):
            yield from ((node.lineno, name) for name in _called(node, package))
        elif isinstance(node, ast.Constant) and id(node) not in prose and DOTTED.fullmatch(str(node.value)):
            name = str(node.value).partition(":")[0]
            if name.split(".")[1] in ARROWS:  # others are labels, such as a container's "agentrl.owner"
                yield node.lineno, name


def wrong_imports(source: str, package: str) -> list[str]:
    """Return one message for each import that ARROWS does not allow; `package` is like `agentrl.envs.tools`."""
    house = package.split(".")[1]
    allowed = ARROWS[house] | {house}
    found = []
    for line, name in imports(source, package):
        top, *rest = name.split(".")
        if top == "agentrl":
            wrong = not rest or rest[0] not in allowed
        else:
            wrong = top in ARROWS or top in NOT_HERE.get(house, frozenset()) or top in ("tests", "perf")
        if wrong:
            found.append(f"line {line}: {house} must not import {name}")
    return sorted(set(found))


def wrong_in(root: Path) -> list[str]:
    """Check every module of every house below `root`."""
    found = []
    for house in ARROWS:
        for path in sorted((root / house).rglob("*.py")):
            package = "agentrl." + ".".join(path.parent.relative_to(root).parts)
            found += [f"{_name(path, root)}: {message}" for message in wrong_imports(path.read_text(), package)]
    return found


def test_arrows() -> None:
    assert wrong_in(ROOT) == []


PLANTED = {
    "import": ("trainer", "import agentrl.envs"),
    "import as": ("trainer", "import agentrl.envs.core as core"),
    "from": ("envs", "from agentrl.trainer import loop"),
    "from deep": ("envs", "from agentrl.trainer.engines.base import Engine"),
    "from namespace": ("trainer", "from agentrl import envs"),
    "namespace": ("trainer", "import agentrl"),
    "namespace star": ("trainer", "from agentrl import *"),
    "function": ("trainer", "def f() -> None:\n    from agentrl.envs.core import TextEnv"),
    "method": ("envs", "class A:\n    def f(self) -> None:\n        import agentrl.trainer.loss"),
    "type checking": ("trainer", "if TYPE_CHECKING:\n    from agentrl.envs.tools import Tool"),
    "try": ("trainer", "try:\n    import agentrl.envs\nexcept ImportError:\n    pass"),
    "relative": ("trainer.engines", "from ...envs import core"),
    "relative bare": ("trainer", "from .. import envs"),
    "importlib": ("trainer", "importlib.import_module('agentrl.envs')"),
    "importlib name": ("trainer", "import_module('agentrl.envs.core')"),
    "importlib renamed": ("trainer", "load('agentrl.envs.core')"),
    "importlib by variable": ("trainer", "NAME = 'agentrl.envs'\nimport_module(NAME)"),
    "importlib f-string": ("trainer", "import_module(f'agentrl.envs.{name}')"),
    "importlib relative": ("trainer", "import_module('..envs', __package__)"),
    "importlib relative named": ("trainer", "import_module('..envs', package='agentrl.trainer')"),
    "dunder import": ("envs", "__import__('agentrl.trainer')"),
    "dunder import bare": ("envs", "__import__('trainer')"),
    "gymnasium plugin": ("trainer", "gym.make('agentrl.envs:AgentRL/Search-v0')"),
    "entry point": ("envs", "register('X', entry_point='agentrl.trainer.loop:Loop')"),
    "bare": ("envs", "import trainer"),
    "bare own": ("envs", "from envs.core import TextEnv"),
    "upwards": ("trainer", "from agentrl.cli.main import main"),
    "upwards from envs": ("envs", "import agentrl.cli"),
    "sandboxes down only": ("sandboxes", "import agentrl.envs"),
    "trainer to sandboxes": ("trainer", "import agentrl.sandboxes"),
    "bench to cli": ("bench", "from agentrl.cli import main"),
    "unknown house": ("envs", "import agentrl.extras"),
    "torch": ("envs.search", "def f() -> None:\n    import torch.nn"),
    "tests": ("cli", "from tests import conftest"),
}
FINE = {
    "own": ("envs.search", "from agentrl.envs.core import TextEnv\nfrom agentrl.envs import tools"),
    "own relative": ("envs.search", "from ..core import TextEnv\nfrom . import world"),
    "own entry point": ("envs", "register('X', entry_point='agentrl.envs.search.env:SearchEnv')"),
    "down": ("cli", "import agentrl.envs, agentrl.trainer.loop"),
    "envs to sandboxes": ("envs", "from agentrl.sandboxes import lease"),
    "bench": ("bench", "import agentrl.envs\nimport agentrl.trainer"),
    "torch in trainer": ("trainer", "import torch"),
    "docstring": ("trainer", "'agentrl.envs'\n\ndef f() -> None:\n    'agentrl.envs.core'"),
    "label": ("sandboxes", "LABELS = {'agentrl.owner': '', 'agentrl.sandbox': ''}"),
    "message": ("trainer", "raise ValueError('unknown id; import agentrl.envs first')"),
    "alike": ("trainer", "import environs, agentrl.trainer.envs"),
}


@pytest.mark.parametrize(("house", "source"), PLANTED.values(), ids=PLANTED.keys())
def test_a_planted_wrong_import_is_caught(house: str, source: str) -> None:
    assert len(wrong_imports(source, f"agentrl.{house}")) >= 1


@pytest.mark.parametrize(("house", "source"), FINE.values(), ids=FINE.keys())
def test_a_right_import_passes(house: str, source: str) -> None:
    assert wrong_imports(source, f"agentrl.{house}") == []


def test_wrong_imports_planted_in_a_copy_are_caught(tmp_path: Path) -> None:
    expected = []
    for house in HOUSES:
        shutil.copytree(ROOT / house, tmp_path / house, ignore=shutil.ignore_patterns("__pycache__"))
        target = {"bench": "cli", "cli": "nowhere", "envs": "trainer"}.get(house, "envs")
        planted = tmp_path / house / "planted" / "core.py"
        planted.parent.mkdir()
        planted.write_text(f"def f() -> None:\n    import agentrl.{target}\n")
        expected.append(f"{house}/planted/core.py: line 2: {house} must not import agentrl.{target}")
    assert sorted(wrong_in(tmp_path)) == expected


def test_every_house_has_its_arrows() -> None:
    found = {path.parent.name for path in ROOT.glob("*/__init__.py")}
    assert found <= set(ARROWS), f"add {sorted(found - set(ARROWS))} to ARROWS, and say which houses it may import"
    assert {"bench", "cli", "envs", "sandboxes", "trainer"} <= found


class _EnvironmentReads(ast.NodeVisitor):
    """Collects the lines that touch the environment while a module is imported: all but the bodies of functions."""

    def __init__(self) -> None:
        self.lines: list[int] = []

    def visit_FunctionDef(self, node: ast.FunctionDef | ast.AsyncFunctionDef) -> None:
        for part in [*node.decorator_list, *node.args.defaults, *filter(None, node.args.kw_defaults)]:
            self.visit(part)

    visit_AsyncFunctionDef = visit_FunctionDef

    def visit_Lambda(self, node: ast.Lambda) -> None:
        for part in [*node.args.defaults, *filter(None, node.args.kw_defaults)]:
            self.visit(part)

    def visit_Attribute(self, node: ast.Attribute) -> None:
        if node.attr in ("environ", "environb", "getenv", "getenvb"):
            self.lines.append(node.lineno)
        self.generic_visit(node)

    def visit_Name(self, node: ast.Name) -> None:
        if node.id in ("environ", "environb", "getenv", "getenvb"):
            self.lines.append(node.lineno)


def environment_reads(source: str) -> list[int]:
    """Return the lines of a module that touch the environment at import."""
    visitor = _EnvironmentReads()
    visitor.visit(ast.parse(source))
    return visitor.lines


def test_no_module_reads_the_environment_at_import() -> None:
    found = {_name(path): environment_reads(path.read_text()) for path in FILES}
    assert {name: lines for name, lines in found.items() if lines} == {}


@pytest.mark.parametrize(
    ("source", "lines"),
    [
        ("import os\nHOME = os.environ['HOME']", [2]),
        ("import os\nif os.getenv('X'):\n    pass", [2]),
        ("from os import environ\nX = environ.get('X')", [2]),
        ("class A:\n    x = os.environ.get('X')", [2]),
        ("def f(x=os.getenv('X')): pass", [1]),
        ("f = lambda x=os.environ: x", [1]),
        ("def f():\n    return os.environ['X']", []),
        ("class A:\n    def f(self):\n        return os.environ['X']", []),
    ],
)
def test_environment_reads_are_seen(source: str, lines: list[int]) -> None:
    assert environment_reads(source) == lines


def test_no_utils() -> None:
    drawers = {"utils", "util", "helpers", "misc", "common"}
    found = [_name(path) for house in HOUSES for path in (ROOT / house).rglob("*") if path.stem in drawers]
    assert found == [], "a helper lives with its owner"


def test_no_file_is_long() -> None:
    files = [*FILES, *(ROOT / "tests").rglob("*.py"), *(ROOT / "perf").rglob("*.py"), ROOT / "setup.py"]
    long = {_name(path) for path in files if len(path.read_text().splitlines()) > 400}
    assert long - set(LONG) == set(), "past 400 lines: which second concept moved in?"
    assert not {name for name in LONG if name.startswith(tuple(f"{house}/" for house in HOUSES))}
    assert [name for name in LONG if not (ROOT / name).exists()] == []


def test_every_public_module_says_what_is_public() -> None:
    lacking = []
    for path in FILES:
        if path.stem.startswith("_") and path.stem != "__init__":
            continue
        tree = ast.parse(path.read_text())
        names = [target for node in tree.body if isinstance(node, ast.Assign) for target in node.targets]
        names += [node.target for node in tree.body if isinstance(node, ast.AnnAssign)]
        if not ast.get_docstring(tree):
            lacking.append(f"{_name(path)}: a module begins with its idea and its limits")
        if "__all__" not in {name.id for name in names if isinstance(name, ast.Name)}:
            lacking.append(f"{_name(path)}: add __all__ = [...]")
    assert lacking == []
