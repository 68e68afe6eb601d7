"""What `env_workers` and its table say: what cannot be right, or would change nothing, is refused by name."""

from __future__ import annotations

import re
import subprocess
import sys
from typing import Any

import pytest

from agentrl.trainer.config import TrainConfig, from_mapping, to_toml
from agentrl.trainer.errors import ConfigError
from agentrl.trainer.workers import RayConfig, num_workers_of

WRONG: dict[str, tuple[dict[str, Any], str]] = {
    "none": ({"env_workers": "ray:0"}, "must be ray:N with N worker processes of 1 or more; write ray:4"),
    "words": ({"env_workers": "ray:x"}, "must be ray:N with N worker processes of 1 or more; write ray:4"),
    "no number": ({"env_workers": "ray"}, "must be ray:N with N worker processes"),
    "another": ({"env_workers": "dask:3"}, "environments go to Ray alone; write ray:4"),
    "no effect": ({"ray": {"num_cpus": 2.0}}, "ray.num_cpus is 2.0, which changes nothing without env_workers"),
    "no effect either": ({"ray": {"address": "auto"}}, "ray.address is 'auto', which changes nothing"),
    "too few": ({"env_workers": "ray:2", "ray": {"num_cpus": -1.0}}, "ray.num_cpus is -1.0, but must be a number of 0"),
    "no amount": (
        {"env_workers": "ray:2", "ray": {"resources": {"box": "one"}}},
        "ray.resources.box is 'one', but must be a number of 0 or more",
    ),
    "no memory": ({"env_workers": "ray:2", "ray": {"memory_mb": 0}}, "ray.memory_mb is 0, but must be 1 or more"),
    "no time": (
        {"env_workers": "ray:2", "ray": {"start_timeout_s": 0.0}},
        "ray.start_timeout_s is 0.0, but must be a number above 0",
    ),
}


@pytest.mark.parametrize(("values", "told"), WRONG.values(), ids=WRONG)
def test_what_cannot_be_is_refused(values: dict[str, Any], told: str) -> None:
    with pytest.raises(ConfigError, match=re.escape(told)):
        from_mapping(TrainConfig, values)


def test_what_is_written_is_read_back() -> None:
    import tomllib

    config = TrainConfig(env_workers="ray:3", ray=RayConfig(address="head:6379", memory_mb=500, resources={"box": 0.5}))
    assert from_mapping(TrainConfig, tomllib.loads(to_toml(config))) == config
    assert num_workers_of(config.env_workers) == 3
    assert config.ray.options() == {"num_cpus": 1.0, "memory": 500 * 2**20, "resources": {"box": 0.5}}


def test_without_ray_it_says_what_to_install() -> None:
    code = "import sys; sys.modules['ray'] = None\nfrom agentrl.trainer.workers import RayWorkers\nRayWorkers(1)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=50, check=False)
    assert "ConfigError: env_workers needs Ray; type: pip install 'agentrl-gym[ray]'" in done.stderr


def test_the_workers_package_loads_neither_ray_nor_torch() -> None:
    code = "import sys, agentrl.trainer.workers\nprint([name for name in ('ray', 'torch') if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=50, check=True)
    assert done.stdout == "[]\n"
