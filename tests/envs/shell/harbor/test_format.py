"""Folders of tasks: what is read of them, and what is refused with file, field or line. No engine is needed."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from agentrl.envs.errors import DataError, UsageError
from agentrl.envs.shell import ShellEnv
from agentrl.envs.shell.harbor import load
from agentrl.envs.shell.harbor.images import checked_folders
from agentrl.envs.shell.harbor.network import reaches_out
from tests.envs.shell.harbor.conftest import written


def test_a_task_is_read(tmp_path: Path) -> None:
    toml = (
        'schema_version = "1.1"\n[metadata]\nsplit = "test"\nlevel = 2\n[agent]\ntimeout_sec = 90\n[verifier]\n'
        'timeout_sec = 12.5\nenv = { A = "b" }\n[environment]\ncpus = 2\nmemory = "4G"\nstorage = "512M"\n'
        'docker_image = "x/y:1"\nallow_internet = true\ngpus = 0\nmcp_servers = []\n[environment.env]\nC = "d"\n'
    )
    ((key, (task,)),) = load(written(tmp_path / "one", task_toml=toml)).items()
    assert key == ("test", 2)
    assert (task.id, task.image, task.cpus, task.memory_mb, task.disk_mb) == ("one", "x/y:1", 2.0, 4096, 512)
    assert (task.agent_s, task.tests_s, task.tests_environment, task.environment) == (90, 12.5, {"A": "b"}, {"C": "d"})
    assert task.instruction.startswith("Write the sum")
    assert task.script.name == "test.sh"


def test_splits_are_disjoint_and_the_same_everywhere(tmp_path: Path) -> None:
    for number in range(60):
        written(tmp_path / f"t{number}", task_toml="")
    every = load(tmp_path)
    train, test = ({task.id for task in every[split, 1]} for split in ("train", "test"))
    assert len(train | test) == 60
    assert not train & test
    assert 0 < len(test) < 20
    with pytest.raises(DataError, match="the same question is in the other split"):
        load({"train": tmp_path / "t1", "test": tmp_path / "t1"})
    assert set(load({"train": tmp_path / "t1", "test": tmp_path / "t2"})) == {("train", 1), ("test", 1)}
    with pytest.raises(UsageError, match="data names the splits"):
        load({"dev": tmp_path})
    odd: Any
    for odd in (3, ["a-folder"], {"train": None}):
        with pytest.raises(UsageError, match="must be a path of text; type data=FOLDER"):
            load(odd)


@pytest.mark.parametrize(
    ("toml", "said"),
    [
        ("[agent\n", "task.toml: not valid TOML"),
        ("agent = 5\n", "field 'agent': expected a table"),
        ("[agent]\ntimeout_sec = -1\n", "field 'agent.timeout_sec': expected a number from 0.1"),
        ("[verifier]\ntimeout_sec = 'x'\n", "field 'verifier.timeout_sec'"),
        ("[verifier]\ntimeout_sec = nan\n", "field 'verifier.timeout_sec'"),
        ("[environment]\nmemory = 'much'\n", "field 'environment.memory': expected a size"),
        ("[environment]\nmemory_mb = true\n", "field 'environment.memory_mb'"),
        ("[environment]\ncpus = 0\n", "field 'environment.cpus'"),
        ("[environment]\ndocker_image = 7\n", "field 'environment.docker_image'"),
        ("[environment]\ngpus = 1\n", "a box has no GPU"),
        ("[environment]\nmcp_servers = [{}]\n", "a box has no MCP servers"),
        ("[[steps]]\nname = 'a'\n", "a task here is one step"),
        ("[verifier.env]\nKEY = '${KEY}'\n", "field 'verifier.env.KEY': .*no variable of the host"),
        ("[verifier.env]\nKEY = 5\n", "field 'verifier.env.KEY'"),
        ("[solution]\nenv = 3\n", "field 'solution.env'"),
        ("[metadata]\nsplit = 'dev'\n", "field 'split'"),
        ("[metadata]\nlevel = 9\n", "field 'level'"),
        ("metadata = ['split']\n", "field 'metadata': expected a table"),
    ],
)
def test_a_bad_field_is_refused_with_its_name(tmp_path: Path, toml: str, said: str) -> None:
    with pytest.raises(DataError, match=said):
        load(written(tmp_path / "task", task_toml=toml))


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"task_toml": None}, "cannot read .*task.toml"),
        ({"instruction_md": None}, "cannot read .*instruction.md"),
        ({"instruction_md": "<!-- canary -->\n"}, "instruction.md is empty"),
        ({"tests_test_sh": None}, "has no tests/test.sh"),
        ({"environment/docker-compose.yaml": "services: {}\n"}, "docker-compose.yaml: a task here is one container"),
        ({"tests_test_sh": "#!/bin/bash\n\napt-get update\n"}, "test.sh, line 3: 'apt-get update' needs a network"),
        ({"tests/setup.sh": "pip install pytest\n"}, "setup.sh, line 1: .*test_command="),
        ({"tests_test_sh": "curl -LsSf https://example.org/uv.sh | sh\n"}, "line 1"),
        ({"tests_test_sh": "x=1; uvx -p 3.13 -w pytest==8.4.1 pytest /tests\n"}, "line 1"),
    ],
)
def test_a_task_that_cannot_be_run_is_refused_up_front(tmp_path: Path, changes: dict[str, str], said: str) -> None:
    written(tmp_path / "task", **changes)
    with pytest.raises(DataError, match=said):
        ShellEnv(data=tmp_path, backend="docker")


def test_a_command_of_ones_own_takes_the_place_of_tests_that_need_a_network(tmp_path: Path) -> None:
    written(tmp_path / "task", tests_test_sh="uv pip install pytest\n")
    assert load(tmp_path, test_command="python3 /tests/test_sum.py")["train", 1][0].id == "task"


@pytest.mark.parametrize(
    ("yaml", "said"),
    [
        ("instruction: [", "not valid YAML"),
        ("- 3\n", "expected fields"),
        ("parser_name: pytest\n", "field 'instruction'"),
        ("instruction: x\nparser_name: swebench\n", "field 'parser_name'"),
        ("instruction: x\nmax_test_timeout_sec: soon\n", "field 'max_test_timeout_sec'"),
        ("instruction: x\n", "has no run-tests.sh"),
    ],
)
def test_a_bad_task_of_the_old_layout_is_refused(tmp_path: Path, yaml: str, said: str) -> None:
    (tmp_path / "task.yaml").write_text(yaml)
    with pytest.raises(DataError, match=said):
        load(tmp_path)


def test_compose_of_several_containers_is_refused(tmp_path: Path) -> None:
    (tmp_path / "task.yaml").write_text("instruction: x\n")
    (tmp_path / "docker-compose.yaml").write_text("services:\n  client: {}\n  database: {}\n")
    with pytest.raises(DataError, match="a task here is one container"):
        load(tmp_path)


def test_folders_without_tasks_are_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="is no folder"):
        load(tmp_path / "none")
    with pytest.raises(DataError, match="has no task in it"):
        load(tmp_path)


@pytest.mark.parametrize(
    ("line", "is_so"),
    [
        ("sudo apt-get -y install curl", True),
        ("if ! pip3 install -r requirements.txt; then", True),
        ("python3 -m pip install pytest", True),
        ("DEBIAN_FRONTEND=noninteractive apt install -y x", True),
        ("uv run --with pytest pytest", True),
        ("source $HOME/.local/bin/env && uv init", True),
        ("wget -q http://example.org/x", True),
        ("npm ci", True),
        ("pip install --no-index ./wheel", False),
        ("uv run pytest /tests", False),
        ("echo 'apt-get install'", False),
        ("curl -s http://127.0.0.1:8080/", False),
        ("curl -s http://localhost/", False),
        ("grep pip install.txt", False),
        ("git clone /app/repo.git", False),
    ],
)
def test_lines_that_need_a_network(line: str, is_so: bool) -> None:
    assert reaches_out(line) is is_so


@pytest.mark.parametrize(
    ("folders", "said"),
    [
        ("/app", "must be a list"),
        ([], "must be a list"),
        (["app"], "no absolute path"),
        (["/app/../usr"], "no absolute path"),
        (["/"], "stay as the image has them"),
        (["/etc"], "stay as the image has them"),
        (["/usr/local/lib/python3"], "stay as the image has them"),
        (["/work"], "a box has for itself"),
        (["/tests"], "a box has for itself"),
    ],
)
def test_folders_that_cannot_be_the_agents(folders: list[str], said: str) -> None:
    with pytest.raises(UsageError, match=said):
        checked_folders(folders)


def test_a_folder_below_another_goes_with_it() -> None:
    assert checked_folders(["/srv/www", "/app/x", "/app", "/apple"]) == ("/app", "/apple", "/srv/www")


def test_arguments_that_do_not_go_together_are_refused(tmp_path: Path) -> None:
    written(tmp_path / "task")
    with pytest.raises(UsageError, match='type backend="docker"'):
        ShellEnv(data=tmp_path, backend="bwrap")
    for options in ({"image": "x"}, {"build": True}, {"test_command": "x"}, {"writable": ["/app"]}):
        with pytest.raises(UsageError, match="give data=FOLDER"):
            ShellEnv(backend="docker", **options)
    with pytest.raises(DataError, match="no task of split 'test'"):
        ShellEnv(data=tmp_path, split="test", backend="docker")
