"""`agentrl train RECIPE [options]` and `agentrl train --resume RUN`."""

from __future__ import annotations

import dataclasses
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from agentrl.cli.recipe import RUBRIC, TINY, checked, parsed, with_recipe

if TYPE_CHECKING:
    from agentrl.trainer.config import TrainConfig
    from agentrl.trainer.distributed.world import World
    from agentrl.trainer.rundir import RunDir

__all__ = ["run"]

_INTERRUPTED = 130
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
    follow(world, lambda config: checked(config, fresh=False))
    return 0


def _run(args: Sequence[str], world: World | None) -> int:
    from agentrl.cli.resuming import resumed
    from agentrl.trainer.config import load_recipe, recipes, to_toml
    from agentrl.trainer.rundir import RunDir

    words = list(args)
    if not words or words[0] in ("-h", "--help"):
        print(_USAGE.format(recipes=", ".join(recipes())))
        return 0 if words else 2
    if words[0] == "--resume":
        run_dir, config = resumed(words[1:])
        config = checked(config, fresh=False)
    else:
        words = with_recipe(words, "train")
        dry = "--dry-run" in words
        words = [word for word in words if word != "--dry-run"]
        config = checked(parsed(load_recipe(words[0]), words), fresh=True)
        if dry:
            return _planned(config)
        if world is not None:
            from agentrl.trainer.distributed.team import check_spread

            check_spread(config)  # before a folder is made
        if world is not None and world.restarts:
            return _again(config, world)
        run_dir = RunDir.create(Path(config.out), config.name, default=Path(words[0]).stem)
        if config.model == TINY:
            from agentrl.trainer.starter import make_starter

            config = dataclasses.replace(config, model=str(make_starter(config, run_dir.path)))
        run_dir.write_text("config.toml", to_toml(config))
        if config.wrapper.use == RUBRIC:
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
    if config.model == TINY:
        raise ConfigError("--dry-run needs a model that is there; type: --model bundled:search-tiny, or a folder")
    sys.setswitchinterval(0.0005)
    print("\n".join(make_plan(config).lines()))
    return 0
