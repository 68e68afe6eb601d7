"""The doctor: findings with a command that mends each, and the suite as a table and as JSON."""

from __future__ import annotations

import io
import json
import subprocess
from pathlib import Path

import pytest
from rich.console import Console

from agentrl.sandboxes.base import Backend
from agentrl.sandboxes.doctor import diagnose, run_doctor
from agentrl.sandboxes.errors import SandboxUnavailable


def text_console() -> Console:
    return Console(file=io.StringIO(), width=200)


def printed(console: Console) -> str:
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue()


def nothing(name: str) -> Backend:
    raise SandboxUnavailable(f"no {name}; run `apt-get install {name}`")


def test_each_finding_that_is_not_well_says_how_to_mend_it() -> None:
    found = diagnose()
    assert {each.subject for each in found} == {"host", "docker", "bubblewrap"}
    names = [(each.subject, each.name) for each in found]
    assert len(names) == len(set(names))
    for each in found:
        assert each.detail, each
        assert each.ok == (not each.mend), each


def test_what_is_missing_is_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setenv("DOCKER_HOST", f"unix://{tmp_path}/none.sock")
    found = {(each.subject, each.name): each for each in diagnose()}
    assert "install docker.io" in found["docker", "engine"].mend
    assert found["bubblewrap", "bwrap"].mend == "apt-get install bubblewrap"
    assert "util-linux" in found["bubblewrap", "util-linux"].mend
    assert not found["bubblewrap", "user namespaces"].ok


def test_a_name_that_is_no_backend_is_refused() -> None:
    with pytest.raises(ValueError, match="'podman' is not one of docker, bubblewrap"):
        diagnose(["podman"])


def test_without_any_backend_the_doctor_fails_and_says_what_to_run() -> None:
    console = text_console()
    assert run_doctor(["docker"], open_backend=nothing, console=console) == 1
    assert "apt-get install docker" in printed(console)


def test_json_is_one_object() -> None:
    console = text_console()
    assert run_doctor(["bubblewrap"], as_json=True, open_backend=nothing, console=console) == 1
    whole = json.loads(printed(console))
    assert set(whole) == {"findings", "capabilities", "unavailable", "suite"}
    assert "bubblewrap" in whole["unavailable"]


@pytest.mark.bwrap
def test_the_suite_is_run_and_shown() -> None:
    if subprocess.run(["sh", "-c", "command -v bwrap"], capture_output=True).returncode:
        pytest.skip("bwrap is not there; apt-get install bubblewrap")
    console = text_console()
    assert run_doctor(["bubblewrap"], names=["sleep", "control_characters"], console=console) == 0
    text = printed(console)
    assert "Conformance of bubblewrap" in text
    assert "resources" in text
    assert "\x1b[2J" not in text
    console = text_console()
    assert run_doctor(["bubblewrap"], names=["sleep"], as_json=True, console=console) == 0
    (outcome,) = json.loads(printed(console))["suite"]["bubblewrap"]
    assert outcome["passed"]
    assert outcome["got"] == "timeout"
