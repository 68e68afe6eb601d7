"""A spec refuses what cannot work, and says what to write; it can be hashed, pickled and compared."""

from __future__ import annotations

import pickle
from dataclasses import replace
from typing import Any

import pytest

from agentrl.sandboxes.bubblewrap.backend import BubblewrapBackend
from agentrl.sandboxes.errors import SpecError
from agentrl.sandboxes.host.requests import argv_of
from agentrl.sandboxes.spec import SandboxSpec

WRONG: list[tuple[dict[str, Any], str]] = [
    ({"memory_mb": 0}, "memory_mb=0"),
    ({"memory_mb": 512.5}, "memory_mb=512.5"),
    ({"memory_mb": True}, "memory_mb=True"),
    ({"memory_mb": 2**30 + 1}, "memory_mb=1073741825 must be a whole number of at least 64 and at most 1073741824"),
    ({"disk_mb": 2**30 + 1}, "disk_mb=1073741825 must be a whole number of at least 1 and at most 1073741824"),
    ({"pids": 2}, "pids=2 must be a whole number of at least 8"),
    ({"disk_mb": -1}, "disk_mb=-1"),
    ({"inodes": "many"}, "inodes='many'"),
    ({"output_bytes": 2**60}, "output_bytes"),
    ({"open_files": None}, "open_files=None"),
    ({"cpus": 0}, "cpus=0"),
    ({"cpus": 0.09}, "cpus=0.09 must be a number from 0.1 to a million"),
    ({"cpus": float("nan")}, "cpus=nan"),
    ({"cpus": float("inf")}, "cpus=inf"),
    ({"wall_s": None}, "wall_s=None"),
    ({"cpu_s": "1"}, "cpu_s='1'"),
    ({"user": 0}, "never runs as root"),
    ({"user": -1}, "user=-1"),
    ({"user": True}, "user=True must be a number"),
    ({"strict": "no"}, "strict='no' must be True or False"),
    ({"strict": 1}, "strict=1 must be True or False"),
    ({"image": 5}, "image=5 must be the name of an image"),
    ({"image": ""}, "image='' must be the name of an image, such as 'debian:12', or None"),
    ({"image": " "}, "image=' '"),
    ({"network": None}, "network=None must be a list of names"),
    ({"network": b"docs.example.org"}, "network=b'docs.example.org' must be a list of names"),
    ({"network": {"docs.example.org": 1}}, "must be a list of names"),
    ({"network": [None]}, "None is not a host name"),
    ({"network": "docs.example.org"}, "network=['docs.example.org']"),
    ({"network": ["https://docs.example.org"]}, "https://docs.example.org"),
    ({"network": ["docs.example.org/path"]}, "docs.example.org/path"),
    ({"network": ["Docs.Example.org"]}, "lower case"),
    ({"network": ["*"]}, "'*'"),
    ({"network": ["a" * 300]}, "is not a host name"),
    ({"network": [""]}, "is not a host name"),
    ({"services": None}, "services=None must be a dict from a port in the box"),
    ({"services": [8000]}, "services=[8000] must be a dict"),
    ({"services": {80: 41234}}, "80 must be the port in the box, a number from 1024 to 65535"),
    ({"services": {3128: 41234}}, "services={8000: 41234}"),
    ({"services": {"model": 41234}}, "'model' must be the port in the box"),
    ({"services": {True: 41234}}, "True must be the port in the box"),
    ({"services": {8000: 0}}, "8000 leads to 0, which must be a port of this host's 127.0.0.1, from 1 to 65535"),
    ({"services": {8000: True}}, "8000 leads to True"),
    ({"services": {8000: "http://127.0.0.1:41234"}}, "or an address as ('127.0.0.1', 41234)"),
    ({"services": {8000: ("http://127.0.0.1", 41234)}}, "8000 leads to ('http://127.0.0.1', 41234)"),
    ({"services": {8000: ("", 41234)}}, "8000 leads to ('', 41234)"),
    ({"services": {8000: ("::1", 65_536)}}, "8000 leads to ('::1', 65536)"),
    ({"services": {8000: ["127.0.0.1", 41234]}}, "8000 leads to ['127.0.0.1', 41234]"),
    ({"services": dict.fromkeys(range(8000, 8009), 41234)}, "9 of them; a box has at most 8"),
    ({"environment": None}, "environment=None must be a dict"),
    ({"environment": ["A=b"]}, "environment=['A=b'] must be a dict"),
    ({"environment": {1: "a"}}, "environment: 1='a' must be a variable name"),
    ({"environment": {"A=B": "c"}}, "A=B"),
    ({"environment": {"A": "b\0c"}}, "NUL"),
    ({"environment": {"A": 1}}, "environment: 'A'=1"),
    ({"files": None}, "files=None must be a dict"),
    ({"files": ["a"]}, "files=['a'] must be a dict, such as {'data.txt': b'content'}"),
    ({"files": {1: b""}}, "files: 1 must be a path"),
    ({"files": {"": b""}}, "files: '' must be a path, a text without NUL, such as 'data.txt'"),
    ({"files": {"a\0b": b""}}, "a path"),
    ({"files": {"a": "text"}}, "files: the content of 'a' must be bytes, not str"),
]


