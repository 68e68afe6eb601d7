"""The watch: takes the episodes of each step, raises alerts, and can be put down and taken up again.

Everything it says is a function of the figures of the steps (`Signals`), so its state is these figures: a resumed run
takes them in again and stands where it stood, and a stored run gives the alerts that it gave live.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from agentrl.trainer.types import Episode
from agentrl.trainer.watch.alerts import Alert, examples_of
from agentrl.trainer.watch.config import WatchConfig
from agentrl.trainer.watch.divergence import Divergence
from agentrl.trainer.watch.fingerprints import Fingerprints
from agentrl.trainer.watch.sentences import changes, words_of_finding, words_of_shown
from agentrl.trainer.watch.signals import Signals, signals_of
from agentrl.trainer.watch.texts import Phrasebook, shingles, turns_of
from agentrl.trainer.watch.unmistakable import Unmistakable

__all__ = ["Watch"]

_NO_FINGERPRINTS = Fingerprints()


class Watch:
    """Watches a run.

    Args:
        config: Of the watch.
        fingerprints: Known cheats of each environment, by its id.
    """

    def __init__(self, config: WatchConfig, fingerprints: Mapping[str, Fingerprints] | None = None) -> None:
        self._config = config
        self._fingerprints = dict(fingerprints or {})
        self._tracks: dict[str, _Track] = {}
        self.alerts: list[Alert] = []  # all until now
        self.num_steps = 0  # taken in

    def note(self, step: int, episodes: Sequence[Episode]) -> list[Alert]:
        """Take the episodes of a step: a fair sample of the tasks, failed ones included; return what is new."""
        new: list[Alert] = []
        for env_id in dict.fromkeys(episode.env_id for episode in episodes):
            played = [episode for episode in episodes if episode.env_id == env_id]
            new += self._track(env_id).note(step, played)
        self.alerts += new
        self.num_steps += 1
        return new

    def metrics(self) -> dict[str, float]:
        """Return the figures of the newest step, averaged over environments; the evidence is that of the strongest."""
        newest = [track.history[-1] for track in self._tracks.values() if track.history]
        step = max((each.step for each in newest), default=0)
        newest = [each for each in newest if each.step == step]
        found: dict[str, float] = {}
        read: dict[str, list[float | None]] = {
            "reward_without_success": [each.reward_unsolved for each in newest],
            "reward_with_success": [each.reward_solved for each in newest],
            "association": [each.association for each in newest],
            "distinct": [each.distinct for each in newest],
            "overlap": [each.overlap for each in newest],
            "common_turn": [each.common_turn for each in newest],
            "phrase_share": [each.phrase_share for each in newest],
            "tool_share": [each.tool_share for each in newest],
            "toolless": [each.toolless for each in newest],
            "tamper": [each.tamper for each in newest],
        }
        for name, values in read.items():
            told = [value for value in values if value is not None]
            if told:
                found[f"watch/{name}"] = sum(told) / len(told)
        if newest:
            found["watch/evidence"] = max(track.divergence.statistic for track in self._tracks.values())
            found["watch/num_alerts"] = float(len(self.alerts))
        return found

    @property
    def speechless(self) -> list[str]:
        """The environments that have told no success so far, so that there is nothing to compare the reward with."""
        return [
            env_id
            for env_id, track in self._tracks.items()
            if track.history and all(each.success is None for each in track.history)
        ]

    def state(self) -> dict[str, Any]:
        """Return it as plain data, for a checkpoint."""
        return {
            "tracks": {env_id: track.state() for env_id, track in self._tracks.items()},
            "alerts": [alert.as_dict() for alert in self.alerts],
            "num_steps": self.num_steps,
        }

    def restore(self, state: Mapping[str, Any]) -> None:
        """Take up a state; an empty one is that of a run that was not watched until now."""
        for env_id, told in state.get("tracks", {}).items():
            self._track(env_id).restore(told)
        self.alerts = [Alert.restore(each) for each in state.get("alerts", [])]
        self.num_steps = int(state.get("num_steps", 0))

    def _track(self, env_id: str) -> _Track:
        if env_id not in self._tracks:
            known = self._fingerprints.get(env_id, _NO_FINGERPRINTS)
            self._tracks[env_id] = _Track(env_id, self._config, known)
        return self._tracks[env_id]


class _Track:
    """One environment's part of the watch."""

    def __init__(self, env_id: str, config: WatchConfig, fingerprints: Fingerprints) -> None:
        self._env_id, self._fingerprints = env_id, fingerprints
        # Half of the chance of a false alert for the divergence, half for the rest.
        self._threshold = math.log(2 / config.chance)
        self._phrases = Phrasebook()
        self.history: list[Signals] = []
        self.divergence = Divergence(tolerance=config.shaping)
        self._unmistakable = Unmistakable(fingerprints.names)

    def note(self, step: int, episodes: Sequence[Episode]) -> list[Alert]:
        signals = signals_of(step, episodes, phrases=self._phrases, match=self._fingerprints.match)
        return [] if signals is None else self._advance(signals, episodes)

    def state(self) -> dict[str, Any]:
        return {"history": [each.as_dict() for each in self.history], "phrases": self._phrases.state()}

    def restore(self, state: Mapping[str, Any]) -> None:
        for values in state["history"]:
            self._advance(Signals.restore(values), None)
        self._phrases = Phrasebook.restore(state["phrases"])

    def _advance(self, signals: Signals, episodes: Sequence[Episode] | None) -> list[Alert]:
        """Take a step's figures; without episodes what is found has been said already."""
        before = self.history[-1] if self.history else None
        levels = {each.level for each in (before, signals) if each is not None and each.level is not None}
        if len(levels) > 1:  # other tasks, other rewards
            self.divergence.forget()
            self._unmistakable.forget()
        self.history.append(signals)
        finding = self.divergence.note(signals, self._threshold)
        shown = self._unmistakable.note(signals, self._threshold)
        alerts: list[Alert] = []
        if finding is not None:
            if episodes is not None:
                words = words_of_finding(finding, self.divergence.weights, self.history)
                alerts.append(
                    Alert(
                        step=signals.step,
                        began=self.history[finding.start].step,
                        env_id=self._env_id,
                        kind="divergence",
                        component=words.component,
                        sentence=words.sentence,
                        log_e=finding.log_e,
                        figures=finding.figures,
                        also=changes(self.history, finding.start),
                        examples=examples_of(episodes),
                    )
                )
            self.divergence.forget()
        if shown is not None:
            if episodes is not None:
                alerts.append(
                    Alert(
                        step=signals.step,
                        began=self.history[shown.start].step,
                        env_id=self._env_id,
                        kind=shown.kind,
                        component=shown.name,
                        sentence=words_of_shown(shown, signals),
                        log_e=shown.log_e,
                        figures={"before": shown.before, "after": shown.after},
                        also=changes(self.history, shown.start),
                        examples=examples_of(episodes, first=self._first(shown.kind, shown.name)),
                    )
                )
            self._unmistakable.forget()
        return alerts

    def _first(self, kind: str, name: str) -> Any:
        if kind == "tamper":
            return lambda episode: float(episode.rewards.get("tamper", 0.0))
        if kind == "known_cheat":
            return lambda episode: float(self._fingerprints.match(shingles(turns_of(episode))) == name)
        return lambda episode: 0.0
