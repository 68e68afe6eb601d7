"""Recipes and options: what is read is what was written, and what cannot be right is refused by name."""

from __future__ import annotations

import dataclasses
import math
import re
import tomllib
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agentrl.trainer.coldstart_config import ColdstartConfig
from agentrl.trainer.config import (
    CheckpointConfig,
    EvalConfig,
    OptimConfig,
    TrainConfig,
    from_mapping,
    load_recipe,
    recipes,
    to_toml,
)
from agentrl.trainer.engines.options import EngineConfig
from agentrl.trainer.errors import ConfigError
from agentrl.trainer.loss import LossConfig
from agentrl.trainer.rollout import RolloutConfig

# A new knob needs a reason: add it here with it.
KEYS = """
env env_kwargs level model name out seed device dtype head_dtype threads num_steps groups_per_step group_size
temperature advantage gamma step_weight overlong_buffer asynchronous max_staleness
micro_batch_tokens gradient_checkpointing compile max_logp_difference max_probe_difference max_memory_mb
stop_at_success tensorboard
env_workers ray.address ray.num_cpus ray.memory_mb ray.resources ray.start_timeout_s
lora.rank lora.alpha lora.layers lora.merge
loss.kind loss.epsilon_low loss.epsilon_high loss.temperature_pos loss.temperature_neg loss.beta loss.kl_in
loss.entropy_bonus loss.mask_overlong loss.correction loss.correction_max
optim.lr optim.warmup_steps optim.final_lr_share optim.beta1 optim.beta2 optim.weight_decay optim.max_grad_norm
optim.updates_per_step
optim.max_skipped
wrapper.use wrapper.kwargs
rollout.concurrency rollout.max_turn_tokens rollout.max_episode_tokens rollout.turn_timeout_s rollout.episode_timeout_s
rollout.max_retries rollout.schedule
engine.name engine.urls engine.servers engine.weights_dir engine.weights_host engine.health_s engine.in_flight
engine.timeout_s engine.kv_cache_mb
engine.gpu_memory_utilization engine.adapters engine.sleep_level
groups.dynamic_sampling groups.max_rounds
curriculum.max_level curriculum.raise_at curriculum.window
replay.share replay.capacity
eval.num_episodes eval.split eval.temperature eval.greedy eval.every
checkpoint.every checkpoint.keep
watch.on_alert watch.false_alarms watch.tolerance
distributed.timeout_s
""".split()
COLDSTART_KEYS = """
env env_kwargs level num_demonstrations demonstrations model name out seed device threads vocab_size copy_steps
num_steps batch_size lr max_tokens verify
""".split()


def keys_of(config: Any, prefix: str = "") -> list[str]:
    """Return the dotted names of all values."""
    found: list[str] = []
    for each in dataclasses.fields(config):
        value = getattr(config, each.name)
        nested = dataclasses.is_dataclass(value)
        found += keys_of(value, f"{prefix}{each.name}.") if nested else [f"{prefix}{each.name}"]
    return found


def test_the_keys_are_these() -> None:
    assert keys_of(TrainConfig()) == KEYS
    assert keys_of(ColdstartConfig()) == COLDSTART_KEYS


@pytest.mark.parametrize("name", recipes())
def test_every_recipe_can_be_read(name: str) -> None:
    config = load_recipe(name)
    assert from_mapping(TrainConfig, tomllib.loads(to_toml(config))) == config
    written = tomllib.loads(recipes()[name].read_text())
    assert config.num_steps == written["num_steps"]


def test_a_recipe_by_path(tmp_path: Path) -> None:
    path = tmp_path / "mine.toml"
    path.write_text('seed = 3\nout = "r\u00e9sultats"\n[loss]\nkind = "dapo"\n', encoding="utf-8")
    assert load_recipe(str(path)) == TrainConfig(seed=3, out="r\u00e9sultats", loss=LossConfig(kind="dapo"))


text = st.text(st.characters(exclude_categories=["Cs"]), max_size=30)
number = st.floats(allow_nan=False) | st.integers(-(2**63), 2**63 - 1)


