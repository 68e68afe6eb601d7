"""Metrics: figures worked by hand, and a log that survives kills and full disks."""

from __future__ import annotations

import json
import math
import resource
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from agentrl.trainer.errors import ConfigError, RunFolderError
from agentrl.trainer.metrics import MetricsLog, drop_metrics, episode_metrics, read_metrics
from agentrl.trainer.types import Episode
from tests.trainer.episodes import blank_episode


def episode(num_sampled: int = 2, num_given: int = 3, **changes: Any) -> Episode:
    plain: dict[str, Any] = {
        "token_ids": [1] * (num_sampled + num_given),
        "mask": [False] * num_given + [True] * num_sampled,
        "logprobs": [0.0] * (num_sampled + num_given),
    }
    return blank_episode(**plain | changes)


FAILED = {"kind": "timeout", "boundary": "environment", "message": "…"}


def test_rewards_worked_by_hand() -> None:
    # group 0: 1, 0; group 1: 1, 1 (no spread); group 2: one left after a failure, so no spread to learn from
    batch = [
        episode(group=0, reward=1.0, rewards={"exact": 1.0, "f1": 1.0}, success=True),
        episode(group=0, reward=0.0, rewards={"exact": 0.0, "f1": 0.5}, success=False),
        episode(group=1, reward=1.0, rewards={"exact": 1.0}, success=True),
        episode(group=1, reward=1.0, rewards={"exact": 1.0}, success=True),
        episode(group=2, reward=0.5, rewards={"exact": 0.0}, success=False),
        episode(group=2, reward=9.0, rewards={"exact": 9.0}, success=True, failure=FAILED),
    ]
    metrics = episode_metrics(batch)
    # mean (1 + 0 + 1 + 1 + 0.5) / 5; squares around it 0.09 + 0.49 + 0.09 + 0.09 + 0.04 = 0.8, over n - 1 = 4
    assert metrics["reward"] == pytest.approx(0.7)
    assert metrics["reward_std"] == pytest.approx(math.sqrt(0.2))
    assert metrics["frac_reward_zero_std"] == pytest.approx(2 / 3)
    assert metrics["rewards/exact/mean"] == pytest.approx(0.6)
    assert metrics["rewards/exact/std"] == pytest.approx(math.sqrt((3 * 0.16 + 2 * 0.36) / 4))
    assert metrics["rewards/f1/mean"] == pytest.approx(0.75)  # over the two that have it, as TRL's nanmean
    assert metrics["rewards/f1/std"] == pytest.approx(math.sqrt(0.125))
    assert metrics["success"] == pytest.approx(0.6)
    assert metrics["failures/timeout"] == 1.0


def test_groups_of_different_steps_are_different_groups() -> None:
    batch = [episode(step=step, reward=float(step)) for step in (1, 1, 2, 2)]
    assert episode_metrics(batch)["frac_reward_zero_std"] == 1.0


def test_lengths_worked_by_hand() -> None:
    batch = [
        episode(num_sampled=10, num_given=5),
        episode(num_sampled=20, num_given=5, truncated_by="turns"),  # its last turn ended by itself
        episode(num_sampled=60, num_given=5, truncated_by="length"),
        episode(num_sampled=30, num_given=5, truncated_by="context"),
        episode(num_sampled=7, num_given=5, failure=FAILED),
    ]
    metrics = episode_metrics(batch)
    assert metrics["completions/mean_length"] == 30.0  # sampled tokens alone
    assert (metrics["completions/min_length"], metrics["completions/max_length"]) == (10.0, 60.0)
    assert metrics["completions/clipped_ratio"] == 0.5
    assert metrics["completions/mean_terminated_length"] == 15.0
    assert metrics["completions/max_terminated_length"] == 20.0
    assert metrics["num_tokens"] == 127 + 25  # everything the model read or wrote, the failed one too