@pytest.mark.parametrize(("values", "said"), WRONG, ids=[str(values)[:50] for values, _ in WRONG])
def test_wrong_values_are_named(values: dict[str, Any], said: str) -> None:
    with pytest.raises(SpecError) as caught:
        SandboxSpec(**values)
    assert said in str(caught.value)


def test_can_be_hashed_pickled_and_compared() -> None:
    services: dict[int, Any] = {8000: 41234, 8001: ("::1", 41235)}
    spec = SandboxSpec(
        environment={"B": "2", "A": "1"}, files={"x": b"y"}, network=["docs.example.org"], services=services
    )
    again = SandboxSpec(
        environment={"A": "1", "B": "2"},
        files={"x": b"y"},
        network=("docs.example.org",),
        services=dict(reversed(services.items())),
    )
    assert spec == again
    assert hash(spec) == hash(again)
    assert pickle.loads(pickle.dumps(spec)) == spec
    assert spec != replace(spec, memory_mb=513)
    assert spec != replace(spec, services={8000: 41235})


def test_later_changes_to_what_was_given_do_not_reach_the_spec() -> None:
    environment = {"A": "1"}
    spec = SandboxSpec(environment=environment)
    environment["A"] = "2"
    assert spec.environment == {"A": "1"}


GIVEN: list[dict[str, Any]] = [
    {"files": {"a": b"b"}},
    {"environment": {"A": "1"}},
    {"wall_s": 5.0},
    {"cpu_s": 2.0},
    {"services": {8000: 41234}},
]
FIXED: list[dict[str, Any]] = [
    {"memory_mb": 99},
    {"pids": 9},
    {"disk_mb": 9},
    {"inodes": 99},
    {"cpus": 2.0},
    {"open_files": 99},
    {"image": "x"},
]


def test_boxes_of_one_shape_differ_only_in_what_a_job_is_given() -> None:
    spec = SandboxSpec()
    assert all(replace(spec, **change).shape() == spec.shape() for change in GIVEN)
    assert all(replace(spec, **change).shape() != spec.shape() for change in FIXED)


def test_the_least_and_the_most_are_taken() -> None:
    spec = SandboxSpec(cpus=0.1, memory_mb=2**30, disk_mb=2**30)
    assert (spec.cpus, spec.memory_mb, spec.disk_mb) == (0.1, 2**30, 2**30)


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"spec": "spec"}, "spec='spec' is str; write SandboxSpec(...)"),
        ({"spec": {}}, "spec={} is dict"),
        ({"wait_s": None}, "wait_s=None must be a number of seconds"),
        ({"wait_s": "x"}, "wait_s='x'"),
        ({"wait_s": True}, "wait_s=True"),
        ({"wait_s": float("nan")}, "wait_s=nan"),
    ],
    ids=str,
)
def test_a_lease_names_an_argument_that_cannot_work(given: dict[str, Any], said: str) -> None:
    backend = BubblewrapBackend()
    try:
        with pytest.raises(SpecError) as caught:
            backend.lease(**given)
    finally:
        backend.close()
    assert said in str(caught.value)


@pytest.mark.parametrize("command", [None, b"ls", bytearray(b"ls"), 5, {"ls": 1}, {"ls"}], ids=repr)
def test_a_command_is_text_or_a_list_of_texts(command: Any) -> None:
    with pytest.raises(SpecError) as caught:
        argv_of(command)
    assert f"command={command!r} is {type(command).__name__}; write a str" in str(caught.value)
    assert "a list of str" in str(caught.value)
    assert argv_of(("ls", "-l")) == ["ls", "-l"]
    assert argv_of("ls") == ["sh", "-c", "ls"]
