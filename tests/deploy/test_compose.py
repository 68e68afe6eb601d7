"""The Compose files: valid to Compose, their commands to our parsers, closed to whom they should be closed."""

from __future__ import annotations

import shlex
import subprocess
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from agentrl.cli.view import _parser
from tests.deploy.reading import DEPLOY, MODEL, VLLM, called, compose_command, composed, configured, value

CPU = ("compose.yaml",)
GPU = ("compose.yaml", "compose.gpu.yaml")
BOTH = pytest.mark.parametrize("files", [CPU, GPU], ids=["cpu", "gpu"])


def _words(service: dict[str, Any]) -> list[str]:
    command = service["command"]
    return shlex.split(command) if isinstance(command, str) else [str(each) for each in command]


def _environment(service: dict[str, Any]) -> dict[str, str]:
    return {name: str(value) for name, value in service.get("environment", {}).items() if value is not None}


@BOTH
def test_compose_takes_the_files(files: tuple[str, ...]) -> None:
    assert {"trainer", "ray-head", "ray-worker", "viewer"} <= set(composed(*files)["services"])


def test_compose_would_refuse_a_slip(tmp_path: Path) -> None:
    wrong = tmp_path / "compose.yaml"
    wrong.write_text((DEPLOY / "compose.yaml").read_text().replace("    depends_on:", "    depend_on:"))
    done = subprocess.run(
        [*compose_command(), "-f", str(wrong), "config"], capture_output=True, timeout=60, check=False
    )
    assert done.returncode != 0


@BOTH
def test_the_trainer_s_command_begins_a_run(files: tuple[str, ...], tmp_path: Path) -> None:
    trainer = composed(*files)["services"]["trainer"]
    config = configured(called(_words(trainer), _environment(trainer), tmp_path))
    assert config.name == "first"
    assert config.env_workers == "ray:2"
    if files == GPU:
        assert config.model == MODEL
        assert config.engine.name == "vllm"
        assert config.engine.urls == ("http://vllm-0:8000", "http://vllm-1:8000")


@BOTH
def test_what_is_named_is_there(files: tuple[str, ...]) -> None:
    services = composed(*files)["services"]
    environment = _environment(services["trainer"])
    head = environment["RAY_ADDRESS"]
    assert head == value(_words(services["ray-worker"]), "--address")
    assert head == f"ray-head:{value(_words(services['ray-head']), '--port')}"
    for url in environment.get("SERVERS", "").split():
        server = services[urlsplit(url).hostname or ""]
        assert value(_words(server), "--port") == str(urlsplit(url).port)
        assert _words(server)[:3] == VLLM
    if "WEIGHTS_HOST" in environment:
        # Bound by the name of one network alone, so that the other does not see it.
        aliases = services["trainer"]["networks"]["engine"]["aliases"]
        assert environment["WEIGHTS_HOST"].partition(":")[0] in aliases
        assert environment["WEIGHTS_HOST"].partition(":")[0] not in services


def test_each_has_only_the_networks_that_it_needs() -> None:
    services = composed(*GPU)["services"]
    on = {
        network: {name for name, each in services.items() if network in each["networks"]}
        for network in ("ray", "engine", "front")
    }
    assert on == {
        "ray": {"trainer", "ray-head", "ray-worker"},
        "engine": {"trainer", "vllm-0", "vllm-1"},
        "front": {"viewer"},
    }


@BOTH
def test_no_service_has_more_rights_than_it_needs(files: tuple[str, ...]) -> None:
    for name, service in composed(*files)["services"].items():
        assert service["user"] == "10001:10001", name
        assert service["cap_drop"] == ["ALL"], name
        assert service["security_opt"] == ["no-new-privileges:true"], name
        assert service["read_only"] is True, name
        assert service["init"] is True, name  # SIGTERM reaches the program
        assert not {"privileged", "cap_add", "devices", "network_mode", "pid", "ipc"} & set(service), name
        assert "docker.sock" not in str(service), name


@BOTH
def test_the_viewer_is_for_this_host_and_reads_only(files: tuple[str, ...]) -> None:
    services = composed(*files)["services"]
    viewer = services["viewer"]
    options = _parser().parse_args(_words(viewer)[2:])
    published = [str(each) for each in viewer["ports"]]
    if isinstance(viewer["ports"][0], dict):  # the newer Compose takes them apart
        published = [f"{each['host_ip']}:{each['published']}:{each['target']}" for each in viewer["ports"]]
    assert [each.removesuffix("/tcp") for each in published] == [f"127.0.0.1:8080:{options.port}"]
    assert not options.token  # a new one at each start, in its log alone
    assert [name for name, each in services.items() if "ports" in each] == ["viewer"]
    runs = [each for each in viewer["volumes"] if "runs" in str(each)]
    assert [each if isinstance(each, str) else each["read_only"] for each in runs] in (["runs:/runs:ro"], [True])


def test_each_server_and_the_trainer_have_a_gpu_of_their_own() -> None:
    services = composed(*GPU)["services"]
    taken = [
        device
        for each in services.values()
        for reserved in each.get("deploy", {}).get("resources", {}).get("reservations", {}).get("devices", [])
        for device in reserved["device_ids"]
    ]
    assert sorted(taken) == ["0", "1", "2"]
    assert all("deploy" not in each for each in composed(*CPU)["services"].values())


@BOTH
def test_a_stop_leaves_time_for_a_checkpoint_and_a_failure_is_resumed(files: tuple[str, ...]) -> None:
    trainer = composed(*files)["services"]["trainer"]
    assert trainer["stop_grace_period"] in ("10m", "10m0s")  # more than GRACE_S
    assert trainer["restart"].startswith("on-failure")  # never after a run that is complete


def test_what_boxes_need_goes_to_the_workers_alone() -> None:
    services = composed("compose.yaml", "compose.boxes.yaml")["services"]
    loose = {name for name, each in services.items() if any("unconfined" in option for option in each["security_opt"])}
    assert loose == {"ray-worker"}
    assert services["ray-worker"]["cap_drop"] == ["ALL"]
    assert "no-new-privileges:true" in services["ray-worker"]["security_opt"]
