"""Exports read by the libraries that they are for: pyarrow, inspect_ai and its commands."""

from __future__ import annotations

import json
import math
import os
import resource
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

import agentrl.envs  # noqa: F401  # registers
from agentrl.bench.errors import StoreError, UsageError
from agentrl.bench.export import export
from agentrl.bench.exports.totals import Totals
from agentrl.bench.run import Settings, run
from agentrl.bench.store import BenchStore
from agentrl.bench.stored import open_run
from agentrl.bench.summary import summarize
from agentrl.bench.types import Episode, Job

pytest.importorskip("pyarrow", reason="pyarrow is not installed: pip install 'agentrl-gym[export]'")
pytest.importorskip("inspect_ai", reason="inspect_ai is not installed: pip install 'agentrl-gym[export]'")

TOOLS, SEARCH = "AgentRL/ToolUse-v0", "AgentRL/Search-v0"
FORMATS = {"jsonl": "out.jsonl", "parquet": "out.parquet", "inspect": "out.eval", "json": "out.json"}


@pytest.fixture(scope="module")
def bench(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A bench of two environments with two episodes a task; one episode failed, one holds half a surrogate pair."""
    folder = tmp_path_factory.mktemp("runs") / "bench"
    settings = Settings(envs=(TOOLS, SEARCH), agent="oracle", num_tasks=3, num_samples=2)
    run(settings, folder)
    failure = {"kind": "k", "boundary": "server", "message": "gone \ud800"}
    messages = ({"role": "user", "content": "half \ud800 <script>"}, {"role": "assistant", "content": "<b>\x00"})
    with BenchStore(folder, settings.identity()) as store:
        first, *_ = store.episodes()
    failed = replace(first, failure=failure, reward=0.0, rewards={}, success=None, messages=messages)  # type: ignore[arg-type]
    import sqlite3
    from contextlib import closing

    with closing(sqlite3.connect(folder / "bench.sqlite")) as db, db:
        key = (first.job.env_id, first.job.level, first.job.seed, first.job.sample)
        db.execute("DELETE FROM episodes WHERE env_id = ? AND level = ? AND seed = ? AND sample = ?", key)
    with BenchStore(folder, settings.identity()) as store:
        store.add(failed)
        store.add(replace(failed, job=replace(first.job, sample=1), failure=None))  # there already: nothing is changed
    return folder


def _stored(folder: Path) -> list[Episode]:
    with BenchStore(folder) as store:
        return list(store.episodes())


def _written(folder: Path, tmp_path: Path, format: str, **more: Any) -> Path:
    path = tmp_path / FORMATS[format]
    num = export(open_run(folder), path, format="inspect" if format == "json" else format, **more)
    assert num == open_run(folder).num_episodes
    assert [each.name for each in tmp_path.iterdir()] == [path.name]  # nothing is left beside it
    return path


def test_json_lines_hold_every_field(bench: Path, tmp_path: Path) -> None:
    lines = _written(bench, tmp_path, "jsonl").read_text(encoding="utf-8").splitlines()
    rows = [json.loads(line) for line in lines]
    episodes = _stored(bench)
    assert len(rows) == len(episodes) == 12
    for row, each in zip(rows, episodes, strict=True):
        assert (row["env_id"], row["level"], row["seed"], row["sample"]) == tuple(vars(each.job).values())
        assert (row["reward"], row["success"], row["rewards"]) == (each.reward, each.success, each.rewards)
        assert (row["num_turns"], row["latencies"], row["seconds"]) == (each.num_turns, [], each.seconds)
        assert row["agent"] == "oracle"
        if each.failure is None:
            assert row["messages"] == list(each.messages)
    assert rows[0]["env_id"] == SEARCH
    assert rows[0]["failure"] == {"kind": "k", "boundary": "server", "message": "gone \\ud800"}
    assert rows[0]["messages"][0]["content"] == "half \\ud800 <script>"


def test_parquet_is_typed_and_says_what_run_it_is(bench: Path, tmp_path: Path) -> None:
    import pyarrow.parquet  # type: ignore[import-untyped]

    table = pyarrow.parquet.read_table(_written(bench, tmp_path, "parquet"))
    rows, episodes = table.to_pylist(), _stored(bench)
    assert table.num_rows == 12
    assert json.loads(table.schema.metadata[b"agentrl"])["agent"] == "oracle"
    for row, each in zip(rows, episodes, strict=True):
        assert (row["env_id"], row["seed"], row["sample"]) == (each.job.env_id, each.job.seed, each.job.sample)
        assert (row["reward"], row["success"], dict(row["rewards"])) == (each.reward, each.success, each.rewards)
        if each.failure is None:
            assert [(m["role"], m["content"]) for m in row["messages"]] == [
                (m["role"], m["content"]) for m in each.messages
            ]
    assert rows[0]["failure"]["boundary"] == "server"
    assert {str(table.schema.field(name).type) for name in ("reward", "success", "seed")} == {"double", "bool", "int64"}


@pytest.mark.parametrize("format", ["inspect", "json"])
def test_inspect_reads_its_log(bench: Path, tmp_path: Path, format: str) -> None:
    from inspect_ai.log import read_eval_log, read_eval_log_sample_summaries
    from inspect_ai.model import ChatMessageAssistant, ChatMessageTool

    path = _written(bench, tmp_path, format)
    log = read_eval_log(str(path))
    episodes = {(each.job.env_id, each.job.seed, each.job.sample): each for each in _stored(bench)}
    assert (log.status, log.eval.model, log.eval.task) == ("success", "oracle", "ToolUse-v0+Search-v0")
    assert log.eval.config.epochs == 2
    assert log.eval.metadata is not None
    assert log.eval.metadata["identity"]["num_tasks"] == 3
    assert log.results is not None
    assert (log.results.total_samples, log.results.completed_samples) == (12, 11)
    assert [(each.name, each.scored_samples) for each in log.results.scores] == [("success", 11), ("reward", 11)]
    assert log.results.scores[0].metrics["accuracy"].value == 1.0
    assert log.results.scores[0].metrics[f"accuracy {SEARCH}"].value == 1.0
    assert log.samples is not None
    assert len(log.samples) == 12
    num_calls = 0
    for sample in log.samples:
        told = sample.metadata
        each = episodes.pop((told["env_id"], told["seed"], told["sample"]))
        assert sample.epoch == each.job.sample + 1
        assert sample.id == f"{each.job.env_id.replace('/', '-')}-0-{each.job.seed}"
        assert len(sample.messages) == len(each.messages)
        if each.failure is not None:
            assert sample.error is not None
            assert sample.error.message == "server: k: gone \\ud800"
            assert not sample.scores
            assert sample.messages[0].text == "half \\ud800 <script>"
            continue
        assert sample.scores is not None
        assert (sample.scores["success"].value, sample.scores["reward"].value) == ("C", each.reward)
        assert sample.scores["reward"].metadata == each.rewards
        assert sample.input == each.messages[1]["content"]
        assert [message.role for message in sample.messages] == [message["role"] for message in each.messages]
        ids: set[str] = set()
        for message, was in zip(sample.messages, each.messages, strict=True):
            if isinstance(message, ChatMessageAssistant) and message.tool_calls:
                num_calls += len(message.tool_calls)
                ids |= {call.id for call in message.tool_calls}
                assert message.metadata == {"text": was["content"]}
                for call in message.tool_calls:
                    assert f'"name": "{call.function}"' in was["content"]
                    assert json.dumps(call.arguments) in was["content"]
                    assert call.function not in message.text
            elif isinstance(message, ChatMessageTool):
                assert message.function == was["name"]
                assert message.tool_call_id in ids
                assert message.text == was["content"]
            else:
                assert message.text == was["content"]
    assert not episodes
    assert num_calls >= 6
    summaries = read_eval_log_sample_summaries(str(path))
    assert len(summaries) == 12
    assert sum(bool(each.error) for each in summaries) == 1


def test_inspect_tells_usage_limits_and_what_is_not_finished(tmp_path: Path) -> None:
    from inspect_ai.log import read_eval_log

    settings = Settings(envs=(TOOLS,), agent="oracle", num_tasks=5)
    episode = Episode(
        job=Job(env_id=TOOLS, level=0, seed=0, sample=0),
        task_id="t",
        prompt="p",
        success=False,
        truncated=True,
        num_turns=8,
        prompt_tokens=70,
        completion_tokens=8,
        messages=({"role": "tool", "name": "lost", "content": "an answer to no call"},),
    )
    with BenchStore(tmp_path / "run", settings.identity()) as store:
        store.add(episode)
    export(open_run(tmp_path / "run"), tmp_path / "out.eval", format="inspect")
    log = read_eval_log(str(tmp_path / "out.eval"))
    assert log.status == "cancelled"  # 1 of 5
    assert log.samples is not None
    (sample,) = log.samples
    usage = sample.model_usage["oracle"]
    assert (usage.input_tokens, usage.output_tokens, usage.total_tokens) == (70, 8, 78)
    assert log.stats.model_usage["oracle"].total_tokens == 78
    assert sample.limit is not None
    assert (sample.limit.type, sample.limit.limit) == ("custom", 8.0)
    assert sample.scores is not None
    assert sample.scores["success"].value == "I"


@pytest.mark.slow
def test_inspects_own_commands_take_it(bench: Path, tmp_path: Path) -> None:
    """Its list, its dump, and the static site that its viewer is."""
    from inspect_ai.log import bundle_log_dir

    logs, site = tmp_path / "logs", tmp_path / "site"
    logs.mkdir()
    path = _written(bench, logs, "inspect")
    command = [sys.executable, "-m", "inspect_ai", "log"]
    listed = subprocess.run(
        [*command, "list", "--log-dir", str(logs), "--json"], capture_output=True, text=True, check=True, timeout=60
    )
    assert [each["name"].rpartition("/")[2] for each in json.loads(listed.stdout)] == ["out.eval"]
    dumped = subprocess.run([*command, "dump", str(path)], capture_output=True, text=True, check=True, timeout=60)
    assert len(json.loads(dumped.stdout)["samples"]) == 12
    bundle_log_dir(str(logs), output_dir=str(site))
    assert (site / "index.html").is_file()
    assert [each.name for each in (site / "logs").glob("*.eval")] == ["out.eval"]
    (listing,) = json.loads((site / "logs" / "listing.json").read_text()).values()
    assert (listing["task"], listing["model"], listing["status"]) == ("ToolUse-v0+Search-v0", "oracle", "success")


def test_the_same_run_gives_the_same_file(bench: Path, tmp_path: Path) -> None:
    for format in FORMATS:
        first = _written(bench, tmp_path, format).read_bytes()
        with pytest.raises(UsageError, match="exists; type --force to replace it"):
            _written(bench, tmp_path, format)
        path = _written(bench, tmp_path, format, force=True)
        assert path.read_bytes() == first
        path.unlink()


def test_a_training_run_with_its_tokens(trained: Path, tmp_path: Path) -> None:
    import pyarrow.parquet
    from inspect_ai.log import read_eval_log

    found = open_run(trained)
    export(found, tmp_path / "a.jsonl", format="jsonl")
    export(found, tmp_path / "a.parquet", format="parquet", tokens=True)
    export(open_run(trained, phase="eval_after"), tmp_path / "a.eval", format="inspect")
    rows = [json.loads(line) for line in (tmp_path / "a.jsonl").read_text().splitlines()]
    table = pyarrow.parquet.read_table(tmp_path / "a.parquet").to_pylist()
    assert len(rows) == len(table) == found.num_episodes
    assert {row["phase"] for row in rows} == {"train", "eval_before", "eval", "eval_after"}
    assert "token_ids" not in rows[0]
    for row, other in zip(rows, table, strict=True):
        assert (row["phase"], row["step"], row["member"]) == (other["phase"], other["step"], other["member"])
        assert len(other["token_ids"]) == len(other["mask"]) == len(other["logprobs"])
        assert sum(other["mask"]) == row["completion_tokens"] == sum(row["turn_lengths"])
        assert row["advantage"] is None or math.isfinite(row["advantage"])
    log = read_eval_log(str(tmp_path / "a.eval"))
    assert log.samples is not None
    assert (len(log.samples), log.status) == (24, "success")
    assert log.samples[0].metadata["phase"] == "eval_after"
    keys = [(each.id, each.epoch) for each in log.samples]
    assert len(set(keys)) == len(keys)


@pytest.mark.parametrize(
    ("format", "name", "more", "told"),
    [
        ("jsnol", "a", {}, "format='jsnol' does not exist; did you mean 'jsonl'"),
        ("inspect", "a.log", {}, r"must end with .eval or .json"),
        ("jsonl", "", {}, r"is a folder; name a file in it: .*bench.jsonl"),
        ("jsonl", "a", {"tokens": True}, "tokens has no effect on .*which is a bench"),
    ],
)
def test_what_cannot_work_is_told(
    bench: Path, tmp_path: Path, format: str, name: str, more: dict[str, Any], told: str
) -> None:
    with pytest.raises(UsageError, match=told):
        export(open_run(bench), tmp_path / name, format=format, **more)
    assert list(tmp_path.iterdir()) == []


def test_the_run_itself_is_never_written_over(bench: Path, tmp_path: Path) -> None:
    before = (bench / "bench.sqlite").read_bytes()
    (tmp_path / "link.jsonl").symlink_to(bench / "bench.sqlite")
    for path in (bench / "bench.sqlite", tmp_path / "link.jsonl"):
        with pytest.raises(UsageError, match="is the run itself, which is never changed"):
            export(open_run(bench), path, format="jsonl", force=True)
    assert (bench / "bench.sqlite").read_bytes() == before


def test_an_empty_store_gives_an_empty_file(tmp_path: Path) -> None:
    import pyarrow.parquet
    from inspect_ai.log import read_eval_log

    identity = Settings(envs=(TOOLS,), agent="oracle", num_tasks=5).identity()
    BenchStore(tmp_path / "run", identity).close()
    for format, name in FORMATS.items():
        real = "inspect" if format == "json" else format
        assert export(open_run(tmp_path / "run"), tmp_path / name, format=real) == 0
    assert (tmp_path / "out.jsonl").read_text() == ""
    assert pyarrow.parquet.read_table(tmp_path / "out.parquet").num_rows == 0
    for name in ("out.eval", "out.json"):
        log = read_eval_log(str(tmp_path / name))
        assert (log.status, log.samples) == ("cancelled", [])


def _limit_files() -> None:
    import signal

    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)  # a write past the limit then fails with EFBIG
    resource.setrlimit(resource.RLIMIT_FSIZE, (6_000, 6_000))


FULL = """
import sys
from pathlib import Path
from agentrl.bench.errors import StoreError
from agentrl.bench.export import export
from agentrl.bench.stored import open_run
for format, name in (("jsonl", "a.jsonl"), ("parquet", "a.parquet"), ("inspect", "a.eval"), ("inspect", "a.json")):
    try:
        export(open_run(Path(sys.argv[1])), Path(sys.argv[2]) / name, format=format, force=True)
        print("no error")
    except StoreError as error:
        print(error)
"""


def test_a_disk_that_fills_up_leaves_what_was_there(bench: Path, tmp_path: Path) -> None:
    """A limit on the size of files stands for the full disk: every write past it fails."""
    names = ("a.jsonl", "a.parquet", "a.eval", "a.json")
    for name in names:
        (tmp_path / name).write_text("old")
    done = subprocess.run(
        [sys.executable, "-c", FULL, str(bench), str(tmp_path)],
        preexec_fn=_limit_files,
        capture_output=True,
        text=True,
        timeout=120,
    )
    said = done.stdout.splitlines()
    assert len(said) == 4, done.stderr
    assert all("cannot be written: " in line and "see that the disk has room" in line for line in said), said
    assert {path.name: path.read_text() for path in tmp_path.iterdir()} == dict.fromkeys(names, "old")


def test_a_stop_in_the_middle_leaves_nothing(bench: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made = os.fsync

    def stop(descriptor: int) -> None:
        made(descriptor)
        raise KeyboardInterrupt

    monkeypatch.setattr(os, "fsync", stop)
    for format, name in FORMATS.items():
        with pytest.raises(KeyboardInterrupt):
            export(open_run(bench), tmp_path / name, format="inspect" if format == "json" else format)
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_may_not_be_written_is_told(bench: Path, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(StoreError, match=r"cannot be written: .*name another file with --out"):
        export(open_run(bench), tmp_path / "file" / "out.jsonl", format="jsonl")


MISSING = """
import sys
sys.modules[sys.argv[1]] = None
from agentrl.cli.main import main
sys.exit(main(["export", sys.argv[2], "--format", sys.argv[3], "--out", sys.argv[4]]))
"""


@pytest.mark.parametrize(
    ("library", "format", "name"), [("pyarrow", "parquet", "a"), ("inspect_ai", "inspect", "a.eval")]
)
def test_a_missing_library_is_told(bench: Path, tmp_path: Path, library: str, format: str, name: str) -> None:
    done = subprocess.run(
        [sys.executable, "-c", MISSING, library, str(bench), format, str(tmp_path / name)],
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == 2
    assert "type: pip install 'agentrl-gym[export]'" in done.stderr
    assert "Traceback" not in done.stderr
    assert list(tmp_path.iterdir()) == []


def test_totals_are_what_the_summary_says(bench: Path) -> None:
    totals = Totals()
    episodes = _stored(bench)
    changed = [replace(each, reward=(index * 7 % 5) / 4) for index, each in enumerate(episodes)]
    for each in changed:
        totals.add(each)
    whole = summarize(changed)[-1]
    assert whole.reward is not None
    assert totals.metrics("reward")["mean"] == pytest.approx(whole.reward.value)
    assert totals.metrics("success")["accuracy"] == 1.0
    by_task: dict[tuple[str, int], list[float]] = {}
    for each in changed:
        if each.failure is None:
            by_task.setdefault((each.job.env_id, each.job.seed), []).append(each.reward)
    means = [sum(task) / len(task) for task in by_task.values()]
    center = sum(means) / len(means)
    stderr = math.sqrt(sum((mean - center) ** 2 for mean in means) / (len(means) - 1) / len(means))
    assert totals.metrics("reward")["stderr"] == pytest.approx(stderr)
    assert (totals.num_tasks, totals.num_epochs, totals.num_failures) == (6, 2, 1)