@settings(deadline=None)  # another program on the machine may take the core
@given(text, st.dictionaries(text, text | number | st.booleans(), max_size=4), st.integers(0, 2**60), st.booleans())
def test_what_is_written_is_read_back(name: str, kwargs: dict[str, Any], seed: int, tensorboard: bool) -> None:
    config = TrainConfig(name=name, out=name, env_kwargs=kwargs, seed=seed, tensorboard=tensorboard, level=seed % 7)
    again = from_mapping(TrainConfig, tomllib.loads(to_toml(config)))
    assert again == config
    assert {key: type(value) for key, value in again.env_kwargs.items()} == {k: type(v) for k, v in kwargs.items()}


@settings(deadline=None)
@given(
    st.floats(1e-300, 1e300),
    st.floats(0, 0.99),
    st.sampled_from([None, 0.5]),
    st.sampled_from(["grpo", "dapo"]),
    st.sampled_from(["exact", "eager"]),
)
def test_numbers_are_read_back_exactly(lr: float, beta: float, stop: float | None, kind: Any, schedule: Any) -> None:
    config = TrainConfig(
        optim=OptimConfig(lr=lr, beta1=beta),
        stop_at_success=stop,
        loss=LossConfig(kind=kind, beta=beta),
        rollout=RolloutConfig(turn_timeout_s=lr, schedule=schedule),
        engine=EngineConfig(name="vllm", urls=("http://a:1", "https://b"), timeout_s=lr, in_flight="keep"),
        eval=EvalConfig(greedy=False),
    )
    assert from_mapping(TrainConfig, tomllib.loads(to_toml(config))) == config


