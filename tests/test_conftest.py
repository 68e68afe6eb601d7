"""The rules of conftest.py, each tried on a small suite of its own in a subprocess."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from xml.etree import ElementTree

import pytest

SUITE = """
import pytest

def test_plain_skip():
    pytest.skip("bwrap: not installed")

@pytest.mark.skip(reason="docker: no engine")
def test_marked_skip():
    pass

@pytest.mark.gpu
def test_marked_gpu():
    pytest.skip("any reason")

def test_reason_gpu():
    pytest.skip("gpu: no device")

@pytest.mark.xfail(reason="known")
def test_expected_failure():
    assert False

def test_one_thread():
    import os
    assert os.environ["OMP_NUM_THREADS"] == "1"
"""
MODULE = 'import pytest\npytest.importorskip("no_such_module_anywhere")\ndef test_never(): pass\n'


def _run(folder: Path, *, require_all: bool) -> dict[str, str]:
    """Run the small suite in a subprocess; the outcome word of each test or module, by name."""
    (folder / "conftest.py").write_text(Path(__file__).with_name("conftest.py").read_text())
    (folder / "test_suite.py").write_text(SUITE)
    (folder / "test_module.py").write_text(MODULE)
    (folder / "pytest.ini").write_text("[pytest]\nmarkers = gpu: needs a CUDA device\n")
    environment = {key: value for key, value in os.environ.items() if not key.startswith(("PYTEST", "AGENTRL"))}
    if require_all:
        environment["AGENTRL_REQUIRE_ALL"] = "1"
    command = [sys.executable, "-m", "pytest", "--junit-xml=result.xml", "--continue-on-collection-errors", "."]
    subprocess.run(command, env=environment, cwd=folder, capture_output=True, timeout=240, check=False)
    outcomes = {}
    for case in ElementTree.parse(folder / "result.xml").iter("testcase"):
        outcome = next(iter(case), None)
        expected = outcome is not None and outcome.get("type") == "pytest.xfail"
        outcomes[case.get("name", "")] = "xfail" if expected else "passed" if outcome is None else outcome.tag
    return outcomes


def test_skips_pass_on_a_developers_machine(tmp_path: Path) -> None:
    assert _run(tmp_path, require_all=False) == {
        "test_module": "skipped",
        "test_plain_skip": "skipped",
        "test_marked_skip": "skipped",
        "test_marked_gpu": "skipped",
        "test_reason_gpu": "skipped",
        "test_expected_failure": "xfail",
        "test_one_thread": "passed",
    }


def test_under_require_all_only_a_gpu_may_be_missing(tmp_path: Path) -> None:
    assert _run(tmp_path, require_all=True) == {
        "test_module": "error",
        "test_plain_skip": "failure",
        "test_marked_skip": "error",
        "test_marked_gpu": "skipped",
        "test_reason_gpu": "skipped",
        "test_expected_failure": "xfail",
        "test_one_thread": "passed",
    }


@pytest.mark.gpu
def test_gpu_mark_means_a_device_answers() -> None:
    import torch

    assert torch.ones(1, device="cuda").item() == 1
