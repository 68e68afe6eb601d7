"""A run's configuration from what people type: a recipe, its options, and what is checked before anything begins."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from agentrl.trainer.config import TrainConfig

__all__ = ["RUBRIC", "TINY", "checked", "parsed", "taken", "with_recipe"]

TINY: Final = "tiny"
"""No model yet: `agentrl train` makes one."""

RUBRIC: Final = "agentrl.envs.rubrics:RubricReward"
"""What --rubric wraps environments in."""

_ANY_ENV = "gymnasium"  # the recipe for an environment without one


def with_recipe(words: Sequence[str], command: str) -> list[str]:
    """Return the words with a recipe in front; where an environment is named, that for any.

    Raises:
        ConfigError: There is neither.
    """
    from agentrl.trainer.errors import ConfigError

    if not words[0].startswith("-"):
        return list(words)
    if any(word.partition("=")[0] == "--env" for word in words):
        return [_ANY_ENV, *words]
    raise ConfigError(f"a recipe comes first, got {words[0]!r}; type: agentrl {command} quickstart {' '.join(words)}")


def parsed(recipe: TrainConfig, words: list[str]) -> TrainConfig:
    """Return a recipe with options in place of its values; `words` are its name and the options.

    Raises:
        ConfigError: A value cannot be right.
        SystemExit: An option is not known, or help was asked for.
    """
    import tyro

    from agentrl.cli.truths import read_truths
    from agentrl.trainer.config import TrainConfig
    from agentrl.trainer.mixture import parse_envs

    words, envs = taken(words, "--env", example="FrozenLake-v1")
    words, rubrics = taken(words, "--rubric", example="rubric.toml")
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
    return dataclasses.replace(config, wrapper=WrapperConfig(use=RUBRIC, kwargs={"rubric": text}))


def taken(words: list[str], option: str, *, example: str) -> tuple[list[str], list[str]]:
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


def checked(config: TrainConfig, *, fresh: bool) -> TrainConfig:
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
        model = config.model if config.model == TINY else _absolute(config.model)
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
    if fresh and config.model != TINY:  # a resumed run has a model of its own
        Chat(load_tokenizer(config.model))
    return config


def _absolute(value: Any) -> Any:
    """Return the absolute path of what is there, anything else as it is."""
    if not isinstance(value, str) or not value.strip():
        return value
    path = Path(value).expanduser()
    return str(path.resolve()) if path.exists() else value
