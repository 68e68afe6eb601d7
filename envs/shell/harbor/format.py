"""Read folders of tasks: Harbor's `task.toml`, `instruction.md`, `tests/test.sh`; or terminal-bench's `task.yaml`.

Everything that can be seen to be wrong is refused when the environment is made, with the file and the field; a task
whose tests need a network is refused with the line (`network.py`). What boxes do not have (several containers, GPUs,
MCP servers, several steps, variables of the host) is refused too. Unknown fields are not looked at, as Harbor has it.
"""

from __future__ import annotations

import math
import re
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from agentrl.envs.errors import DataError
from agentrl.envs.rows import Row, clean
from agentrl.envs.shell.harbor.network import reaches_out
from agentrl.envs.splits import Source, paths_of, sort_rows

__all__ = ["HarborTask", "load"]

AGENT_S, TESTS_S, BUILD_S = 600.0, 600.0, 600.0
MEMORY_MB, DISK_MB = 2048, 1024
MOST_CPUS = 64.0
_SIZE = re.compile(r"(\d+(?:\.\d+)?)\s*([kmgt]?)i?b?", re.IGNORECASE)
_UNITS = {"": 1 / 2**20, "k": 1 / 2**10, "m": 1.0, "g": 2.0**10, "t": 2.0**20}
_VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_COMMENT = re.compile(r"\A\s*(?:<!--.*?-->\s*)+", re.DOTALL)  # instructions begin with a canary for crawlers


@dataclass(frozen=True, kw_only=True)
class HarborTask:
    """One task, as its files say; tests and solution are read where they are needed."""

    id: str  # the folder's name
    folder: str
    instruction: str
    image: str | None  # `docker_image`
    build: str | None  # the folder of its Dockerfile
    is_old: bool  # terminal-bench's layout, whose outcome is what pytest prints
    agent_s: float
    tests_s: float
    build_s: float
    cpus: float
    memory_mb: int
    disk_mb: int
    environment: Mapping[str, str]
    tests_environment: Mapping[str, str]
    solution_environment: Mapping[str, str]

    @property
    def script(self) -> Path:
        """The file that runs the tests."""
        return Path(self.folder, "run-tests.sh") if self.is_old else Path(self.folder, "tests", "test.sh")

    @property
    def solution(self) -> Path:
        """The file that solves the task; it need not be there."""
        return Path(self.folder, "solution.sh") if self.is_old else Path(self.folder, "solution", "solve.sh")


def load(source: Source, *, test_command: str | None = None) -> dict[tuple[str, int], tuple[HarborTask, ...]]:
    """Return the tasks of each split and level, every one checked.

    Args:
        source: A task's folder, a folder of such folders, or one of them for each split. `[metadata]` may say `split`
            and `level`; else a tenth of the tasks, by their names, is the test split.
        test_command: What runs the tests in place of the tasks' own script, which then may need anything.

    Raises:
        DataError: No such folder, no task in it, a task that is malformed or cannot be run here, or one in both splits.
        UsageError: The mapping names another split, or none, or what is given is no path.
    """
    rows = {split: list(_rows(path)) for split, path in paths_of(source, noun="FOLDER").items()}
    found = sort_rows(rows, lambda row: _Reader(row).task(test_command), lambda task: task.id)
    return {key: tuple(sorted(tasks, key=lambda task: task.id)) for key, tasks in found.items()}


def _rows(path: Path) -> Iterator[Row]:
    if not path.is_dir():
        raise DataError(f"data: {path} is no folder; name the folder of a task, or one that has such folders in it")
    is_one = _settings(path) is not None
    folders = [path] if is_one else sorted(each for each in path.iterdir() if each.is_dir())
    num = 0
    for folder in folders:
        settings = _settings(folder)
        if settings is None and not (folder / "instruction.md").is_file():
            continue
        num += 1
        settings = settings or folder / "task.toml"
        value = _parsed(settings)
        metadata = value.get("metadata", {}) if settings.suffix == ".toml" else value
        if not isinstance(metadata, dict):
            raise DataError(f"{settings}, field 'metadata': expected a table; got {metadata!r:.80}")
        says = {name: metadata[name] for name in ("split", "level") if name in metadata}
        yield Row(path=settings, unit="task", number=num, start=0, length=0, value={**says, "settings": value})
    if not num:
        raise DataError(
            f"data: {path} has no task in it; a task is a folder with task.toml and instruction.md (Harbor), or with "
            "task.yaml (terminal-bench)"
        )