WRONG_KEYS = {
    "sed = 1": "there is no key 'sed'; did you mean 'seed'?",
    "[optim]\nlearning_rate = 1.0": "there is no key 'optim.learning_rate'; optim. has lr, warmup_steps",
    "[optim]\nwarmup = 1": "there is no key 'optim.warmup'; did you mean 'warmup_steps'?",
    "[los]\nkind = 'grpo'": "there is no key 'los'; did you mean 'loss'?",
    "loss = 'grpo'": "loss is 'grpo', but must be a table; write [loss]",
}
WRONG_TYPES = {
    "seed = '1'": "seed is '1', but must be int",
    "seed = 1.5": "seed is 1.5, but must be int",
    "seed = true": "seed is True, but must be int",
    "env = 3": "env is 3, but must be str",
    "temperature = '1'": "temperature is '1', but must be float",
    "temperature = true": "temperature is True, but must be float",
    "temperature = nan": "temperature is nan, but must be float",
    "tensorboard = 1": "tensorboard is 1, but must be bool",
    "level = 'hard'": "level is 'hard', but must be int | None",
    "env_kwargs = [1]": "env_kwargs is [1], but must be",
    "[env_kwargs]\nweights = [1]": "env_kwargs is {'weights': [1]}, but must be",
    "[loss]\nkind = 3": "loss.kind is 3, but must be",
    "[loss]\nepsilon_high = 'a'": "loss.epsilon_high is 'a', but must be float | None",
    "[eval]\ngreedy = 'yes'": "eval.greedy is 'yes', but must be bool",
}
WRONG_VALUES = {
    "num_steps = 0": "num_steps is 0, but must be above 0",
    "max_probe_difference = 0": "max_probe_difference is 0, but must be above 0",
    "group_size = 1": "group_size is 1, but a group of one has no baseline; write 8",
    "temperature = 0": "temperature is 0.0, but must be above 0",
    "seed = -1": "seed and threads are -1 and 0, but must be 0 or more",
    "threads = -2": "seed and threads are 0 and -2, but must be 0 or more",
    "dtype = 'bfloat'": "dtype is 'bfloat'; did you mean 'bfloat16'?",
    "head_dtype = 'bfloat16'": "head_dtype is 'bfloat16', but must be 'float32'",
    "advantage = 'gpro'": "advantage is 'gpro'; did you mean 'grpo'?",
    "[groups]\ndynamic_sampling = true\nmax_rounds = 0": "groups.max_rounds is 0, but must be 1 or more",
    "level = 1\n[curriculum]\nmax_level = 3\nwindow = 0": "curriculum.window is 0, but must be 1 or more",
    "level = 1\n[curriculum]\nmax_level = 3\nraise_at = 1.0": "curriculum.raise_at is 1.0, but must be 0 or more and",
    "[replay]\nshare = 1.0": "replay.share is 1.0, but must be 0 or more and below 1; write 0.1",
    "[replay]\nshare = 0.1\ncapacity = 0": "replay.capacity is 0, but must be 1 or more",
    "overlong_buffer = 2048": "overlong_buffer is 2048, but must lie between 0 and rollout.max_episode_tokens (2048)",
    "advantage = 'maxrl'\noverlong_buffer = 9": "which needs rewards of 0 or more",
    "advantage = 'turn'\ngamma = 1.5": "gamma is 1.5, but must lie between 0 and 1",
    "advantage = 'maxrl'\n[loss]\nbeta = 0.1\nkl_in = 'reward'": "which needs rewards of 0 or more",
    "[loss]\nkind = 'drgrpo'": "loss.kind is 'drgrpo', which is no loss; did you mean 'dr_grpo'?",
    "[optim]\nlr = 0": "optim.lr is 0.0, but must be above 0",
    "[optim]\nlr = inf": "optim.lr is inf, but must be float",
    "[optim]\nwarmup_steps = -1": "optim.warmup_steps, weight_decay and max_skipped are -1, 0.0 and 3",
    "[optim]\nbeta2 = 1": "optim.beta2 is 1.0, but must be 0 or more and below 1",
    "[optim]\nfinal_lr_share = 2": "optim.final_lr_share is 2.0, but must lie between 0 and 1",
    "[optim]\nupdates_per_step = 9": "optim.updates_per_step is 9, more than groups_per_step (8)",
    "[rollout]\nconcurrency = 0": "rollout.concurrency is 0, but must be a number above 0",
    "[rollout]\nmax_retries = -1": "rollout.max_retries is -1, but must be 0 or more",
    "[rollout]\nschedule = 'fast'": "rollout.schedule is 'fast'; choose exact or eager",
    "[eval]\nnum_episodes = -1": "eval.num_episodes and eval.every are -1 and 0, but must be 0 or more",
    "[engine]\nname = 'vlm'": "engine.name is 'vlm'; did you mean 'vllm'?",
    "[engine]\nname = 'vllm'\nin_flight = 'wait'": "engine.in_flight is 'wait'; there are finish, keep, abort",
    "[engine]\nname = 'vllm'\ntimeout_s = 0": "engine.timeout_s is 0, but must be above 0",
    "[engine]\nname = 'vllm'\nsleep_level = 3": "engine.sleep_level is 3, but must be 1 or 2",
    "[engine]\nname = 'vllm'\ngpu_memory_utilization = 1.0": "engine.gpu_memory_utilization is 1.0, but must lie",
    "[engine]\nname = 'vllm'\nurls = ['localhost']": "engine.urls has 'localhost', which is no address",
    "[engine]\nurls = [1]": "engine.urls is [1], but must be",
    "[engine]\nname = 'vllm'\nservers = 0": "engine.servers is 0, but must be above 0",
    "[engine]\nname = 'vllm'\nservers = 1\nhealth_s = 0": "engine.health_s is 0, but must be above 0",
    "[engine]\nname = 'vllm'\nservers = 2\nurls = ['http://a']": "engine.urls and engine.servers = 2 exclude each",
    "[engine]\nname = 'vllm'\nservers = 1\nweights_dir = 'w'\nweights_host = 'h'": "engine.weights_host = 'h' exclude",
    "[checkpoint]\nkeep = 0": "checkpoint.keep is 0, but must be above 0",
}
NO_EFFECT = {
    "[loss]\nmask_overlong = true": "changes nothing under loss.kind 'grpo'",
    "[loss]\nepsilon_low = 1.0": "would clip nothing",
    "[loss]\nkind = 'dr_grpo'": "write advantage = 'dr_grpo'",
    "[eval]\nnum_episodes = 0\nevery = 5": "eval.every is 5, which changes nothing while eval.num_episodes is 0",
    "gamma = 0.9": "gamma is 0.9, which changes nothing under advantage 'grpo'; leave it out, or set advantage to turn",
    "advantage = 'turn'\nstep_weight = 0.5": "step_weight is 0.5, which changes nothing under advantage 'turn'",
    "advantage = 'turn'\n[loss]\nkind = 'dr_grpo'": "write advantage = 'dr_grpo'",
    "[groups]\nmax_rounds = 2": "groups.max_rounds is 2, which changes nothing without groups.dynamic_sampling",
    "[curriculum]\nwindow = 3": "curriculum.window is 3, which changes nothing without curriculum.max_level",
    "level = 3\n[curriculum]\nmax_level = 3": "curriculum.max_level is 3 but level is 3",
    "[curriculum]\nmax_level = 3": "curriculum.max_level is 3 but level is None",
    "dtype = 'float32'\nhead_dtype = 'float32'": "head_dtype is 'float32', which changes nothing with dtype 'float32'",
    "[replay]\ncapacity = 9": "replay.capacity is 9, which changes nothing without replay.share",
    "groups_per_step = 1\n[replay]\nshare = 0.1": "changes nothing while groups_per_step is 1",
    "advantage = 'gigpo'\nstep_weight = 0.0": "step_weight is 0.0, but must be a number above 0",
    "[engine]\nkv_cache_mb = 64\nsleep_level = 1": "engine.sleep_level is 1, which changes nothing with engine.name",
    "[engine]\nname = 'vllm'\nweights_dir = 'w'": "engine.weights_dir is 'w', which changes nothing without",
    "[engine]\nname = 'vllm'\nurls = ['http://a']\nsleep_level = 1": "engine.sleep_level is 1, which changes",
    "[engine]\nname = 'vllm'\nhealth_s = 2": "engine.health_s is 2, which changes nothing without engine.urls or",
    "[engine]\nservers = 2": "engine.servers is 2, which changes nothing with engine.name 'torch'",
    "[engine]\nname = 'vllm'\nservers = 1\nadapters = true": "engine.adapters is True, which changes nothing with",
    "stop_at_success = 1.0": "stop_at_success is 1.0, but must be 0 or more and below 1",
}


