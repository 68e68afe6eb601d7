"""`agentrl train RECIPE [options]` and `agentrl train --resume RUN`."""

from __future__ import annotations

import dataclasses
import os
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from agentrl.trainer.config import TrainConfig
    from agentrl.trainer.distributed.world import World
    from agentrl.trainer.rundir import RunDir

__all__ = ["run"]

_ANY_ENV = "gymnasium"  # the recipe for an environment without one
_TINY = "tiny"  # no model yet: it is made
_INTERRUPTED = 130
_RUBRIC = "agentrl.envs.rubrics:RubricReward"  # what --rubric wraps environments in
_USAGE = """\
usage: agentrl train RECIPE [--env ID] [--model MODEL] [--level N] [--name NAME] [--rubric FILE.toml]
                            [--env-kwargs.NAME VALUE …] [--any.nested.option VALUE …]
       agentrl train --env ID [options]
       agentrl train RECIPE [options] --dry-run
       agentrl train --resume RUN [--engine.urls URL …]
       torchrun --nnodes N … --no-python agentrl train RECIPE --name NAME [options]

Trains a model with GRPO on an environment. RECIPE is the name of a recipe or a .toml file; every key of it can be given
as an option, nested ones with dots (--optim.lr 1e-6, --rollout.concurrency 64); --env-kwargs.NAME is an argument of
the environment. Without a recipe it is gymnasium, which
makes a tiny model. An environment without text is spoken for: --env FrozenLake-v1. Several environments share a run by
their weights: --env FrozenLake-v1:0.7 --env Blackjack-v1:0.3. With --rubric the reward is that of a rubric in place of
the environment's own (agentrl rubric --help). With --dry-run the model is loaded, a few episodes are
played, and what a run would take is printed: tokens, memory, and the time of a step. A resumed run is what it was, but
servers may have moved: --engine.urls, --engine.weights-host, --engine.weights-dir and --ray.address say where they are.

  recipes: {recipes}
  all options and their values: agentrl train RECIPE --help
"""


def run(args: Sequence[str]) -> int:
    """Train; return 0 when the run is complete."""
    if "RANK" in os.environ:  # torchrun has started this process
        from agentrl.trainer.distributed.world import World, place_here

        if (place := place_here()) is not None:
            with World(place) as world:
                return _lead(args, world) if world.leads else _follow(world)
    return _run(args, None)


def _lead(args: Sequence[str], world: World) -> int:
    """Train as the first of several ranks."""
    from agentrl.trainer.errors import ConfigError

    if "--dry-run" in args:
        raise ConfigError("--dry-run measures one process; leave torchrun out")
    status = _run(args, world)
    if status == _INTERRUPTED:  # the others were, too
        raise KeyboardInterrupt
    world.command("end")
    world.collect()
    return status


def _follow(world: World) -> int:
    """Do what the first rank says."""
    from transformers.utils import logging

    from agentrl.trainer.distributed.team import follow

    logging.disable_progress_bar()
    sys.setswitchinterval(0.0005)
    follow(world, lambda config: _checked(config, fresh=False))
    return 0


def _run(args: Sequence[str], world: World | None) -> int:
    from agentrl.cli.resuming import resumed
    from agentrl.trainer.config import load_recipe, recipes, to_toml
    from agentrl.trainer.errors import ConfigError
    from agentrl.trainer.rundir import RunDir

    words = list(args)
    if not words or words[0] in ("-h", "--help"):
        print(_USAGE.format(recipes=", ".join(recipes())))
        return 0 if words else 2
    if words[0] == "--resume":
        run_dir, config = resumed(words[1:])
        config = _checked(config, fresh=False)
    else:
        if words[0].startswith("-") and any(word.partition("=")[0] == "--env" for word in words):
            words = [_ANY_ENV, *words]
        if words[0].startswith("-"):
            raise ConfigError(
                f"a recipe comes first, got {words[0]!r}; type: agentrl train quickstart {' '.join(words)}"
            )
        dry = "--dry-run" in words
        words = [word for word in words if word != "--dry-run"]
        config = _checked(_parsed(load_recipe(words[0]), words), fresh=True)
        if dry:
            return _planned(config)
        if world is not None:
            from agentrl.trainer.distributed.team import check_spread

            check_spread(config)  # before a folder is made
        if world is not None and world.restarts:
            return _again(config, world)
        run_dir = RunDir.create(Path(config.out), config.name, default=Path(words[0]).stem)
        if config.model == _TINY:
            from agentrl.trainer.starter import make_starter

            config = dataclasses.replace(config, model=str(make_starter(config, run_dir.path)))
        run_dir.write_text("config.toml", to_toml(config))
        if config.wrapper.use == _RUBRIC:
            run_dir.write_text("rubric.toml", str(config.wrapper.kwargs["rubric"]))
    return _train(config, run_dir, world)


