"""`agentrl train RECIPE [options]` and `agentrl train --resume RUN`."""

from __future__ import annotations

import dataclasses
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from agentrl.trainer.config import TrainConfig
    from agentrl.trainer.rundir import RunDir

__all__ = ["run"]

_USAGE = """\
usage: agentrl train RECIPE [--env ID] [--model MODEL] [--level N] [--name NAME] [--any.nested.option VALUE …]
       agentrl train --resume RUN

Trains a model with GRPO on an environment. RECIPE is the name of a recipe or a .toml file; every key of it can be given
as an option, nested ones with dots (--optim.lr 1e-6, --rollout.concurrency 64).

  recipes: {recipes}
  all options and their values: agentrl train RECIPE --help
"""


def run(args: Sequence[str]) -> int:
    """Train; return 0 when the run is complete."""
    from agentrl.trainer.config import load_recipe, recipes, to_toml
    from agentrl.trainer.errors import ConfigError
    from agentrl.trainer.rundir import RunDir

    words = list(args)
    if not words or words[0] in ("-h", "--help"):
        print(_USAGE.format(recipes=", ".join(recipes())))
        return 0 if words else 2
    if words[0] == "--resume":
        if len(words) != 2:
            raise ConfigError(
                "--resume takes the folder of one run and nothing else: its configuration is fixed. Type: agentrl "
                "train --resume runs/NAME"
            )
        run_dir = RunDir.existing(Path(words[1]))
        config = _checked(load_recipe(str(run_dir.path / "config.toml")), fresh=False)
    else:
        if words[0].startswith("-"):
            raise ConfigError(
                f"a recipe comes first, got {words[0]!r}; type: agentrl train quickstart {' '.join(words)}"
            )
        config = _checked(_parsed(load_recipe(words[0]), words), fresh=True)
        run_dir = RunDir.create(Path(config.out), config.name, default=Path(words[0]).stem)
        run_dir.write_text("config.toml", to_toml(config))
    return _train(config, run_dir)


def _train(config: TrainConfig, run_dir: RunDir) -> int:
    from transformers.utils import logging

    from agentrl.trainer.loop import train

    logging.disable_progress_bar()  # Transformers' bars would tear the table
    # Environment threads hold the interpreter for long stretches; the engine's thread must get it back quickly.
    sys.setswitchinterval(0.0005)
    print(f"run folder {run_dir.path}", file=sys.stderr)
    try:
        summary = train(config, run_dir=run_dir)
    except KeyboardInterrupt:
        print(f"\nstopped; go on with: agentrl train --resume {run_dir.path}", file=sys.stderr)
        return 130
    for name in ("success", "greedy"):
        before, after = summary[f"{name}_before"], summary[f"{name}_after"]
        if before is not None and after is not None:
            print(
                f"{'sampled' if name == 'success' else 'greedy':>8}: success {before:.3f} before, {after:.3f} after "
                f"({summary['num_eval_episodes']} held-out episodes)"
            )
    print(
        f"{summary['num_episodes']} episodes, {summary['num_steps']} steps, {summary['train_seconds']:.0f} s of "
        f"training; report: {run_dir.path / 'report.html'}"
    )
    return 0


def _parsed(recipe: TrainConfig, words: list[str]) -> TrainConfig:
    import tyro

    from agentrl.trainer.config import TrainConfig

    config = tyro.cli(
        TrainConfig,
        default=recipe,
        args=words[1:],
        prog=f"agentrl train {words[0]}",
        description="Options of the recipe, with their values.",
    )
    if config.env != recipe.env and config.env_kwargs == recipe.env_kwargs:  # they were meant for the recipe's own
        config = dataclasses.replace(config, env_kwargs={})
    return config


def _checked(config: TrainConfig, *, fresh: bool) -> TrainConfig:
    """Refuse what cannot work before a folder is made; return the configuration with the environment's full id."""
    from agentrl.cli.registry import find_env
    from agentrl.trainer.chat import Chat
    from agentrl.trainer.errors import ConfigError, TrainerError
    from agentrl.trainer.model import load_tokenizer, pick_device
    from agentrl.trainer.rollout import make_text_env

    config = dataclasses.replace(config, env=find_env(config.env))
    if fresh:  # a run may be resumed from another folder
        kwargs = {name: _absolute(value) for name, value in config.env_kwargs.items()}
        config = dataclasses.replace(config, model=_absolute(config.model), env_kwargs=kwargs)
    try:
        make_text_env(config.env, config.env_kwargs).close()
    except TrainerError:
        raise
    except Exception as error:  # somebody else's code: what it raises is no bug of ours
        raise ConfigError(f"env={config.env!r} cannot be made: {type(error).__name__}: {error}") from error
    pick_device(config.device)
    if fresh:  # a resumed run has a model of its own
        Chat(load_tokenizer(config.model))
    return config


def _absolute(value: Any) -> Any:
    """Return the absolute path of what is there, anything else as it is."""
    if not isinstance(value, str) or not value.strip():
        return value
    path = Path(value).expanduser()
    return str(path.resolve()) if path.exists() else value
