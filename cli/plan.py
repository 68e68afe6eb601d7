"""`agentrl plan [RECIPE] --gpus N [options]`: how to use so many devices, and where a step will be short."""

from __future__ import annotations

import argparse
import dataclasses
import math
import os
import shlex
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from agentrl.cli.recipe import TINY, checked, parsed, with_recipe
from agentrl.trainer.errors import ConfigError

if TYPE_CHECKING:
    from agentrl.trainer.config import TrainConfig
    from agentrl.trainer.scaling.costs import Device
    from agentrl.trainer.scaling.layouts import Cluster, Prediction, ScalingModel, Step
    from agentrl.trainer.scaling.probe import Measured
    from agentrl.trainer.scaling.workload import Workload

__all__ = ["run"]

_USAGE = """\
usage: agentrl plan [RECIPE] [--model MODEL] [--env ID] --gpus N [--any.nested.option VALUE …]
                    [--gpu NAME] [--gpus-per-host N] [--cpus N] [--link GBIT]
                    [--workload FILE.toml] [--measured FILE.json] [--save FILE.json]

Says how to share N devices between training and sampling, how many environments to play at once and how many
processors they need, what a step takes, and where it is short: by how much each part, were it twice as fast,
would make it shorter. It plays a few groups here, times environments, engine and update, and plays whole steps
against these costs. RECIPE and its options are those of agentrl train.

  --gpus N            devices to plan for, like the one here (on a machine without a GPU: like this machine)
  --gpu NAME          or like this one, by its data sheet: {devices}
  --gpus-per-host N   8, without GPUs 1; what is more is on other hosts
  --cpus N            processors for environments, over all hosts; those of this machine for each host
  --link GBIT         100: of the network between hosts, in gigabits a second
  --workload FILE     a TOML file in place of playing: turns, prompt_tokens, sampled_tokens, and if you like
                      reply_tokens, env_s, env_cpu_s, reset_s, reset_cpu_s, spread, max_tokens
  --measured FILE     what --save has written, in place of measuring
  --save FILE         keep what was measured, for other machines and numbers of devices

With --gpu and --workload nothing is run, and no weights are needed: only the model's configuration.
"""

_HOST_BYTES_PER_S = 300e9  # between the GPUs of one host, one way (NVLink of an H100: 450)
_WIDTHS = (1, 2, 4, 8)  # devices of one server that are looked at, where costs come from a data sheet
_MOST_DEVICES = 4096
_SHOWN = 4  # other layouts


def run(args: Sequence[str]) -> int:
    """Plan; return 0."""
    from agentrl.trainer.config import load_recipe
    from agentrl.trainer.scaling.costs import DEVICES

    words = list(args)
    if not words or {"-h", "--help"} & set(words):
        print(_USAGE.format(devices=", ".join(DEVICES)))
        return 0 if words else 2
    if int(os.environ.get("WORLD_SIZE", "1")) > 1:
        raise ConfigError("a plan is made by one process; leave torchrun out")
    given, rest = _options().parse_known_args(words)
    if given.gpus is None:
        raise ConfigError(f"how many devices? type: agentrl plan {shlex.join(words)} --gpus 8")
    rest = with_recipe(rest, "plan") if rest else ["quickstart"]
    config = parsed(load_recipe(rest[0]), rest)
    _check(config, given)
    model = _model(config, given)
    print("\n".join(_told(model, config, rest)))
    return 0


def _check(config: TrainConfig, given: argparse.Namespace) -> None:
    """Refuse what cannot be planned, before anything is measured."""
    if config.model == TINY:
        raise ConfigError("a plan needs a model that is there; type: --model bundled:search-tiny, or a folder")
    if given.measured and given.workload:
        raise ConfigError("--measured has a workload already; leave --workload or --measured out")
    if given.save and (given.measured or (given.gpu is not None and given.workload)):
        other = "--measured" if given.measured else "--gpu and --workload"
        raise ConfigError(f"--save keeps what is measured, and with {other} nothing is; leave it out")
    if given.save and not os.access(given.save.absolute().parent, os.W_OK):
        raise ConfigError(f"--save {given.save} cannot be written: its folder is not there or not yours")
    if given.gpu is not None and config.lora.rank:
        raise ConfigError("adapters are not in what a data sheet says; leave --gpu out where such a device is")


def _options() -> argparse.ArgumentParser:
    options = argparse.ArgumentParser(prog="agentrl plan", add_help=False, allow_abbrev=False)
    for name in ("--gpus", "--gpu", "--gpus-per-host", "--cpus", "--link"):
        options.add_argument(name)
    for name in ("--workload", "--measured", "--save"):
        options.add_argument(name, type=Path)
    return options