def _again(config: TrainConfig, world: World) -> int:
    """Go on with the run that torchrun has started again."""
    from agentrl.trainer.errors import ConfigError

    if config.name is None:
        raise ConfigError("torchrun has started all ranks again, and the run has no name to be found by: type --name")
    return _run(["--resume", str(Path(config.out) / config.name)], world)


def _train(config: TrainConfig, run_dir: RunDir, world: World | None) -> int:
    from transformers.utils import logging

    from agentrl.trainer.checkpoint import latest_checkpoint
    from agentrl.trainer.loop import train
    from agentrl.trainer.stopping import Terminated
    from agentrl.trainer.watch.live import Halted

    logging.disable_progress_bar()  # Transformers' bars would tear the table
    # Environment threads hold the interpreter for long stretches; the engine's thread must get it back quickly.
    sys.setswitchinterval(0.0005)
    print(f"run folder {run_dir.path}", file=sys.stderr)
    try:
        summary = train(config, run_dir=run_dir, world=world)
    except KeyboardInterrupt:
        print(f"\nstopped; go on with: agentrl train --resume {run_dir.path}", file=sys.stderr)
        return _INTERRUPTED
    except Terminated:
        kept = latest_checkpoint(run_dir.checkpoints)
        said = kept.name.replace("_", " ") + " is kept" if kept else "no step was done yet"
        print(f"\nstopped by SIGTERM; {said}; go on with: agentrl train --resume {run_dir.path}", file=sys.stderr)
        return 143
    except Halted as halted:
        print(f"\n{halted}", file=sys.stderr)
        return halted.status
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


def _planned(config: TrainConfig) -> int:
    from transformers.utils import logging

    from agentrl.trainer.errors import ConfigError
    from agentrl.trainer.plan import make_plan

    logging.disable_progress_bar()
    if config.model == _TINY:
        raise ConfigError("--dry-run needs a model that is there; type: --model bundled:search-tiny, or a folder")
    sys.setswitchinterval(0.0005)
    print("\n".join(make_plan(config).lines()))
    return 0


def _parsed(recipe: TrainConfig, words: list[str]) -> TrainConfig:
    import tyro

    from agentrl.cli.truths import read_truths
    from agentrl.trainer.config import TrainConfig
    from agentrl.trainer.mixture import parse_envs

    words, envs = _taken(words, "--env", example="FrozenLake-v1")
    words, rubrics = _taken(words, "--rubric", example="rubric.toml")
    words, named = _named(words, recipe.env_kwargs)
    config = tyro.cli(
        TrainConfig,
        default=recipe,
        args=words[1:],
        prog=f"agentrl train {words[0]}",
        description="Options of the recipe, with their values. With --dry-run what it would take is printed, no more. "
        "--rubric FILE.toml trains on a rubric in place of the environment's own reward.",
    )
    if envs:
        config = dataclasses.replace(config, env=parse_envs(envs))
    if not recipe.env_kwargs:  # those of a recipe have a type each
        config = dataclasses.replace(config, env_kwargs=read_truths(config.env_kwargs))
    if config.env != recipe.env and config.env_kwargs == recipe.env_kwargs:  # they were meant for the recipe's own
        config = dataclasses.replace(config, env_kwargs={})
    config = dataclasses.replace(config, env_kwargs={**config.env_kwargs, **named})
    return _with_rubric(config, rubrics) if rubrics else config


