"""Weights over HTTP and through a folder, as the worker reads them; and one that comes damaged is not taken."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx
import pytest

from agentrl.trainer.engines.fleet.weights import FolderShelf, HttpShelf, Shelf
from agentrl.trainer.errors import ConfigError, EngineError
from tests.trainer.fake_vllm import Worker, bias, bias_of


@pytest.fixture
def model(tiny_model: Callable[..., Any]) -> Any:
    return tiny_model(seed=2)


def shelf_of(kind: str, folder: Path) -> Shelf:
    return HttpShelf() if kind == "http" else FolderShelf(folder)


@pytest.mark.parametrize("kind", ["http", "folder"])
def test_a_worker_takes_what_was_put(model: Any, tmp_path: Path, kind: str) -> None:
    with shelf_of(kind, tmp_path) as shelf:
        workers = [Worker() for _ in range(4)]
        for version in range(2):
            model.model.norm.weight.data.mul_(1.5)
            weights = shelf.put(model, version)
            with ThreadPoolExecutor(4) as pool:
                jobs = [pool.submit(each.agentrl_load, weights.source, weights.told()) for each in workers]
            held = [each.result() for each in jobs]
            assert [each["version"] for each in held] == [weights.name] * 4
            assert [each["tensors"] for each in held] == [weights.tensors] * 4
            biases = [bias(each.model_runner.total) for each in workers]
            assert biases == pytest.approx([bias_of(model)] * 4)
            assert held == [each.agentrl_held() for each in workers]
        assert len({each["instance"] for each in held}) == 4
    assert list(tmp_path.iterdir()) == []


def test_only_the_newest_at_its_own_path_is_served(model: Any) -> None:
    with HttpShelf() as shelf:
        first, second = shelf.put(model, 1), shelf.put(model, 2)
        for url in (first.source, shelf.address, f"{shelf.address}/2/model.safetensors", f"{second.source}/.."):
            assert httpx.get(url, trust_env=False).status_code == 404
        answer = httpx.get(second.source, trust_env=False)
        assert len(answer.content) == second.bytes
    with pytest.raises(httpx.ConnectError):
        httpx.get(second.source, trust_env=False)
    assert not [each for each in threading.enumerate() if each.name == "agentrl-weights"]


@pytest.mark.parametrize("promised", [{"bytes": 7}, {"crc32": 7}], ids=["size", "checksum"])
def test_what_comes_damaged_is_not_taken(model: Any, promised: dict[str, int]) -> None:
    with HttpShelf() as shelf:
        worker, weights = Worker(), shelf.put(model, 1)
        worker.agentrl_load(weights.source, weights.told())
        with pytest.raises(ValueError, match="the weights came as"):
            worker.agentrl_load(weights.source, replace(weights, **promised).told())  # type: ignore[arg-type]
        assert worker.agentrl_held().get("version") is None  # nothing that it could be trusted with


def test_a_folder_that_cannot_be_written_is_named(model: Any, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(EngineError, match=r"weights cannot be written to .*file/version_1: .* free some space"):
        FolderShelf(tmp_path / "file").put(model, 1)


@pytest.mark.parametrize("host", ["192.0.2.1", "127.0.0.1:99999", "no.such.host.invalid"])
def test_an_address_that_cannot_be_bound_is_named(host: str) -> None:
    with pytest.raises(ConfigError, match=rf"engine.weights_host is '{host}', which cannot be bound"):
        HttpShelf(host)
