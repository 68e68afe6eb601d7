"""Nothing outside the given folders is read through a link, nothing but plain files is opened, and only so much."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from agentrl.bench.errors import StoreError
from agentrl.bench.viewer.database import check_store, reading
from agentrl.bench.viewer.files import problem, read_some, real_folders
from agentrl.bench.viewer.runs import Run, find_runs, overview, read_small
from agentrl.bench.viewer.steps import read_steps
from agentrl.bench.viewer.talk import read_talk
from agentrl.bench.viewer.tokens import read_tokens
from tests.bench.viewer.stores import write_bench, write_training

LINK = "is a link to another place, and is not read"


@pytest.fixture
def elsewhere(tmp_path: Path) -> Path:
    """A folder with runs and a secret, which the viewer was not given."""
    folder = tmp_path / "elsewhere"
    write_bench(folder / "bench", "secret-agent", share=0.5, num_tasks=8)
    write_training(folder / "training", steps=3)
    (folder / "secret.toml").write_text('env = "SECRET"\n')
    (tmp_path / "runs").mkdir()
    return folder


def _only(folder: Path) -> Run:
    [run] = find_runs([folder])
    return run


@pytest.mark.parametrize("name", ["config.toml", "summary.json", "metrics.jsonl", "rollouts.sqlite"])
def test_a_file_that_links_elsewhere_is_named_and_not_read(tmp_path: Path, elsewhere: Path, name: str) -> None:
    folder = write_training(tmp_path / "runs" / "t", steps=3)
    (folder / name).unlink()
    (folder / name).symlink_to(elsewhere / ("secret.toml" if name == "config.toml" else f"training/{name}"))
    run = _only(tmp_path / "runs")
    found = overview(run)
    assert f"{folder / name} {LINK}" in found.trouble
    assert "SECRET" not in f"{found}{read_small(run, name)}"
    if name == "metrics.jsonl":
        assert found.done == 0
        with pytest.raises(StoreError, match=LINK):
            read_steps(run)
    elif name == "summary.json":
        assert found.seconds is None
    elif name == "rollouts.sqlite":
        with pytest.raises(StoreError, match=LINK), reading(run.store, tops=run.tops):
            pass
    # The same file is read where its own folder was given too.
    assert overview(find_runs([tmp_path / "runs", elsewhere])[0]).trouble == ""


@pytest.mark.parametrize("ending", ["", "-wal", "-shm", "-journal"])
def test_a_bench_that_links_elsewhere_is_not_read(tmp_path: Path, elsewhere: Path, ending: str) -> None:
    folder = write_bench(tmp_path / "runs" / "b", "a", share=0.5, num_tasks=8)
    place = folder / f"bench.sqlite{ending}"
    place.unlink(missing_ok=True)
    place.symlink_to(elsewhere / "bench" / "bench.sqlite")
    run = _only(tmp_path / "runs")
    assert LINK in overview(run).trouble
    assert "secret-agent" not in str(overview(run))
    with pytest.raises(StoreError, match=LINK):
        read_talk(run, {})


def test_folders_that_link_elsewhere_are_passed_by(tmp_path: Path, elsewhere: Path) -> None:
    (tmp_path / "runs" / "linked").symlink_to(elsewhere)
    write_bench(tmp_path / "runs" / "mine", "a", share=0.5, num_tasks=8)
    (tmp_path / "runs" / "again").symlink_to(tmp_path / "runs" / "mine")  # not elsewhere
    assert sorted(run.name for run in find_runs([tmp_path / "runs"])) == ["again", "mine"]
    (tmp_path / "given").symlink_to(elsewhere)  # a folder that was given may be a link
    found = find_runs([tmp_path / "given"])
    assert sorted(run.name for run in found) == ["bench", "training"]
    assert [overview(run).trouble for run in found] == ["", ""]


def test_a_tokenizer_elsewhere_is_not_read(tmp_path: Path, elsewhere: Path) -> None:
    key = {"phase": "train", "step": "1", "group_id": "0", "member": "0"}
    folder = write_training(tmp_path / "runs" / "t", steps=3)
    run = _only(tmp_path / "runs")
    (elsewhere / "tokenizer.json").write_text("{}")
    assert read_tokens(run, read_talk(run, key))[0].text != "[16]"  # of the model that comes along
    (folder / "checkpoints" / "step_1").mkdir(parents=True)
    (folder / "checkpoints" / "step_1" / "tokenizer.json").symlink_to(elsewhere / "tokenizer.json")
    assert read_tokens(run, read_talk(run, key))[0].text == "[16]"


NAMES = ["config.toml", "summary.json", "metrics.jsonl", "rollouts.sqlite", "rollouts.sqlite-wal"]


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("kind", ["pipe", "folder", "device"])
def test_what_is_no_plain_file_is_not_opened(tmp_path: Path, name: str, kind: str) -> None:
    folder = write_training(tmp_path / "t", steps=3)
    place = folder / name
    place.unlink(missing_ok=True)
    if kind == "pipe":
        os.mkfifo(place)  # opening it would wait for ever
    elif kind == "folder":
        place.mkdir()
    else:
        place.symlink_to("/dev/zero")
    run = _only(tmp_path)
    found = overview(run)
    if name == "metrics.jsonl":
        with pytest.raises(StoreError, match="is not read"):
            read_steps(run)
    assert read_small(run, name) == "" or name.startswith("rollouts")
    if not name.endswith("-wal"):
        assert f"{place} is" in found.trouble
    if name.startswith("rollouts"):
        with pytest.raises(StoreError, match="is not read"), reading(run.store, tops=run.tops):
            pass
        with pytest.raises(StoreError, match="is not read"), reading(run.store):  # wherever it lies
            pass


def test_a_bench_that_is_a_pipe_holds_nobody(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "bench.sqlite")
    run = _only(tmp_path)
    assert "is no plain file" in overview(run).trouble
    with pytest.raises(StoreError, match="no plain file"):
        check_store(run.store, run.tops)


def test_a_file_is_read_up_to_a_limit(tmp_path: Path) -> None:
    path = tmp_path / "file"
    tops = real_folders([tmp_path])
    assert read_some(path, tops, 4) == (b"", False)
    path.write_bytes(b"12345")
    assert (read_some(path, tops, 4), read_some(path, tops, 5)) == ((b"1234", True), (b"12345", False))
    path.unlink()
    path.symlink_to(path)
    assert problem(path, tops)