def test_an_episode_cut_short_counts_as_unsolved_where_the_environment_tells_success() -> None:
    cut = episode(success=None, truncated_by="context")
    assert episode_metrics([episode(success=True), cut])["success"] == 0.5
    assert episode_metrics([cut, cut])["success"] == 0.0
    assert "success" not in episode_metrics([episode(success=None), cut])
    assert "success" not in episode_metrics([])


def test_tools_are_counted_from_the_replies() -> None:
    def said(role: str, content: str = "") -> dict[str, str]:
        return {"role": role, "content": content}

    three = [
        said("system", "Error is a word"),
        said("user", "Error? Not a reply: the model has not spoken yet."),
        said("assistant", "call"),
        said("tool", "found"),
        said("tool", "Error: no such document"),
        said("assistant", "malformed call"),
        said("user", "Error: the call is not JSON"),
        said("assistant", "asks"),
        said("user", "a user's answer is no tool call"),
    ]
    none = [said("user", "question"), said("assistant", "answer")]
    metrics = episode_metrics([episode(messages=three, num_turns=3), episode(messages=none)])
    assert metrics["tools/call_frequency"] == 1.5
    assert metrics["tools/failure_frequency"] == pytest.approx(2 / 3)
    assert metrics["episodes/turns_mean"] == 2.0
    assert episode_metrics([episode(messages=none)])["tools/failure_frequency"] == 0.0
    assert "tools/call_frequency" not in episode_metrics([episode()])


def test_staleness_is_the_distance_to_the_trainers_version() -> None:
    metrics = episode_metrics([episode(versions=[5, 4]), episode(versions=[5])], version=5)
    assert metrics["staleness/mean"] == pytest.approx(1 / 3)
    assert metrics["staleness/max"] == 1.0
    assert "staleness/mean" not in episode_metrics([episode(versions=[5])])


def test_what_has_no_value_is_left_out() -> None:
    assert episode_metrics([]) == {"num_tokens": 0.0}
    only_failed = episode_metrics([episode(failure=FAILED), episode(failure={"boundary": "judge"})])
    assert only_failed == {"num_tokens": 10.0, "failures/timeout": 1.0, "failures/unknown": 1.0}
    assert "reward_std" not in episode_metrics([episode()])


def test_dropped_episodes_and_tokens_are_counted_by_reason() -> None:
    dropped = [("overlong", episode(num_sampled=4)), ("overlong", episode(num_sampled=6)), ("failed", episode())]
    assert drop_metrics(dropped) == {
        "dropped/failed/episodes": 1.0,
        "dropped/failed/tokens": 2.0,
        "dropped/overlong/episodes": 2.0,
        "dropped/overlong/tokens": 10.0,
    }
    assert drop_metrics([]) == {}


def test_names_are_those_of_trl() -> None:
    """TRL's source holds every name that we take from it."""
    import trl

    source = (Path(trl.__file__).parent / "trainer" / "grpo_trainer.py").read_text()
    ours = set(
        episode_metrics([episode(rewards={"f1": 1.0}, messages=[{"role": "assistant"}], success=True), episode()])
    )
    ours -= {"success", "episodes/turns_mean", "conversations/mean"}
    for name in ours:
        generic = name.replace("/f1/", "/{reward_func_name}/")
        assert f'"{generic}"' in source, name


def test_one_line_a_step(tmp_path: Path) -> None:
    with MetricsLog(tmp_path / "metrics.jsonl") as log:
        log.write(1, {"reward": 0.5, "kl": math.nan, "entropy": math.inf})
        log.write(2, {"reward": 1})
        with pytest.raises(ValueError, match=r"step 2 comes after step 2 in metrics\.jsonl; merge"):
            log.write(2, {"reward": 1.0})
    assert (tmp_path / "metrics.jsonl").read_text() == (
        '{"step": 1, "reward": 0.5, "kl": null, "entropy": null}\n{"step": 2, "reward": 1.0}\n'
    )
    log.close()  # twice is allowed