def _count(option: str, text: str) -> int:
    if not text.isascii() or not text.isdigit() or not int(text):
        raise ConfigError(f"{option} is {text!r}, but must be a whole number above 0; type: {option} 8")
    return int(text)


def _amount(option: str, text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = 0.0
    if not 0 < value < math.inf:
        raise ConfigError(f"{option} is {text!r}, but must be a number above 0; type: {option} 100")
    return value


def _model(config: TrainConfig, given: argparse.Namespace) -> ScalingModel:
    from agentrl.trainer.scaling.costs import Costs, Size, find_device
    from agentrl.trainer.scaling.layouts import ScalingModel
    from agentrl.trainer.scaling.probe import Measured, subject

    cluster, device = _cluster(given), None if given.gpu is None else find_device(given.gpu)
    measured = None
    if given.measured:
        measured = Measured.read(given.measured)
        if measured.of != subject(config):
            raise ConfigError(
                f"{given.measured} is of {measured.of}, not of {subject(config)}; measure that, or ask for it"
            )
    workload = _workload(given.workload, config) if given.workload else None
    if not measured and not (device and workload):
        measured = _measured(config, given.save, several=cluster.devices > 1)
    if device:
        size = Size.of(config.model, itemsize=4 if config.dtype == "float32" else 2)
        widths = [width for width in _WIDTHS if width <= cluster.devices]
        costs = {width: Costs.of(device, size, tensor_parallel=width) for width in widths}
    elif measured:
        size, costs = measured.size, {1: measured.costs}
        if not measured.costs.overlaps:  # no GPUs: each device is a machine like this one
            cluster = _cluster(given, per_host=1)
    if workload is None and measured:
        workload = measured.workload
    assert workload
    return ScalingModel(
        workload=workload,
        costs=costs,
        size=size,
        step=_step(config, device),
        cluster=cluster,
        together=config.engine.name == "torch" or cluster.devices == 1,  # ranks do not take vLLM into their process
    )


def _workload(path: Path, config: TrainConfig) -> Workload:
    """Read a workload that the run's limits allow."""
    from agentrl.trainer.scaling.workload import Workload

    work, limits = Workload.read(path, max_tokens=config.rollout.max_episode_tokens), config.rollout
    longest = max(play.tokens for play in work.plays)
    turn = max(turn.sampled for play in work.plays for turn in play.turns)
    if longest > limits.max_episode_tokens + 1:
        raise ConfigError(
            f"{path} has episodes of {longest:,} tokens, and rollout.max_episode_tokens is "
            f"{limits.max_episode_tokens:,}; type --rollout.max-episode-tokens {longest}"
        )
    if work.sampled / work.turns > limits.max_turn_tokens:
        raise ConfigError(
            f"{path} has turns of {work.sampled / work.turns:,.0f} tokens, and rollout.max_turn_tokens is "
            f"{limits.max_turn_tokens:,}; type --rollout.max-turn-tokens {turn}"
        )
    return work


def _cluster(given: argparse.Namespace, *, per_host: int = 8) -> Cluster:
    from agentrl.trainer.scaling.layouts import Cluster

    devices = _count("--gpus", given.gpus)
    if devices > _MOST_DEVICES:
        raise ConfigError(f"--gpus is {devices}; more than {_MOST_DEVICES} are not looked at")
    per_host = _count("--gpus-per-host", given.gpus_per_host or str(per_host))
    hosts = -(-devices // per_host)
    return Cluster(
        devices=devices,
        per_host=per_host,
        processors=_amount("--cpus", given.cpus) if given.cpus else float(hosts * _processors()),
        inside=_HOST_BYTES_PER_S,
        network=_amount("--link", given.link or "100") * 1e9 / 8,
    )


def _step(config: TrainConfig, device: Device | None) -> Step:
    from agentrl.trainer.scaling.layouts import Step

    passes = 1.0
    if device:  # what is measured does all this
        passes *= 4 / 3 if config.loss.beta > 0 else 1.0  # reads the reference
        passes *= 4 / 3 if config.gradient_checkpointing else 1.0  # computes again
    return Step.of(config, passes=passes)


def _measured(config: TrainConfig, save: Path | None, *, several: bool) -> Measured:
    from transformers.utils import logging

    from agentrl.cli.stopping import Stop
    from agentrl.trainer.scaling.probe import measure, subject

    logging.disable_progress_bar()
    sys.setswitchinterval(0.0005)
    of = subject(config)
    config = checked(config, fresh=True)
    if several:  # ranks do not compile what they train
        config = dataclasses.replace(config, compile=False)
    with Stop(""):  # a signal ends it, and takes its folder along
        measured = dataclasses.replace(measure(config), of=of)
    if save:
        measured.write(save)
    return measured


def _processors() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _told(model: ScalingModel, config: TrainConfig, words: Sequence[str]) -> list[str]:
    """Return the plan as lines for people; `words` are a recipe and its options."""
    found = model.best()
    best, *others = found
    costs, work = model.costs[best.layout.tensor_parallel], model.workload
    gains = sorted(model.gains(best).items(), key=lambda each: -each[1])
    size, trained = model.size, model.costs[1]
    lines = [
        f"model        {size.parameters:,} parameters, {size.weight_bytes / 1e9:,.2f} GB where they are sampled from",
        f"workload     {work.turns:,.1f} turns an episode, {work.tokens:,.0f} tokens, {work.sampled:,.0f} of them "
        f"sampled; the environment takes {1e3 * work.env_s:,.1f} ms a turn and computes {1e3 * work.env_cpu_s:,.1f}",
        f"costs        {costs.device}: a decoding step {1e3 * costs.step_s:,.2f} ms, and {1e3 * costs.turn_s:,.3f} for "
        f"each turn in it; {1 / max(costs.prompt_s, 1e-12):,.0f} tokens a second read, "
        f"{1 / max(trained.trained_s, 1e-12):,.0f} trained on",
        f"best         {_named(best, model)}",
        f"a step       about {best.step_s:,.2f} s for {model.step.episodes:,} episodes: {_parts(best)}",
        f"             environments keep {best.processors:,.1f} of {model.cluster.processors:,g} processors at work",
        "shorter by   "
        + ", ".join(f"{100 * max(0.0, gain):.0f} % ({part})" for part, gain in gains)
        + ", were each twice as fast",
    ]
    for number, other in enumerate(others[:_SHOWN]):
        lines.append(f"{'others' if not number else '':<12} {other.step_s:,.2f} s: {_named(other, model)}")
    lines += [
        f"{'type' if not number else '':<12} {line}"
        for number, line in enumerate(_command(best, model.cluster, config, words))
    ]
    return lines


def _named(prediction: Prediction, model: ScalingModel) -> str:
    layout = prediction.layout
    devices = "GPU" if model.costs[1].overlaps else "device"
    at_once = f"{layout.environments} environments at once"
    if not layout.servers:
        who = (
            f"one {devices} trains and samples in turn"
            if layout.trainers == 1
            else (f"{layout.trainers} {devices}s train and sample in turn")
        )
        return f"{who}; {at_once}"
    wide = f" of {layout.tensor_parallel} {devices}s each" if layout.tensor_parallel > 1 else ""
    how = "at once" if layout.asynchronous else "in turn"
    train = "one trains" if layout.trainers == 1 else f"{layout.trainers} train"
    sample = "one samples" if layout.servers == 1 else f"{layout.servers} servers sample"
    return f"{train}, {sample}{wide}, {how}; {at_once}"


def _parts(prediction: Prediction) -> str:
    rollout = prediction.rollout
    return (
        f"rollouts {rollout.seconds:,.2f} (servers at work {100 * rollout.sampling:.0f} % of it), update "
        f"{prediction.update_s:,.2f}, weights {prediction.push_s:,.2f}"
    )


def _command(prediction: Prediction, cluster: Cluster, config: TrainConfig, words: Sequence[str]) -> list[str]:
    """Return what to type; of a step's environments each rank plays its part."""
    layout = prediction.layout
    per_rank = layout.environments if layout.servers else -(-layout.environments // layout.trainers)
    train = f"agentrl train {shlex.join(words)} --rollout.concurrency {per_rank}"
    told = []
    if layout.servers and (layout.tensor_parallel > 1 or cluster.devices > cluster.per_host):
        train += " --engine.name vllm --engine.urls URL …"
        width = f", each with --tensor-parallel-size {layout.tensor_parallel}" if layout.tensor_parallel > 1 else ""
        told = [f"with the addresses of {layout.servers} vLLM servers{width}; docs/deploy.md has how to start them"]
    elif layout.servers:
        train += f" --engine.name vllm --engine.servers {layout.servers}"
    if config.asynchronous and not layout.asynchronous:
        train += " --no-asynchronous"
    if layout.asynchronous:
        train += " --asynchronous"
        told.append("rollouts then run a step ahead of the weights, which loss.correction corrects")
    if layout.trainers > 1:
        if config.compile:
            train += " --compile False"
        nodes = -(-layout.trainers // cluster.per_host)
        hosts = f"--nnodes {nodes} --node-rank N --master-addr HOST --master-port 29500 " if nodes > 1 else ""
        train = f"torchrun {hosts}--nproc-per-node {layout.trainers // nodes} --no-python {train}" + (
            "" if config.name else " --name NAME"
        )
    return [train, *told]
