"""Every flag of a box, field by field, without an engine."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agentrl.sandboxes.docker import args as docker_args
from agentrl.sandboxes.docker.args import create_arguments
from agentrl.sandboxes.spec import SandboxSpec

SPEC = SandboxSpec(cpus=1.5, memory_mb=256, pids=40, disk_mb=32, inodes=500)
MIB = 1_048_576


def _made(spec: SandboxSpec = SPEC, **more: Any) -> dict[str, Any]:
    given_: dict[str, Any] = {
        "image": "sha256:1",
        "command": ["python3", "-c", "pass"],
        "labels": {"agentrl.owner": "t"},
    }
    return create_arguments(spec, **(given_ | more))


def _host(spec: SandboxSpec = SPEC, **more: Any) -> dict[str, Any]:
    host: dict[str, Any] = _made(spec, **more)["HostConfig"]
    return host


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("AutoRemove", True),
        ("Binds", []),
        ("CapDrop", ["ALL"]),
        ("CapAdd", ["DAC_OVERRIDE", "FOWNER", "KILL", "SETGID", "SETUID"]),
        ("CpuPeriod", 100_000),
        ("CpuQuota", 150_000),
        ("DeviceCgroupRules", []),
        ("DeviceRequests", []),
        ("Devices", []),
        ("Init", True),
        ("IpcMode", "private"),
        ("LogConfig", {"Type": "none", "Config": {}}),
        ("Memory", 256 * MIB),
        ("MemorySwap", 256 * MIB),
        ("Mounts", []),
        ("NetworkMode", "none"),
        ("OomKillDisable", False),
        ("OomScoreAdj", 500),
        ("PidsLimit", 40),
        ("Privileged", False),
        ("PublishAllPorts", False),
        ("ReadonlyRootfs", True),
        ("RestartPolicy", {"Name": "no", "MaximumRetryCount": 0}),
        ("SecurityOpt", ["no-new-privileges:true"]),
        ("ShmSize", 32 * MIB),
        ("VolumesFrom", []),
    ],
)
def test_each_flag_of_the_host_config(field: str, value: object) -> None:
    assert _host()[field] == value


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("Image", "sha256:1"),
        ("Entrypoint", ["python3", "-c", "pass"]),
        ("Cmd", []),
        ("User", "0:0"),
        ("WorkingDir", "/work"),
        ("Hostname", "sandbox"),
        ("Labels", {"agentrl.owner": "t"}),
        ("Tty", False),
        ("OpenStdin", True),
        ("StdinOnce", True),
        ("AttachStdin", True),
        ("AttachStdout", True),
        ("AttachStderr", True),
        ("NetworkDisabled", True),
        ("Healthcheck", {"Test": ["NONE"]}),
    ],
)
def test_each_field_of_the_container(field: str, value: object) -> None:
    assert _made()[field] == value


def test_nothing_else_is_asked_for() -> None:
    asked = set(_host())
    assert asked == set(
        """AutoRemove Binds CapAdd CapDrop CpuPeriod CpuQuota DeviceCgroupRules DeviceRequests Devices Init
        IpcMode LogConfig Memory MemorySwap Mounts NetworkMode OomKillDisable OomScoreAdj PidsLimit Privileged
        PublishAllPorts ReadonlyRootfs RestartPolicy SecurityOpt ShmSize Tmpfs Ulimits VolumesFrom""".split()
    )


@pytest.mark.parametrize("folder", ["/work", "/tmp", "/dev/shm"])
def test_folders_in_memory_have_a_size_and_a_number_of_files(folder: str) -> None:
    options = _host()["Tmpfs"][folder].split(",")
    assert {"rw", "nosuid", "nodev", "size=32m", "nr_inodes=500"} <= set(options)
    assert ("exec" in options) == (folder != "/dev/shm")


def test_a_program_dumps_no_core_and_has_no_message_queues() -> None:
    bounds = {bound["Name"]: (bound["Soft"], bound["Hard"]) for bound in _host()["Ulimits"]}
    assert bounds == {"core": (0, 0), "memlock": (65_536, 65_536), "msgqueue": (0, 0)}


def test_the_environment_is_ours_alone() -> None:
    names = [line.split("=")[0] for line in _made(SandboxSpec(environment={"TOKEN": "x"}))["Env"]]
    assert names == ["PATH", "HOME", "TMPDIR", "LANG"]


def test_the_seccomp_policy_goes_along_as_json() -> None:
    security = _host(seccomp={"defaultAction": "SCMP_ACT_ERRNO"})["SecurityOpt"]
    assert security[0] == "no-new-privileges:true"
    assert json.loads(security[1].removeprefix("seccomp=")) == {"defaultAction": "SCMP_ACT_ERRNO"}


def test_a_runtime_is_named_only_when_asked_for() -> None:
    assert "Runtime" not in _host()
    assert _host(runtime="runsc")["Runtime"] == "runsc"


def test_gvisor_gets_room_for_its_own_threads() -> None:
    assert _host(runtime="runsc")["PidsLimit"] == 2 * 40 + 128
    assert _host(runtime="crun")["PidsLimit"] == 40


def test_capabilities_and_user_can_be_fewer() -> None:
    assert _host(capabilities=())["CapAdd"] == []
    assert _made(user="65534:65534")["User"] == "65534:65534"


def test_more_cores_than_the_machine_has_are_a_bound_not_an_error() -> None:
    assert _host(SandboxSpec(cpus=1000))["CpuQuota"] == 100_000_000
    assert _host(SandboxSpec(cpus=0.1))["CpuQuota"] == 10_000


@given(
    memory_mb=st.integers(64, 2**30),
    pids=st.integers(8, 2**30),
    disk_mb=st.integers(1, 2**30),
    cpus=st.floats(0.1, 1e6),
)
def test_any_spec_gives_bounds_that_are_bounds(memory_mb: int, pids: int, disk_mb: int, cpus: float) -> None:
    made = _made(SandboxSpec(memory_mb=memory_mb, pids=pids, disk_mb=disk_mb, cpus=cpus))
    host = made["HostConfig"]
    # To the engine 0 and less mean "no bound", and a quota below 1 ms is refused.
    assert host["Memory"] == host["MemorySwap"] > 0
    assert host["PidsLimit"] > 0
    assert host["CpuQuota"] >= 1000
    assert json.loads(json.dumps(made)) == made


def test_every_public_name_is_there() -> None:
    assert all(hasattr(docker_args, name) for name in docker_args.__all__)