@pytest.mark.parametrize("toml", [*WRONG_KEYS, *WRONG_TYPES, *WRONG_VALUES, *NO_EFFECT])
def test_what_cannot_be_right_is_refused_by_name(toml: str, tmp_path: Path) -> None:
    path = tmp_path / "recipe.toml"
    path.write_text(toml)
    message = (WRONG_KEYS | WRONG_TYPES | WRONG_VALUES | NO_EFFECT)[toml]
    with pytest.raises(ConfigError, match=re.escape(message)):
        load_recipe(str(path))


def test_a_recipe_that_is_none(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"'quickstrat' does not exist; did you mean 'quickstart'\?.*\.toml"):
        load_recipe("quickstrat")
    path = tmp_path / "recipe.toml"
    path.write_bytes(b"seed = ")
    with pytest.raises(ConfigError, match="is no TOML"):
        load_recipe(str(path))
    path.write_bytes(b'env = "\xff"')
    with pytest.raises(ConfigError, match="is no TOML"):
        load_recipe(str(path))


def test_whole_numbers_are_numbers() -> None:
    config = from_mapping(TrainConfig, {"temperature": 2, "stop_at_success": 0, "loss": {"epsilon_high": 1}})
    assert (config.temperature, config.stop_at_success, config.loss.epsilon_high) == (2.0, 0, 1)
    assert isinstance(config.temperature, float)


def test_nothing_that_is_left_out_of_toml_has_a_default_to_come_back() -> None:
    # None cannot be written in TOML, so a field that may be None must be None by default.
    parts = (TrainConfig(), LossConfig(), OptimConfig(), RolloutConfig(), EvalConfig(), CheckpointConfig())
    for part in parts:
        for each in dataclasses.fields(part):
            assert "None" not in str(each.type) or each.default is None, each.name


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"num_steps": 0}, "num_steps is 0, but must be above 0"),
        ({"vocab_size": 265}, "the bytes and control tokens alone take 265"),
        ({"copy_steps": -1}, "must be 0 or more"),
        ({"model": "some/model", "copy_steps": 7}, "copy_steps is 7, which changes nothing with model='some/model'"),
        ({"demonstrations": "a.jsonl", "level": 3}, "level is 3, which changes nothing beside demonstrations"),
    ],
)
def test_wrong_settings_of_a_cold_start(values: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=re.escape(message)):
        ColdstartConfig(**values)


@pytest.mark.parametrize("value", [math.inf, math.nan])
def test_what_is_no_number_is_refused_from_python_too(value: float) -> None:
    with pytest.raises(ConfigError, match=f"rollout.turn_timeout_s is {value}, but must be a number above 0"):
        RolloutConfig(turn_timeout_s=value)
    with pytest.raises(ConfigError, match=f"weight_decay and max_skipped are 0, {value}"):
        OptimConfig(weight_decay=value)
