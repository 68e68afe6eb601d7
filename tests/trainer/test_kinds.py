"""Which loss is chosen, with which bounds, and that a knob which would do nothing is refused."""

from __future__ import annotations

import math
from typing import Any

import pytest

from agentrl.trainer.errors import ConfigError
from agentrl.trainer.loss import LossConfig


def test_defaults() -> None:
    assert (LossConfig().clip_high, LossConfig().drops_overlong) == (0.2, False)
    assert (LossConfig(kind="dapo").clip_high, LossConfig(kind="dapo").drops_overlong) == (0.28, True)
    assert LossConfig(kind="dr_grpo", epsilon_low=0.1).clip_high == 0.1
    assert LossConfig(kind="dapo", epsilon_high=0.5).clip_high == 0.5
    assert not LossConfig(kind="dapo", mask_overlong=False).drops_overlong
    assert (LossConfig(kind="gspo").clip_low, LossConfig(kind="gspo").clip_high) == (3e-4, 4e-4)
    assert LossConfig(kind="cispo").clip_high == 4
    assert LossConfig(kind="sapo", temperature_neg=2.0).temperatures == (1.0, 2.0)
    assert not LossConfig(beta=0.1, kl_in="reward").trains_all
    assert LossConfig(entropy_bonus=0.1).trains_all


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"kind": "drgrpo"}, "loss.kind is 'drgrpo', which is no loss; did you mean 'dr_grpo'"),
        ({"kind": "xyz"}, "choose one of grpo, dr_grpo, dapo"),
        ({"mask_overlong": True}, "mask_overlong is True, which changes nothing under loss.kind 'grpo'.*kind to dapo"),
        ({"kind": "dr_grpo", "mask_overlong": True}, "changes nothing under loss.kind 'dr_grpo'"),
        ({"epsilon_low": 1.0}, "epsilon_low is 1.0, .*clip nothing; write 0.2"),
        ({"epsilon_low": 0.0}, "epsilon_low is 0.0"),
        ({"epsilon_high": 0.0}, "epsilon_high is 0.0, .*default of grpo, 0.2"),
        ({"kind": "dapo", "epsilon_high": math.nan}, "epsilon_high is nan, .*default of dapo, 0.28"),
        ({"kind": "cispo", "epsilon_low": 0.2}, "epsilon_low is 0.2, which changes nothing under loss.kind 'cispo'"),
        ({"kind": "sapo", "epsilon_high": 0.2}, "epsilon_high is 0.2, .*under loss.kind 'sapo'.*or gspo or cispo"),
        (
            {"temperature_pos": 1.0},
            "temperature_pos is 1.0, which changes nothing under loss.kind 'grpo'.*kind to sapo",
        ),
        ({"kind": "sapo", "temperature_neg": 0.0}, "temperature_neg is 0.0, but must be a number above 0"),
        ({"kl_in": "reward"}, "kl_in is 'reward', which changes nothing while loss.beta is 0"),
        ({"kl_in": "both", "beta": 1.0}, "kl_in is 'both'; choose one of loss, reward"),
        ({"entropy_bonus": -1.0}, "entropy_bonus is -1.0"),
        ({"correction": "truncate"}, "correction is 'truncate'; choose one of none, token_truncate"),
        ({"correction_max": 2.0}, "correction_max is 2.0, which changes nothing while loss.correction is 'none'"),
        ({"correction": "token_mask", "correction_max": 0.0}, "correction_max is 0.0, but must be"),
        ({"beta": -0.1}, "beta is -0.1"),
        ({"beta": math.inf}, "beta is inf"),
    ],
)
def test_a_wrong_or_idle_knob_is_an_error(values: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        LossConfig(**values)
