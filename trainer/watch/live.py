"""The watch while a run trains: its alerts are shown and kept, and what `watch.on_alert` says is done.

`alerts.jsonl` is always written whole from what the watch knows, so that after a resume it holds what an unbroken run
would have written. An alert is heeded once: that it was is part of the state, and saved before the run ends.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Sequence
from typing import Any, Final

from agentrl.trainer.checkpoint import checkpoint_steps, drop_checkpoints_after
from agentrl.trainer.config import TrainConfig
from agentrl.trainer.progress import Progress
from agentrl.trainer.rundir import RunDir
from agentrl.trainer.transcripts import visible
from agentrl.trainer.types import Episode
from agentrl.trainer.watch.alerts import ALERTS, Alert, lines_of_alerts
from agentrl.trainer.watch.fingerprints import NO_CHEATS
from agentrl.trainer.watch.stored import kept_fingerprints
from agentrl.trainer.watch.watch import Watch

__all__ = ["ROLLBACKS", "Halted", "LiveWatch"]

ROLLBACKS: Final = "rollbacks.jsonl"
"""The file in a run's folder that keeps the alerts whose steps were dropped."""


class Halted(Exception):
    """The watch has ended the run; the message says why and how to go on.

    Args:
        message: For the user.
        status: For the shell: 3 where the run pauses, 4 where it was rolled back.
    """

    def __init__(self, message: str, status: int) -> None:
        super().__init__(message)
        self.status = status


class LiveWatch:
    """The watch of a run in progress.

    Args:
        config: Of the run.
        run_dir: Takes the alerts.
        progress: Shows them.
        state: Of the checkpoint that the run goes on from; empty at the start.
    """

    def __init__(self, config: TrainConfig, run_dir: RunDir, progress: Progress, state: dict[str, Any]) -> None:
        self._config, self._dir, self._progress = config, run_dir, progress
        self._watch: Watch | None = None
        self._unheeded = int(state.get("unheeded", 0))
        if config.watch.is_on:
            known = kept_fingerprints(run_dir, config)
            for env_id, each in known.items():
                if each.note not in ("", NO_CHEATS) and not state:
                    words = f"the cheats of {env_id} could not be played, and are not looked for: {each.note}"
                    progress.note(visible(words))
            self._watch = Watch(config.watch, known)
            self._watch.restore(state)
            self._written = -1
            self.write()

    @property
    def alerts(self) -> list[Alert]:
        """All alerts until now."""
        return self._watch.alerts if self._watch is not None else []

    def note(self, step: int, episodes: Sequence[Episode]) -> dict[str, float]:
        """Take the fresh episodes of a step; return its metrics."""
        if self._watch is None:
            return {}
        start = time.perf_counter()
        new = self._watch.note(step, episodes)
        seconds = time.perf_counter() - start
        self._unheeded += len(new)
        if self._watch.num_steps == 1:
            for env_id in self._watch.speechless:
                self._progress.note(
                    visible(
                        f"{env_id} tells no success, so the watch has nothing to compare its reward with; only touched "
                        "traps, known cheats and a collapse of all answers are looked for"
                    )
                )
        for alert in new:
            self._progress.note(visible(_line(alert)))
        return self._watch.metrics() | {"perf/watch_s": seconds}

    def write(self) -> None:
        """Bring `alerts.jsonl` up to date.

        Raises:
            RunFolderError: It cannot be written.
        """
        if self._watch is not None and self._written != len(self.alerts):
            if self.alerts or (self._dir.path / ALERTS).exists():
                self._dir.write_text(ALERTS, lines_of_alerts(self.alerts))
            self._written = len(self.alerts)

    def heed(self, *, save: Callable[[], None], drop_after: Callable[[int], None]) -> bool:
        """Do what `watch.on_alert` says about alerts that were not heeded yet; return whether training ends here.

        Args:
            save: Writes a checkpoint of the step done last.
            drop_after: Removes episodes and metrics of the steps after one.

        Raises:
            Halted: The run pauses, or was rolled back.
        """
        how = self._config.watch.on_alert
        if how == "stop":
            return bool(self.alerts)
        if not self._unheeded or self._watch is None:
            return False
        new, self._unheeded = self.alerts[-self._unheeded :], 0
        if how == "pause":
            save()
            raise Halted(
                visible(
                    f"paused by the watch after step {new[-1].step}, which is kept: {_line(new[-1])} Its episodes are "
                    f"in {self._dir.path / ALERTS}. Go on with: agentrl train --resume {self._dir.path}"
                ),
                status=3,
            )
        if how == "rollback":
            self._roll_back(min(new, key=lambda alert: alert.began), drop_after)
        return False

    def state(self) -> dict[str, Any]:
        """Return it as plain data, for a checkpoint."""
        return {} if self._watch is None else {**self._watch.state(), "unheeded": self._unheeded}

    def summary(self) -> dict[str, Any]:
        """Return what the run's summary says of it."""
        if self._watch is None:
            return {}
        told: dict[str, Any] = {"num_alerts": len(self.alerts)}
        if self._config.watch.on_alert == "stop" and self.alerts:
            told["stopped_by_alert"] = _line(self.alerts[-1])
        return told

    def _roll_back(self, alert: Alert, drop_after: Callable[[int], None]) -> None:
        kept = checkpoint_steps(self._dir.checkpoints)
        before = [step for step in kept if step < alert.began]
        first = self._config.checkpoint.every
        if before:
            target, which = before[-1], "the newest checkpoint before it began"
        elif not kept or kept[0] <= first:  # none was dropped: there is nothing older than the start
            target, which = 0, "the start, since it began before the first checkpoint"
        else:
            target = kept[0]
            which = (
                f"the oldest checkpoint that is kept, which is not before it began: checkpoint.keep is "
                f"{self._config.checkpoint.keep}"
            )
        path = self._dir.path / ROLLBACKS
        told = path.read_text(encoding="utf-8") if path.exists() else ""
        row = {"from_step": alert.step, "to_step": target, "alert": alert.as_dict()}
        self._dir.write_text(ROLLBACKS, told + json.dumps(row) + "\n")
        drop_checkpoints_after(self._dir.checkpoints, target)
        drop_after(target)
        if self._watch is not None:
            self._watch.alerts = [each for each in self.alerts if each.step <= target]
        self.write()
        raise Halted(
            visible(
                f"rolled back by the watch from step {alert.step} to step {target}, {which}: {_line(alert)} "
                f"{_advice(alert)}, then go on with: agentrl train --resume {self._dir.path} (the alert and its "
                f"episodes are in {path})"
            ),
            status=4,
        )


def _line(alert: Alert) -> str:
    what = f" ({alert.component})" if alert.component else ""
    also = f" Also: {'; '.join(alert.also)}." if alert.also else ""
    return f"ALERT at step {alert.step}: {alert.kind}{what} in {alert.env_id}: {alert.sentence}{also}"


def _advice(alert: Alert) -> str:
    if alert.kind == "divergence":
        which = "the reward" if alert.component == "reward" else f"the component {alert.component!r}"
        return f"Mend {which}, so that it is not paid without success"
    if alert.kind == "known_cheat":
        return f"Mend what pays the cheat {alert.component!r}"
    return "Mend what pays these episodes"
