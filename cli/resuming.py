"""`agentrl train --resume RUN`: the run as it was begun, but for where its servers are.

A scheduler may give other hosts at each start, so addresses can be said anew; they are not written into the run's
folder. All else of its configuration is fixed.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from agentrl.trainer.config import TrainConfig
    from agentrl.trainer.rundir import RunDir

__all__ = ["ADDRESSES", "resumed"]

ADDRESSES = ("--engine.urls", "--engine.weights-host", "--engine.weights-dir", "--ray.address")
"""Options that may stand behind `--resume RUN`."""


def resumed(words: Sequence[str]) -> tuple[RunDir, TrainConfig]:
    """Return the folder of a run and its configuration, not checked yet.

    Args:
        words: What stands behind `--resume`.

    Raises:
        ConfigError: No folder, another option than those of `ADDRESSES`, or a value that is wrong.
        RunFolderError: The folder is no run.
    """
    from agentrl.trainer.config import load_recipe
    from agentrl.trainer.errors import ConfigError
    from agentrl.trainer.rundir import RunDir

    folder, *options = words or [""]
    named = [word.partition("=")[0].replace("_", "-") for word in options if word.startswith("--")]
    strange = [word for word in named if word not in ADDRESSES]
    if not folder or folder.startswith("-") or strange or (options and not options[0].startswith("--")):
        raise ConfigError(
            f"--resume takes the folder of one run, and {', '.join(ADDRESSES)} where these moved; the rest of its "
            "configuration is fixed. Type: agentrl train --resume runs/NAME"
        )
    run_dir = RunDir.existing(Path(folder))
    config = load_recipe(str(run_dir.path / "config.toml"))
    if not options:
        return run_dir, config
    import tyro

    from agentrl.trainer.config import TrainConfig

    said = tyro.cli(TrainConfig, default=config, args=options, prog="agentrl train --resume RUN")
    return run_dir, dataclasses.replace(config, engine=said.engine, ray=said.ray)
