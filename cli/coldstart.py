"""`agentrl coldstart [options]`."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

__all__ = ["run"]


def run(args: Sequence[str]) -> int:
    """Fine-tune on demonstrations; print the folder of the model."""
    import tyro

    from agentrl.cli.registry import find_env
    from agentrl.cli.truths import read_truths
    from agentrl.trainer.coldstart_config import ColdstartConfig

    config = tyro.cli(
        ColdstartConfig,
        args=list(args),
        prog="agentrl coldstart",
        description="Fine-tune a model on demonstrations: the environment's own player's, or from a JSONL file.",
    )
    config = dataclasses.replace(config, env_kwargs=read_truths(config.env_kwargs))
    if config.demonstrations is None:
        config = dataclasses.replace(config, env=find_env(config.env))
    from transformers.utils import logging

    from agentrl.trainer.coldstart import coldstart

    logging.disable_progress_bar()  # Transformers' bars would tear the output
    model = coldstart(config)
    print(f"{model}\ntrain it further: agentrl train quickstart --model {model}")
    return 0
