"""What holds for every test: one torch thread, no network, and under AGENTRL_REQUIRE_ALL=1 a missing part is a failure.

A skip is allowed there only for the missing GPU: the test is marked `gpu`, or the reason begins with "gpu:".
"""

from __future__ import annotations

import functools
import importlib.util
import os
import sys
import warnings
from collections.abc import Generator, Iterator
from typing import Any

# Before torch is imported anywhere: xdist's workers share the cores, and spinning threads of two torch programs on two
# cores slow each other far more than twofold. Subprocesses inherit these.
os.environ["OMP_NUM_THREADS"] = "1"
os.environ["HF_HUB_OFFLINE"] = "1"
os.environ["TOKENIZERS_PARALLELISM"] = "false"

import pytest

REQUIRE_ALL = "AGENTRL_REQUIRE_ALL"


def _forbid_skip(report: pytest.TestReport | pytest.CollectReport, *, gpu: bool) -> None:
    """Turn a skip into a failure under AGENTRL_REQUIRE_ALL=1, unless what is missing is a GPU."""
    if not report.skipped or hasattr(report, "wasxfail") or os.environ.get(REQUIRE_ALL) != "1":
        return
    reason = report.longrepr[2] if isinstance(report.longrepr, tuple) else str(report.longrepr)
    if gpu or reason.removeprefix("Skipped: ").startswith("gpu:"):
        return
    report.outcome = "failed"
    report.longrepr = f"{reason}\n{REQUIRE_ALL}=1: a missing part is a failure; install it, or unset {REQUIRE_ALL}."


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    report = yield
    _forbid_skip(report, gpu=item.get_closest_marker("gpu") is not None)
    return report


@pytest.hookimpl(wrapper=True)
def pytest_make_collect_report() -> Generator[None, pytest.CollectReport, pytest.CollectReport]:
    report = yield
    _forbid_skip(report, gpu=False)
    return report


def pytest_runtest_setup(item: pytest.Item) -> None:
    """Skip what needs a part that this machine lacks, and say which: a CUDA device, an engine, bubblewrap."""
    if item.get_closest_marker("gpu") is not None:
        import torch

        if not torch.cuda.is_available():
            pytest.skip("gpu: torch sees no CUDA device")
    for marker, backend in (("docker", "docker"), ("bwrap", "bubblewrap")):
        if item.get_closest_marker(marker) is not None and (missing := _missing(backend)):
            pytest.skip(f"{marker}: {missing}")


@functools.cache
def _missing(name: str) -> str:
    """Say why a sandbox backend cannot run here, as it says itself; empty where it can."""
    from agentrl.sandboxes import SandboxUnavailable, open_backend

    try:
        with open_backend(name) as backend:
            backend.capabilities()
    except SandboxUnavailable as error:
        return str(error)
    return ""


@pytest.fixture(autouse=True)
def _same_paths() -> Iterator[None]:
    """Leave the paths of imports as they were: commands that run in this process find modules of the current folder."""
    before = list(sys.path)
    yield
    sys.path[:] = before


@pytest.fixture(scope="session")
def vllm_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of vLLM's server with the bundled model, named "tiny": one for all tests of a process, 8 to 40 s."""
    if importlib.util.find_spec("vllm") is None:
        pytest.skip("vLLM is not installed: make .venv/installed-dev")
    from tests.vllm_server import vllm_serving

    with vllm_serving(tmp_path_factory.mktemp("vllm")) as url:
        yield url


@pytest.fixture(scope="session")
def ray_cluster() -> Iterator[Any]:
    """A Ray cluster of one host with eight places, which this process has joined; a test may add hosts. 5 to 30 s."""
    if importlib.util.find_spec("ray") is None:
        pytest.skip("Ray is not installed: make .venv/installed-dev")
    import ray
    from ray.cluster_utils import Cluster

    own = {"num_cpus": 8, "include_dashboard": False, "object_store_memory": 80 * 2**20}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of Ray, about files that it leaves open
        cluster = Cluster()
        try:
            for left in (2, 1, 0):  # Ray gives a host half a minute to start, which beside other tests may be too short
                try:
                    cluster.add_node(**own)
                    break
                except Exception:
                    cluster = Cluster()
                    if not left:
                        raise
            ray.init(cluster.address, log_to_driver=False, logging_level="error")
            yield cluster
        finally:
            ray.shutdown()
            cluster.shutdown()
