"""The watch over a stored run: the same figures, the same tests, the same alerts."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from itertools import groupby
from pathlib import Path
from typing import Any

from agentrl.trainer.config import TrainConfig
from agentrl.trainer.errors import RunFolderError
from agentrl.trainer.groups import Draw
from agentrl.trainer.mixture import weights_of
from agentrl.trainer.rundir import RunDir
from agentrl.trainer.store import RolloutStore
from agentrl.trainer.types import Episode
from agentrl.trainer.watch.fingerprints import Fingerprints, fingerprints_of
from agentrl.trainer.watch.watch import Watch

__all__ = ["FINGERPRINTS", "kept_fingerprints", "load_fingerprints", "watch_stored"]

FINGERPRINTS = "cheats.json"
"""The file in a run's folder that holds what known cheats look like."""


def watch_stored(run: Path, config: TrainConfig) -> Watch:
    """Watch a stored run from its first step to its last; return the watch, which holds the alerts.

    Args:
        run: Folder of the run.
        config: Of the run; its `watch` may differ from the run's.

    Raises:
        RunFolderError: The run has no readable episodes.
    """
    watch = Watch(config.watch, load_fingerprints(Path(run), config))
    with RolloutStore(Path(run) / "rollouts.sqlite", read_only=True) as store:
        for step, played in _steps(store):
            watch.note(step, _fresh(played, step, config))
    return watch


def load_fingerprints(run: Path, config: TrainConfig) -> dict[str, Fingerprints]:
    """Return what known cheats look like: as the run kept it, or else by playing them now.

    Raises:
        RunFolderError: The file is damaged.
    """
    path = Path(run) / FINGERPRINTS
    try:
        kept = json.loads(path.read_text(encoding="utf-8"))
        return {env_id: Fingerprints.restore(each) for env_id, each in kept.items()}
    except FileNotFoundError:
        return {
            env_id: fingerprints_of(env_id, config.env_kwargs, level=config.level) for env_id in weights_of(config.env)
        }
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise RunFolderError(f"{path} cannot be read: {error}; delete it: cheats are then played again") from error


def kept_fingerprints(run_dir: RunDir, config: TrainConfig) -> dict[str, Fingerprints]:
    """Return what known cheats look like, and keep it in the run's folder, so that a resumed run has the same.

    Raises:
        RunFolderError: The file cannot be read or written.
    """
    found = load_fingerprints(run_dir.path, config)
    if not (run_dir.path / FINGERPRINTS).exists():
        plain: Mapping[str, Any] = {env_id: each.as_dict() for env_id, each in found.items()}
        run_dir.write_json(FINGERPRINTS, plain)
    return found


def _steps(store: RolloutStore) -> Iterator[tuple[int, list[Episode]]]:
    for step, played in groupby(store.episodes(phase="train"), key=lambda episode: episode.step):
        yield step, list(played)


def _fresh(played: list[Episode], step: int, config: TrainConfig) -> list[Episode]:
    """Return the episodes of tasks that were drawn for this step: neither replaced ones' successors nor replays."""
    draw = Draw(
        seed=config.seed,
        envs=weights_of(config.env),
        groups_per_step=config.groups_per_step,
        group_size=config.group_size,
        temperature=config.temperature,
    )
    tasks = draw.tasks(step, level=config.level, places=range(config.groups_per_step))
    seeds = {task.group: task.seed for task in tasks}
    return [episode for episode in played if seeds.get(episode.group) == episode.seed]
