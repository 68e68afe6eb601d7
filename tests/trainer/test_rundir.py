"""What stays on disk when something goes wrong: whole checkpoints, whole files, and no folder used twice."""

from __future__ import annotations

import json
import resource
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import AutoModelForCausalLM

from agentrl.trainer import rundir
from agentrl.trainer.checkpoint import TrainerState, latest_checkpoint, load_state, save_checkpoint
from agentrl.trainer.coldstart import weights_hash
from agentrl.trainer.errors import RunFolderError
from agentrl.trainer.rundir import RunDir


def state_at(step: int) -> TrainerState:
    return TrainerState(
        step=step,
        optimizer={"state": {}, "param_groups": []},
        num_tokens=0,
        train_seconds=0.0,
        torch_rng=torch.get_rng_state(),
        cuda_rng=[],
        recent_success=[],
    )


@contextmanager
def files_of_at_most(num_bytes: int) -> Iterator[None]:
    """Let the kernel refuse larger files, as a full disk refuses any."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (num_bytes, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


@pytest.mark.parametrize("num_bytes", [0, 5_000, 100_000])  # the configuration, the weights, the optimizer's state
def test_a_full_disk_leaves_the_older_checkpoint(
    tmp_path: Path, tokenizer: Any, tiny_model: Callable[..., Any], num_bytes: int
) -> None:
    model = tiny_model()
    folder = tmp_path / "run" / "checkpoints"
    whole = save_checkpoint(folder, write=model.save_pretrained, tokenizer=tokenizer, state=state_at(1), keep=1)
    state = replace(state_at(2), optimizer={"state": {0: torch.zeros(1_000_000)}, "param_groups": []})
    message = rf"step_2 cannot be written.*agentrl train --resume {tmp_path}/run"
    with files_of_at_most(num_bytes), pytest.raises(RunFolderError, match=message):
        save_checkpoint(folder, write=model.save_pretrained, tokenizer=tokenizer, state=state, keep=1)
    assert [path.name for path in folder.iterdir()] == ["step_1"]
    assert latest_checkpoint(folder) == whole
    assert load_state(whole).step == 1
    assert weights_hash(AutoModelForCausalLM.from_pretrained(whole)) == weights_hash(model)
    save_checkpoint(folder, write=model.save_pretrained, tokenizer=tokenizer, state=state, keep=1)
    assert [path.name for path in folder.iterdir()] == ["step_2"]


def test_remains_of_a_killed_save_are_no_checkpoint(
    tmp_path: Path, tokenizer: Any, tiny_model: Callable[..., Any]
) -> None:
    more: dict[str, Any] = {"write": tiny_model().save_pretrained, "tokenizer": tokenizer, "keep": 2}
    for name in (".tmp_step_2", ".old_step_1", ".old_step_3"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "model.safetensors").write_text("half")
    assert latest_checkpoint(tmp_path) is None
    for step in (1, 2, 3, 3, 10):
        saved = save_checkpoint(tmp_path, state=state_at(step), **more)
        assert latest_checkpoint(tmp_path) == saved
    assert sorted(path.name for path in tmp_path.iterdir()) == ["step_10", "step_3"]


def test_a_damaged_state_names_the_way_back(tmp_path: Path, tokenizer: Any, tiny_model: Callable[..., Any]) -> None:
    saved = save_checkpoint(
        tmp_path, write=tiny_model().save_pretrained, tokenizer=tokenizer, state=state_at(1), keep=2
    )
    (saved / "trainer_state.pt").write_bytes(b"\x80half a file")
    with pytest.raises(RunFolderError, match=r"trainer_state\.pt cannot be read.*remove .*step_1 to resume"):
        load_state(saved)


def test_a_run_folder_is_never_used_twice(tmp_path: Path) -> None:
    first = RunDir.create(tmp_path, "a", default="x")
    with pytest.raises(RunFolderError, match=rf"run folder {first.path} exists; type --resume .* or --name a-2"):
        RunDir.create(tmp_path, "a", default="x")
    assert [RunDir.create(tmp_path, None, default="a").path.name for _ in range(2)] == ["a-2", "a-3"]


def test_a_folder_that_cannot_be_written_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").write_text("")
    for out in (tmp_path / "file", Path("/proc/agentrl")):
        with pytest.raises(RunFolderError, match=r"cannot be made.*type --out FOLDER|only 0 MB are free"):
            RunDir.create(out, "a", default="x")
    monkeypatch.setattr(rundir, "_MIN_FREE_MB", 10**12)
    with pytest.raises(RunFolderError, match="MB are free"):
        RunDir.create(tmp_path / "new", "a", default="x")
    assert not (tmp_path / "new").exists()


def test_no_run_to_resume(tmp_path: Path) -> None:
    RunDir.create(tmp_path, "right", default="x").write_text("config.toml", "")
    with pytest.raises(RunFolderError, match=r"wrong is no run: .*there are .*right"):
        RunDir.existing(tmp_path / "wrong")
    assert RunDir.existing(tmp_path / "right").path == tmp_path / "right"


def test_a_small_file_is_whole_or_as_before(tmp_path: Path) -> None:
    run_dir = RunDir.create(tmp_path, "a", default="x")
    run_dir.write_json("summary.json", {"n": 1})
    with files_of_at_most(100), pytest.raises(RunFolderError, match=r"summary\.json cannot be written"):
        run_dir.write_json("summary.json", {"n": list(range(1000))})
    assert json.loads((run_dir.path / "summary.json").read_text()) == {"n": 1}
