"""A workload: means are kept, limits are kept, every episode is drawn equally often, and a file says what is wrong."""

from __future__ import annotations

import statistics
from collections import Counter
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agentrl.trainer.errors import ConfigError
from agentrl.trainer.scaling.workload import Play, Turn, Workload


@given(
    turns=st.integers(1, 8),
    prompt=st.integers(1, 2000),
    sampled=st.floats(20, 1000),
    reply=st.integers(0, 500),
    spread=st.floats(0, 2),
    env_s=st.floats(0, 5),
)
def test_means_are_those_that_were_said(
    turns: int, prompt: int, sampled: float, reply: int, spread: float, env_s: float
) -> None:
    work = Workload.described(
        turns=turns,
        prompt_tokens=prompt,
        sampled_tokens=sampled,
        reply_tokens=reply,
        spread=spread,
        env_s=env_s,
        env_cpu_s=env_s / 2,
    )
    assert work.turns == turns
    assert work.sampled / turns == pytest.approx(sampled, abs=0.6)  # whole tokens
    assert work.tokens == pytest.approx(work.sampled + prompt + reply * (turns - 1))
    assert (work.env_s, work.env_cpu_s) == pytest.approx((env_s, env_s / 2))


def test_spread_is_that_of_the_log_normal() -> None:
    work = Workload.described(turns=1, prompt_tokens=1, sampled_tokens=10_000, spread=0.5)
    lengths = [play.turns[0].sampled for play in work.plays]
    assert statistics.pstdev(lengths) / statistics.fmean(lengths) == pytest.approx(0.5, rel=0.05)


def test_a_limit_keeps_the_mean() -> None:
    work = Workload.described(
        turns=2, prompt_tokens=100, sampled_tokens=450, reply_tokens=50, spread=2, max_tokens=2000
    )
    assert max(play.tokens for play in work.plays) <= 2001
    assert work.sampled == pytest.approx(900, rel=0.01)


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"turns": 0}, "turns is 0"),
        ({"sampled_tokens": float("inf")}, "sampled_tokens is inf"),
        ({"env_s": -1}, "env_s is -1"),
        ({"env_s": 1, "env_cpu_s": 2}, "env_cpu_s is 2, but is a part of env_s, which is 1"),
        ({"max_tokens": 50}, "max_tokens is 50"),
    ],
)
def test_what_cannot_be_is_refused(changed: dict[str, float], said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        Workload.described(**{"turns": 1, "prompt_tokens": 10, "sampled_tokens": 100, **changed})  # type: ignore[arg-type]


def test_a_file(tmp_path: Path) -> None:
    path = tmp_path / "work.toml"
    path.write_text("turns = 3\nprompt_tokens = 200\nsampled_tokens = 40\nenv_s = 0.5\nspread = 0\n")
    assert Workload.read(path) == Workload.described(turns=3, prompt_tokens=200, sampled_tokens=40, env_s=0.5, spread=0)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("turns = [", "is no TOML"),
        ("turns = 3\nprompt_tokens = 9\n", "lacks sampled_tokens"),
        ("turnz = 3\n", "has 'turnz'; there are turns, prompt_tokens"),
        ('turns = "3"\n', "turns is '3', but must be a number"),
    ],
)
def test_a_file_that_is_wrong_says_so(tmp_path: Path, text: str, said: str) -> None:
    path = tmp_path / "work.toml"
    path.write_text(text)
    with pytest.raises(ConfigError, match=said.replace("(", r"\(")):
        Workload.read(path)
    with pytest.raises(ConfigError, match="No such file"):
        Workload.read(tmp_path / "other.toml")


def test_every_episode_is_drawn_equally_often() -> None:
    plays = [
        Play(reset_s=0, reset_cpu_s=0, turns=(Turn(read=number, sampled=1, env_s=0, env_cpu_s=0),))
        for number in range(5)
    ]
    work = Workload(plays=tuple(plays))
    drawn = [play.turns[0].read for play in work.draw(20, seed=3)]
    assert Counter(drawn) == dict.fromkeys(range(5), 4)
    assert drawn == [play.turns[0].read for play in work.draw(20, seed=3)]
    assert drawn != sorted(drawn)
    assert len(work.draw(7)) == 7


def test_it_survives_json() -> None:
    work = Workload.described(turns=2, prompt_tokens=10, sampled_tokens=20, env_s=0.3, reset_s=0.1)
    assert Workload.from_dict(work.as_dict()) == work
    for rows in ([], [[1, 2]], [["a", 0, [1, 2, 3, 4]]], [[0, 0, [1, 2]]]):
        with pytest.raises(ConfigError):
            Workload.from_dict(rows)
