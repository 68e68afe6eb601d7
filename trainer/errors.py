"""Errors of the trainer: every message says what was wrong, the value received, and what to do or type next.

    TrainerError
    ├── ConfigError      (ValueError)  a recipe or option that cannot be right
    ├── RunFolderError                 the run folder: exists, unwritable, disk full, damaged
    ├── TemplateError    (ValueError)  a chat template that cannot be trained with
    ├── EngineError                    generation failed
    │   └── PartLost                   on one part of an engine, which goes on without it
    ├── ParityError                    engine and trainer disagree on log-probabilities
    ├── RankError                      another rank of the same run failed, was killed or cannot be reached
    └── WorkersError                   the processes that hold the environments cannot be had, or are lost

A bad rollout is data, not one of these: it is recorded in `Episode.failure` and counted.
"""

from __future__ import annotations

__all__ = [
    "ConfigError",
    "EngineError",
    "ParityError",
    "PartLost",
    "RankError",
    "RunFolderError",
    "TemplateError",
    "TrainerError",
    "WorkersError",
]


class TrainerError(Exception):
    """Anything that stops training; the root of this tree."""


class ConfigError(TrainerError, ValueError):
    """A recipe, key or value that cannot be right, or that the chosen algorithm would ignore."""


class RunFolderError(TrainerError):
    """The run folder cannot be used: it exists already, cannot be written, is full, or is not a run."""


class TemplateError(TrainerError, ValueError):
    """A chat template that is missing, or that is not append-only, so sampled tokens could not be kept as sampled."""


class EngineError(TrainerError):
    """The engine could not generate; an infrastructure failure, never a reward of 0."""


class PartLost(EngineError):
    """One part of an engine is left out, such as one server of several; the engine goes on without it."""


class ParityError(TrainerError):
    """Engine and trainer log-probabilities differ by more than the bound after a weight update."""


class RankError(TrainerError):
    """Another rank of the same run failed, was killed, or cannot be reached; says which and why."""


class WorkersError(TrainerError):
    """The worker processes that hold the environments cannot be had in time, or are all lost."""
