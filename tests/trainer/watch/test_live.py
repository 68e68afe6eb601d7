"""The watch in a run that hacks its reward for real: what is said, and what each `watch.on_alert` does."""

from __future__ import annotations

import dataclasses
import io
import json
import sys
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console
from transformers import AutoModelForCausalLM

from agentrl.cli import train as train_command
from agentrl.trainer.checkpoint import checkpoint_steps, latest_checkpoint
from agentrl.trainer.coldstart import weights_hash
from agentrl.trainer.config import CheckpointConfig, EvalConfig, OptimConfig, TrainConfig, to_toml
from agentrl.trainer.loop import train
from agentrl.trainer.metrics import read_metrics
from agentrl.trainer.progress import Progress
from agentrl.trainer.rollout import RolloutConfig
from agentrl.trainer.rundir import RunDir
from agentrl.trainer.store import RolloutStore
from agentrl.trainer.watch import WatchConfig, read_alerts, watch_stored
from agentrl.trainer.watch.live import ROLLBACKS, Halted
from tests.trainer.watch.hacks import ENV, MODULE, SOURCE

NUM_STEPS = 20


@pytest.fixture(scope="module")
def toy(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Make the environment importable."""
    folder = tmp_path_factory.mktemp("hacked")
    (folder / f"{MODULE}.py").write_text(SOURCE)
    sys.path.insert(0, str(folder))
    yield
    sys.path.remove(str(folder))


@pytest.fixture(scope="module")
def base(toy: None, model_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> TrainConfig:
    return TrainConfig(
        env=ENV,
        model=str(model_folder),
        out=str(tmp_path_factory.mktemp("runs")),
        threads=1,
        num_steps=NUM_STEPS,
        groups_per_step=4,
        optim=OptimConfig(lr=1e-2),
        rollout=RolloutConfig(concurrency=32, max_turn_tokens=8),
        eval=EvalConfig(num_episodes=0),
        checkpoint=CheckpointConfig(every=5, keep=7),
    )


def start(config: TrainConfig, name: str) -> RunDir:
    run_dir = RunDir.create(Path(config.out), name, default="x")
    run_dir.write_text("config.toml", to_toml(config))
    return run_dir


def watched(config: TrainConfig, how: str) -> TrainConfig:
    return dataclasses.replace(config, watch=WatchConfig(on_alert=how))


@pytest.fixture(scope="module")
def unbroken(base: TrainConfig) -> tuple[RunDir, str]:
    """A run that is only warned, with what it showed."""
    shown = io.StringIO()
    run_dir = start(base, "unbroken")
    train(base, run_dir=run_dir, progress=Progress(console=Console(file=shown, width=4000)))
    return run_dir, shown.getvalue()


def outcome(run_dir: RunDir) -> tuple[str, list[dict[str, Any]], list[dict[str, Any]], list[dict[str, Any]]]:
    """Weights, metrics, episodes and alerts, but for what a clock told."""
    newest = latest_checkpoint(run_dir.checkpoints)
    assert newest is not None
    rows = read_metrics(run_dir.path / "metrics.jsonl")
    with RolloutStore(run_dir.path / "rollouts.sqlite", read_only=True) as store:
        episodes = [asdict(episode) | {"timings": None} for episode in store.episodes()]
    return (
        weights_hash(AutoModelForCausalLM.from_pretrained(newest)),
        [{name: value for name, value in row.items() if not name.startswith("perf/")} for row in rows],
        episodes,
        [alert.as_dict() for alert in read_alerts(run_dir.path)],
    )


def test_the_alert_says_what_was_hacked(unbroken: tuple[RunDir, str]) -> None:
    run_dir, shown = unbroken
    (alert,) = read_alerts(run_dir.path)
    assert (alert.kind, alert.component, alert.env_id) == ("divergence", "letters", ENV)
    assert 1 < alert.began < alert.step <= alert.began + 20
    assert alert.figures["reward_after"] > alert.figures["reward_before"] + 0.3
    assert alert.figures["success_after"] < alert.figures["success_before"] + 0.05
    assert f"ALERT at step {alert.step}: divergence (letters)" in shown
    assert alert.sentence in shown
    with RolloutStore(run_dir.path / "rollouts.sqlite", read_only=True) as store:
        episodes = {(each.step, each.group, each.member): each for each in store.episodes(step=alert.step)}
    best = max(each.reward for each in episodes.values() if not each.success)
    assert len(alert.examples) == 3
    assert alert.examples[0].reward == best
    for each in alert.examples:
        stored = episodes[each.step, each.group, each.member]
        assert not stored.success
        assert stored.reward == each.reward
        assert each.text == stored.messages[-1]["content"]
    rows = read_metrics(run_dir.path / "metrics.jsonl")
    assert [row["watch/num_alerts"] for row in rows] == [float(row["step"] >= alert.step) for row in rows]
    assert rows[-1]["watch/reward_without_success"] > 1.5 > 0.8 > rows[0]["watch/reward_without_success"]


def test_a_stored_run_gives_the_same_alerts(base: TrainConfig, unbroken: tuple[RunDir, str]) -> None:
    run_dir, _ = unbroken
    assert watch_stored(run_dir.path, base).alerts == read_alerts(run_dir.path)


class Killed(Exception):
    """Stands for a kill."""


class Killer(Progress):
    """Progress that ends the run after a step."""

    def __init__(self, step: int) -> None:
        super().__init__(console=Console(file=io.StringIO()))
        self.at = step

    def update(self, metrics: Any, step: int, total: int) -> None:
        if step == self.at:
            raise Killed


def test_a_killed_run_resumes_to_the_same_alerts(base: TrainConfig, unbroken: tuple[RunDir, str]) -> None:
    run_dir, alert = start(base, "killed"), read_alerts(unbroken[0].path)[0]
    with pytest.raises(Killed):  # the alert is on disk, the newest checkpoint is older
        train(base, run_dir=run_dir, progress=Killer(alert.step))
    assert read_alerts(run_dir.path) == [alert]
    train(base, run_dir=run_dir)
    assert outcome(run_dir) == outcome(unbroken[0])


def test_a_paused_run_goes_on_and_does_not_pause_again(
    base: TrainConfig, unbroken: tuple[RunDir, str], capsys: pytest.CaptureFixture[str]
) -> None:
    config, alert = watched(base, "pause"), read_alerts(unbroken[0].path)[0]
    run_dir = start(config, "paused")
    with pytest.raises(Halted, match=rf"paused by the watch after step {alert.step}.*--resume .*paused") as halted:
        train(config, run_dir=run_dir)
    assert halted.value.status == 3
    assert checkpoint_steps(run_dir.checkpoints)[-1] == alert.step
    assert train_command.run(["--resume", str(run_dir.path)]) == 0
    assert outcome(run_dir) == outcome(unbroken[0])
    assert f"{NUM_STEPS} steps" in capsys.readouterr().out


def test_the_command_ends_with_the_status_of_a_pause(
    base: TrainConfig, unbroken: tuple[RunDir, str], capsys: pytest.CaptureFixture[str]
) -> None:
    alert = read_alerts(unbroken[0].path)[0]
    config = watched(base, "pause")
    run_dir = start(config, "paused-by-command")
    assert train_command.run(["--resume", str(run_dir.path)]) == 3
    assert f"paused by the watch after step {alert.step}" in capsys.readouterr().err


def test_a_stopped_run_ends_as_if_it_were_complete(base: TrainConfig, unbroken: tuple[RunDir, str]) -> None:
    alert = read_alerts(unbroken[0].path)[0]
    config = dataclasses.replace(watched(base, "stop"), eval=EvalConfig(num_episodes=2, greedy=False))
    run_dir = start(config, "stopped")
    summary = train(config, run_dir=run_dir)
    assert summary["num_steps"] == alert.step
    assert summary["num_alerts"] == 1
    assert summary["stopped_by_alert"].startswith(f"ALERT at step {alert.step}: divergence (letters)")
    assert summary["reward_after"] is not None
    assert json.loads((run_dir.path / "summary.json").read_text()) == summary
    again = train(config, run_dir=run_dir)  # it has ended, and a resume finds it so
    assert again == summary


def test_a_rolled_back_run_is_one_that_stopped_there(base: TrainConfig, unbroken: tuple[RunDir, str]) -> None:
    config = dataclasses.replace(watched(base, "rollback"))
    alert = read_alerts(unbroken[0].path)[0]
    target = (alert.began - 1) // 5 * 5
    run_dir = start(config, "rolled-back")
    with pytest.raises(Halted, match=rf"to step {target}, the newest .*Mend the component 'letters'.*") as halted:
        train(config, run_dir=run_dir)
    assert halted.value.status == 4
    assert checkpoint_steps(run_dir.checkpoints)[-1] == target > 0
    assert [row["step"] for row in read_metrics(run_dir.path / "metrics.jsonl")] == list(range(1, target + 1))
    with RolloutStore(run_dir.path / "rollouts.sqlite", read_only=True) as store:
        assert {each.step for each in store.episodes()} == set(range(1, target + 1))
    assert read_alerts(run_dir.path) == []
    (row,) = map(json.loads, (run_dir.path / ROLLBACKS).read_text().splitlines())
    assert (row["from_step"], row["to_step"], row["alert"]) == (alert.step, target, alert.as_dict())
    train(base, run_dir=run_dir)  # unmended, it does what it did
    assert outcome(run_dir) == outcome(unbroken[0])


@pytest.mark.parametrize(
    ("every", "keep", "target", "words"),
    [
        (20, 3, 0, "the start, since it began before the first checkpoint"),
        (1, 3, None, "the oldest checkpoint that is kept, which is not before it began: checkpoint.keep is 3"),
    ],
)
def test_a_rollback_says_how_far_it_reaches(
    base: TrainConfig,
    unbroken: tuple[RunDir, str],
    monkeypatch: pytest.MonkeyPatch,
    every: int,
    keep: int,
    target: int | None,
    words: str,
) -> None:
    monkeypatch.setattr("agentrl.trainer.watch.config.REACH", 0)  # a configuration that would be refused
    config = dataclasses.replace(watched(base, "rollback"), checkpoint=CheckpointConfig(every=every, keep=keep))
    alert = read_alerts(unbroken[0].path)[0]
    run_dir = start(config, f"reach-{every}")
    with pytest.raises(Halted, match=words):
        train(config, run_dir=run_dir)
    wanted = alert.step - keep + 1 if target is None else target
    assert checkpoint_steps(run_dir.checkpoints) == ([wanted] if wanted else [])
    assert len(read_metrics(run_dir.path / "metrics.jsonl")) == wanted


def test_an_environment_without_success_is_said_once(base: TrainConfig) -> None:
    config = dataclasses.replace(base, env_kwargs={"tells": False}, num_steps=2, checkpoint=CheckpointConfig(every=1))
    shown = io.StringIO()
    run_dir = start(config, "speechless")
    train(config, run_dir=run_dir, progress=Progress(console=Console(file=shown, width=400)))
    assert shown.getvalue().count(f"{ENV} tells no success") == 1
    assert watch_stored(run_dir.path, config).speechless == [ENV]


def test_off_is_off(base: TrainConfig) -> None:
    config = dataclasses.replace(watched(base, "off"), num_steps=2)
    run_dir = start(config, "off")
    train(config, run_dir=run_dir)
    assert not any(name.startswith("watch/") for row in read_metrics(run_dir.path / "metrics.jsonl") for name in row)
    assert not {"alerts.jsonl", "cheats.json"} & {path.name for path in run_dir.path.iterdir()}