def test_a_line_torn_by_a_kill_is_repaired(tmp_path: Path) -> None:
    path = tmp_path / "metrics.jsonl"
    whole, last = b'{"step": 1, "reward": 0.5}\n', b'{"step": 2, "reward": 0.25}\n'
    for cut in range(len(last)):
        path.write_bytes(whole + last[:cut])
        assert read_metrics(path) == [{"step": 1, "reward": 0.5}]
        with MetricsLog(path) as log:
            assert log.last_step == 1
            log.write(2, {"reward": 0.25})
        assert path.read_bytes() == whole + last


def test_truncate_after_removes_later_steps(tmp_path: Path) -> None:
    path = tmp_path / "metrics.jsonl"
    with MetricsLog(path) as log:
        for step in (1, 2, 3, 5):
            log.write(step, {"reward": step / 10})
        assert log.truncate_after(2) == 2
        log.write(3, {"reward": 9.0})
        assert [row["reward"] for row in read_metrics(path)] == [0.1, 0.2, 9.0]
        assert log.truncate_after(0) == 3
        log.write(1, {})
    assert path.read_text() == '{"step": 1}\n'


@pytest.mark.parametrize("bad", ["{]", "[1]", '{"reward": 1}', '{"step": "1"}', '{"step": 1}'])
def test_a_damaged_line_is_named(bad: str, tmp_path: Path) -> None:
    path = tmp_path / "metrics.jsonl"
    path.write_text('{"step": 1}\n' + bad + "\n")
    with pytest.raises(RunFolderError, match=r"metrics\.jsonl, line 2: not an object"):
        read_metrics(path)
    with pytest.raises(RunFolderError, match="line 2"):
        MetricsLog(path)


def test_a_folder_that_is_no_run_is_refused(tmp_path: Path) -> None:
    with pytest.raises(RunFolderError, match="No such file or directory; give the folder that `agentrl train` wrote"):
        read_metrics(tmp_path / "metrics.jsonl")
    with pytest.raises(RunFolderError, match="could not be written: No such file"):
        MetricsLog(tmp_path / "absent" / "metrics.jsonl")


def test_a_full_disk_leaves_whole_lines(tmp_path: Path) -> None:
    path = tmp_path / "metrics.jsonl"
    code = """
import sys
from agentrl.trainer.metrics import MetricsLog
log = MetricsLog(sys.argv[1])
for step in range(1, 100):
    log.write(step, {"reward": 0.123456789})
"""
    done = subprocess.run(
        [sys.executable, "-c", code, str(path)],
        capture_output=True,
        text=True,
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000)),
        check=False,
    )
    assert done.returncode == 1
    message = done.stderr.splitlines()[-1]
    assert "RunFolderError" in message
    assert message.endswith(f"free some space or mend the folder, then go on with: agentrl train --resume {tmp_path}")
    rows = [json.loads(line) for line in path.read_text().splitlines()]
    assert [row["step"] for row in rows] == list(range(1, len(rows) + 1))
    assert len(rows) > 10
    assert path.read_text().endswith("}\n")


def test_tensorboard_shows_what_a_resumed_run_kept(tmp_path: Path) -> None:
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    path = tmp_path / "metrics.jsonl"
    with MetricsLog(path, tensorboard=True) as log:
        for step in (1, 2, 3):
            log.write(step, {"reward": step / 4, "kl": math.nan})
    with MetricsLog(path, tensorboard=True) as log:
        log.truncate_after(1)
        log.write(2, {"reward": 8.0})
    events = EventAccumulator(str(tmp_path / "tensorboard"))
    events.Reload()
    assert events.Tags()["scalars"] == ["reward"]
    assert [(event.step, event.value) for event in events.Scalars("reward")] == [(1, 0.25), (2, 8.0)]


def test_missing_tensorboard_names_the_command(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in sys.modules if name.split(".")[0] == "tensorboard"]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "tensorboard", None)
    with pytest.raises(ConfigError, match=r"type: pip install 'agentrl-gym\[tensorboard\]'"):
        MetricsLog(tmp_path / "metrics.jsonl", tensorboard=True)
    assert not (tmp_path / "metrics.jsonl").exists()