def _settings(folder: Path) -> Path | None:
    return next((folder / name for name in ("task.toml", "task.yaml") if (folder / name).is_file()), None)


def _parsed(path: Path) -> dict[str, Any]:
    try:
        text = path.read_text(encoding="utf-8-sig")
    except (OSError, ValueError) as error:
        raise DataError(f"cannot read {path}: {error}") from error
    try:
        value = tomllib.loads(text) if path.suffix == ".toml" else _yaml(path, text)
    except (tomllib.TOMLDecodeError, RecursionError) as error:
        raise DataError(f"{path}: not valid TOML: {error}") from error
    if not isinstance(value, dict):
        raise DataError(f"{path}: expected fields with values, got {value!r:.80}")
    return value


def _yaml(path: Path, text: str) -> Any:
    try:
        import yaml  # type: ignore[import-untyped]
    except ImportError:
        raise DataError(
            f"{path} is YAML, and pyyaml is not installed; type: pip install 'agentrl-gym[terminal-bench]'"
        ) from None
    try:
        return yaml.safe_load(text)
    except (yaml.YAMLError, RecursionError) as error:
        raise DataError(f"{path}: not valid YAML: {error}") from error


class _Reader:
    """Reads one task out of its folder; every error names the file, and the field where there is one."""

    def __init__(self, row: Row) -> None:
        self._path, self._value = row.path, row.value["settings"]
        self._folder = row.path.parent.resolve()
        self._is_old = row.path.suffix == ".yaml"

    def task(self, test_command: str | None) -> HarborTask:
        """Return the task."""
        build = self._build()
        if not self._is_old:
            self._refuse_what_boxes_lack()
        found = self._old(build) if self._is_old else self._new(build)
        if test_command is None:
            self._check_tests(found)
        return found

    def _new(self, build: Path | None) -> HarborTask:
        image = self._get("environment", "docker_image")
        if image is not None and (not isinstance(image, str) or not image.strip()):
            raise self._error("environment.docker_image", "the name of an image", image)
        memory_mb = self._mb("memory", MEMORY_MB)
        return HarborTask(
            id=self._folder.name,
            folder=str(self._folder),
            instruction=self._instruction(self._folder / "instruction.md"),
            image=image,
            build=None if build is None else str(build),
            is_old=False,
            agent_s=self._seconds("agent", "timeout_sec", AGENT_S),
            tests_s=self._seconds("verifier", "timeout_sec", TESTS_S),
            build_s=self._seconds("environment", "build_timeout_sec", BUILD_S),
            cpus=self._number("environment.cpus", self._get("environment", "cpus"), 1.0, most=MOST_CPUS),
            memory_mb=max(256, memory_mb),
            disk_mb=max(16, min(self._mb("storage", DISK_MB), memory_mb // 2)),
            environment=self._variables("environment"),
            tests_environment=self._variables("verifier"),
            solution_environment=self._variables("solution"),
        )

    def _old(self, build: Path | None) -> HarborTask:
        text = self._value.get("instruction")
        if not isinstance(text, str) or not text.strip():
            raise self._error("instruction", "a text that is not empty", text)
        parser = self._value.get("parser_name", "pytest")
        if parser != "pytest":
            raise self._error("parser_name", "'pytest', the only parser there is here; or give test_command=", parser)
        return HarborTask(
            id=self._folder.name,
            folder=str(self._folder),
            instruction=clean(text).strip(),
            image=None,
            build=None if build is None else str(build),
            is_old=True,
            agent_s=self._seconds("", "max_agent_timeout_sec", AGENT_S),
            tests_s=self._seconds("", "max_test_timeout_sec", TESTS_S),
            build_s=BUILD_S,
            cpus=1.0,
            memory_mb=MEMORY_MB,
            disk_mb=DISK_MB,
            environment={},
            tests_environment={"TEST_DIR": "/tests"},
            solution_environment={},
        )

    def _instruction(self, path: Path) -> str:
        try:
            text = _COMMENT.sub("", path.read_text(encoding="utf-8-sig"))
        except (OSError, ValueError) as error:
            raise DataError(f"cannot read {path}: {error}; it says what the agent is to do") from error
        if not text.strip():
            raise DataError(f"{path} is empty; it says what the agent is to do")
        return clean(text).strip()

    def _build(self) -> Path | None:
        folder = self._folder if self._is_old else self._folder / "environment"
        for name in ("docker-compose.yaml", "docker-compose.yml", "compose.yaml", "compose.yml"):
            path = folder / name
            if path.is_file() and not (self._is_old and self._has_one_service(path)):
                raise DataError(
                    f"{path}: a task here is one container; leave the file out where the Dockerfile alone is enough, "
                    "or leave the task out"
                )
        return folder if (folder / "Dockerfile").is_file() else None

    def _has_one_service(self, path: Path) -> bool:
        """Say whether it is the file that every task of terminal-bench has: one container, of its Dockerfile."""
        services = _parsed(path).get("services")
        return isinstance(services, dict) and len(services) == 1

    def _refuse_what_boxes_lack(self) -> None:
        for section, name, lacks in (
            ("environment", "gpus", "a box has no GPU"),
            ("environment", "mcp_servers", "a box has no MCP servers"),
            ("", "steps", "a task here is one step"),
        ):
            value = self._get(section, name)
            if value:
                field = f"{section}.{name}".lstrip(".")
                raise DataError(f"{self._path}, field {field!r}: {lacks}; got {value!r:.80}. Leave the task out")

    def _check_tests(self, task: HarborTask) -> None:
        if not task.script.is_file():
            raise DataError(f"{self._folder} has no {task.script.relative_to(self._folder)}; or give test_command=")
        tests = self._folder / "tests"
        for path in sorted({task.script, *tests.rglob("*.sh")}):
            for number, line in enumerate(path.read_text("utf-8", "replace").splitlines(), 1):
                if reaches_out(line):
                    raise DataError(
                        f"{path}, line {number}: {line.strip()[:120]!r} needs a network, which no box has. Put what it "
                        "installs into the image, and say how the tests are run: test_command='python3 -m pytest -rA "
                        "/tests/test_outputs.py'"
                    )

    def _get(self, section: str, name: str) -> Any:
        inner = self._value.get(section, {}) if section else self._value
        if not isinstance(inner, dict):
            raise self._error(section, "a table", inner)
        return inner.get(name)

    def _seconds(self, section: str, name: str, usual: float) -> float:
        return self._number(f"{section}.{name}".lstrip("."), self._get(section, name), usual, most=86_400.0)

    def _number(self, field: str, value: Any, usual: float, *, most: float) -> float:
        if value is None:
            return usual
        is_number = isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
        if not is_number or not 0.1 <= value <= most:
            raise self._error(field, f"a number from 0.1 to {most:g}", value)
        return float(value)

    def _mb(self, name: str, usual: int) -> int:
        """Return a size in MiB, as `NAME_mb` or as `NAME` with a unit says it."""
        exact = self._get("environment", f"{name}_mb")
        if exact is not None:
            return int(self._number(f"environment.{name}_mb", exact, usual, most=2.0**24))
        value = self._get("environment", name)
        if value is None:
            return usual
        match = _SIZE.fullmatch(value.strip()) if isinstance(value, str) else None
        if match is None:
            raise self._error(f"environment.{name}", "a size such as '2G' or '512M'", value)
        return int(float(match[1]) * _UNITS[match[2].lower()])

    def _variables(self, section: str) -> dict[str, str]:
        given = self._get(section, "env") or {}
        field = f"{section}.env"
        if not isinstance(given, dict):
            raise self._error(field, "a table of variables", given)
        for name, value in given.items():
            if not _VARIABLE.fullmatch(name) or not isinstance(value, str) or "\0" in value:
                raise self._error(f"{field}.{name}", "a variable with a text", value)
            if "${" in value:
                raise self._error(f"{field}.{name}", "a text; no variable of the host enters a box", value)
        return dict(given)

    def _error(self, field: str, expected: str, received: object) -> DataError:
        found = "it is missing" if received is None else f"got {received!r:.80}"
        return DataError(f"{self._path}, field {field!r}: expected {expected}; {found}")
