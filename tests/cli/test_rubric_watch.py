"""`agentrl rubric watch`: what it prints of a stored run, for people and for machines."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from agentrl.cli import rubric_watch
from agentrl.trainer.config import TrainConfig, to_toml
from agentrl.trainer.errors import RunFolderError
from agentrl.trainer.store import RolloutStore
from agentrl.trainer.types import Episode
from agentrl.trainer.watch.stored import FINGERPRINTS
from tests.trainer.episodes import blank_episode

BEGINS = 12
Paid = Callable[[int, int], float]


def write_run(folder: Path, paid: Paid, *, tells: bool = True, config: TrainConfig | None = None) -> Path:
    """Store a run of 25 steps in which every fourth episode is solved; `paid` says what the others earn."""
    config = config or TrainConfig(groups_per_step=4, group_size=8, env="Toy/Stored-v0")
    folder.mkdir()
    (folder / "config.toml").write_text(to_toml(config))
    (folder / FINGERPRINTS).write_text("{}")
    from agentrl.trainer.groups import Draw

    draw = Draw(seed=0, envs={"Toy/Stored-v0": 1.0}, groups_per_step=4, group_size=8, temperature=1.0)
    with RolloutStore(folder / "rollouts.sqlite") as store:
        for step in range(1, 26):
            episodes: list[Episode] = []
            for task in draw.tasks(step, level=None, places=range(4)):
                solved = (task.group + task.member + step) % 4 == 0
                extra = paid(step, task.member)
                episodes.append(
                    blank_episode(
                        env_id="Toy/Stored-v0",
                        seed=task.seed,
                        step=step,
                        group=task.group,
                        member=task.member,
                        reward=float(solved) + extra,
                        rewards={"right": float(solved), "flattery": extra},
                        success=solved if tells else None,
                        messages=[{"role": "assistant", "content": f"Great question \x1b[31m{task.seed % 7}"}],
                    )
                )
            store.add(episodes)
    return folder


@pytest.fixture
def hacked(tmp_path: Path) -> Path:
    return write_run(tmp_path / "hacked", lambda step, member: 0.8 + member / 100 if step >= BEGINS else 0.01 * member)


def test_a_hacked_run(hacked: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert rubric_watch.run([str(hacked)]) == 1
    out = capsys.readouterr().out
    assert "divergence (flattery) in Toy/Stored-v0" in out
    assert "reward 0.87: Great question \\x1b[31m" in out
    assert "\x1b" not in out
    assert "1 alert in 25 steps" in out


def test_for_machines(hacked: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert rubric_watch.run([str(hacked), "--json"]) == 1
    told = json.loads(capsys.readouterr().out)
    (alert,) = told["alerts"]
    assert (told["num_steps"], told["without_success"]) == (25, [])
    assert alert["component"] == "flattery"
    assert abs(alert["began"] - BEGINS) <= 1
    assert BEGINS <= alert["step"] <= BEGINS + 6
    assert [each["member"] for each in alert["examples"]][:1] == [7]


def test_a_wider_tolerance_lets_it_pass(hacked: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert rubric_watch.run([str(hacked), "--tolerance", "2"]) == 0
    assert "no alert in 25 steps" in capsys.readouterr().out


def test_a_clean_run(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run = write_run(tmp_path / "clean", lambda step, member: 0.01 * member)
    assert rubric_watch.run([str(run)]) == 0
    assert "no alert" in capsys.readouterr().out


def test_a_run_without_success(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run = write_run(tmp_path / "mute", lambda step, member: float(step >= BEGINS), tells=False)
    assert rubric_watch.run([str(run)]) == 0
    assert "Toy/Stored-v0 tells no success" in capsys.readouterr().out


def test_no_run(tmp_path: Path) -> None:
    with pytest.raises(RunFolderError, match="is no run"):
        rubric_watch.run([str(tmp_path / "nothing")])