def _with_rubric(config: TrainConfig, paths: list[str]) -> TrainConfig:
    """Return the configuration with a rubric around its environments: its text, so that the run needs no other file."""
    from agentrl.envs.rubrics import load_rubric
    from agentrl.trainer.errors import ConfigError
    from agentrl.trainer.wrapping import WrapperConfig

    if len(paths) > 1 or config.wrapper.use is not None:
        there = config.wrapper.use or paths[0]
        raise ConfigError(f"--rubric {paths[-1]} would be put around {there}; one wrapper is what a run has: choose")
    load_rubric(paths[0])
    text = Path(paths[0]).read_text(encoding="utf-8")
    return dataclasses.replace(config, wrapper=WrapperConfig(use=_RUBRIC, kwargs={"rubric": text}))


def _taken(words: list[str], option: str, *, example: str) -> tuple[list[str], list[str]]:
    """Take out every `--option VALUE` and `--option=VALUE`; return the other words, and the values."""
    from agentrl.trainer.errors import ConfigError

    kept, values = [], []
    rest = iter(words)
    for word in rest:
        name, equals, value = word.partition("=")
        if name != option:
            kept.append(word)
            continue
        if not equals:
            value = next(rest, "")
        if not value or value.startswith("-"):
            raise ConfigError(f"{option} has no value; type: {option} {example}")
        values.append(value)
    return kept, values


def _named(words: list[str], known: Mapping[str, Any]) -> tuple[list[str], dict[str, Any]]:
    """Take out each `--env-kwargs.NAME VALUE` that the recipe does not know; return the other words, and the values."""
    from agentrl.cli.truths import read_scalar
    from agentrl.trainer.errors import ConfigError

    kept, named = [], {}
    rest = iter(words)
    for word in rest:
        option, equals, value = word.partition("=")
        head, dot, name = option.replace("_", "-").partition(".")
        name = name.replace("-", "_")
        if head != "--env-kwargs" or not dot or name in known:
            kept.append(word)
            continue
        if not equals:
            value = next(rest, "")
        if not name or not value:
            raise ConfigError(f"{option} has no value; type: --env-kwargs.NAME VALUE")
        named[name] = read_scalar(value)
    return kept, named


def _checked(config: TrainConfig, *, fresh: bool) -> TrainConfig:
    """Refuse what cannot work before a folder is made; return the configuration with the environments' full ids."""
    from agentrl.cli.registry import find_env
    from agentrl.envs.functions import find_here
    from agentrl.trainer.chat import Chat
    from agentrl.trainer.errors import ConfigError, TrainerError
    from agentrl.trainer.mixture import weights_of
    from agentrl.trainer.model import load_tokenizer, pick_device
    from agentrl.trainer.textualize import Textualized, make_text_env
    from agentrl.trainer.wrapping import make_env

    if config.wrapper.use:
        find_here(config.wrapper.use.partition(":")[0])
    found = {find_env(env): weight for env, weight in weights_of(config.env).items()}
    config = dataclasses.replace(config, env=next(iter(found)) if isinstance(config.env, str) else found)
    if fresh:  # a run may be resumed from another folder
        kwargs = {name: _absolute(value) for name, value in config.env_kwargs.items()}
        model = config.model if config.model == _TINY else _absolute(config.model)
        config = dataclasses.replace(config, model=model, env_kwargs=kwargs)
    spoken_for = []
    for env in found:
        try:
            made = make_text_env(env, config.env_kwargs)
            spoken_for.append(isinstance(made, Textualized))
            made.close()
            if config.wrapper.use:
                make_env(env, config.env_kwargs, config.wrapper).close()
        except TrainerError:
            raise
        except Exception as error:  # somebody else's code: what it raises is no bug of ours
            raise ConfigError(f"env={env!r} cannot be made: {type(error).__name__}: {error}") from error
    if config.level is not None and all(spoken_for):
        raise ConfigError(
            f"level is {config.level}, but {', '.join(found)} knows no levels; type --level None, or leave the recipe "
            f"out: agentrl train --env {next(iter(found))}"
        )
    pick_device(config.device)
    if fresh and config.model != _TINY:  # a resumed run has a model of its own
        Chat(load_tokenizer(config.model))
    return config


def _absolute(value: Any) -> Any:
    """Return the absolute path of what is there, anything else as it is."""
    if not isinstance(value, str) or not value.strip():
        return value
    path = Path(value).expanduser()
    return str(path.resolve()) if path.exists() else value
