"""The Unicode space: membership, sampling, flattening, and texts unchanged through Gymnasium's vector environments."""

import copy
import multiprocessing
import pickle
import timeit
import warnings
from typing import Any

import gymnasium as gym
import numpy as np
import pytest
from gymnasium.spaces import Dict, Text
from gymnasium.spaces.utils import flatdim, flatten, flatten_space, is_space_dtype_shape_equiv, unflatten
from gymnasium.utils.env_checker import check_env
from gymnasium.vector import AsyncVectorEnv, SyncVectorEnv
from gymnasium.vector.utils import create_shared_memory, read_from_shared_memory, write_to_shared_memory
from gymnasium.wrappers.utils import create_zero_array
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from agentrl.envs.spaces import MAX_LENGTH, Unicode

# Deadlines in wall time fail on a busy machine.
relaxed = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])

HARD = [
    "",
    "\0",
    "plain",
    "\ud800",
    "\udc00\ud800",
    "\U0010ffff",
    "a\0b\0",
    "é" * 100,
    "👩‍👧 \u202e",
    "x" * 200,
    "\n\r\u2028",
]
any_text = st.text(st.characters(codec=None, exclude_categories=()))


class Echo(gym.Env[str, str]):
    """Answers every action with the action; with `hard`, the n-th observation is the n-th hard text."""

    def __init__(self, max_length: int = 200, hard: bool = False) -> None:
        self.observation_space = Unicode(max_length)
        self.action_space = Unicode(max_length)
        self.hard = hard
        self.num_steps = 0

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[str, dict[str, Any]]:
        super().reset(seed=seed)
        self.num_steps = 0
        return f"start {self.np_random.integers(10**9)}", {}

    def step(self, action: str) -> tuple[str, float, bool, bool, dict[str, Any]]:
        self.num_steps += 1
        text = HARD[(self.num_steps - 1) % len(HARD)] if self.hard else action
        return text, 0.0, False, False, {}


@pytest.mark.parametrize("text", HARD)
def test_contains_any_text_up_to_its_length(text: str) -> None:
    assert text in Unicode()
    assert text in Unicode(len(text))
    assert len(text) == 0 or text not in Unicode(len(text) - 1)


@pytest.mark.parametrize("value", [None, 3, b"bytes", ["text"], np.zeros(3)])
def test_contains_nothing_but_text(value: object) -> None:
    assert value not in Unicode()


def test_contains_takes_no_longer_for_a_long_text() -> None:
    space, text = Unicode(), "x" * MAX_LENGTH
    assert min(timeit.repeat(lambda: text in space, number=1000, repeat=5)) / 1000 < 20e-6


def test_sample_is_varied_and_inside_the_space() -> None:
    space = Unicode(seed=1)
    samples = [space.sample() for _ in range(3000)]
    assert all(sample in space for sample in samples)
    assert len(set(samples)) > 2500
    everything = "".join(samples)
    assert "" in samples
    assert max(map(len, samples)) > MAX_LENGTH // 4
    for needle in ("<tool_call>", "<answer>", "[TOOL_CALLS]", "\0", "{{{{"):
        assert needle in everything
    assert any("\ud800" <= character <= "\udfff" for character in everything)
    assert any(character > "\uffff" for character in everything)
    assert any("\u4e00" <= character <= "\u9fff" for character in everything)


def test_sample_depends_on_the_seed_alone() -> None:
    np.random.seed(0)
    before = np.random.get_state(legacy=False)["state"]["key"].copy()
    first, second, third = Unicode(seed=7), Unicode(seed=7), Unicode(seed=8)
    draws = [[space.sample() for _ in range(20)] for space in (first, second, third)]
    assert draws[0] == draws[1] != draws[2]
    first.seed(7)
    assert [first.sample() for _ in range(20)] == draws[0]
    assert np.array_equal(before, np.random.get_state(legacy=False)["state"]["key"])


@pytest.mark.parametrize("max_length", [0, 1, 2, 17])
def test_sample_of_a_small_space(max_length: int) -> None:
    space = Unicode(max_length, seed=3)
    assert {len(space.sample()) for _ in range(500)} == set(range(max_length + 1))


def test_sample_of_a_length() -> None:
    space = Unicode(seed=3)
    assert [len(space.sample(mask=(length, None))) for length in (0, 1, 5, 1000)] == [0, 1, 5, 1000]
    with pytest.raises(ValueError, match="no mask over characters"):
        space.sample(mask=(3, np.ones(4, dtype=np.int8)))


def test_equality_repr_pickle_and_copy() -> None:
    space = Unicode(123, seed=5)
    assert space == Unicode(123) != Unicode(124)
    assert space != Text(123)
    assert Text(123) != space
    assert repr(space) == "Unicode(123)"
    for twin in (pickle.loads(pickle.dumps(space)), copy.deepcopy(space)):
        assert twin == space
        assert twin.sample() == copy.deepcopy(space).sample()
    assert len(pickle.dumps(space)) < 2000
    assert is_space_dtype_shape_equiv(space, Unicode(123))
    assert not is_space_dtype_shape_equiv(space, Unicode(124))


@relaxed
@given(text=any_text)
def test_flatten_round_trip(text: str) -> None:
    space = Unicode(300)
    flat = flatten(space, text[:300])
    assert flat in flatten_space(space)
    assert isinstance(flat, np.ndarray)
    assert flat.shape == (flatdim(space),)
    assert unflatten(space, flat) == text[:300]


def test_flatten_refuses_what_is_not_in_the_space() -> None:
    with pytest.raises(ValueError, match="at most 3 characters, got one of 4"):
        flatten(Unicode(3), "four")


def test_what_text_offers_holds_for_every_character() -> None:
    space = Unicode()
    assert space.character_index("\ud800") == 0xD800
    assert space.character_list[0x1F600] == "😀"
    assert "\0" in space.character_set
    assert len(space.characters) == 0x110000
    assert create_zero_array(space) == ""


def test_check_env_has_nothing_to_say() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        check_env(Echo(MAX_LENGTH), skip_render_check=True)


def _vector(kind: str, num_envs: int = 3, **kwargs: Any) -> gym.vector.VectorEnv[Any, Any, Any]:
    makers = [lambda: Echo(**kwargs)] * num_envs
    if kind == "sync":
        return SyncVectorEnv(makers)
    return AsyncVectorEnv(makers, shared_memory=kind != "async", copy=kind != "async-shared-view")


@pytest.mark.parametrize("kind", ["sync", "async", "async-shared", "async-shared-view"])
def test_vector_environments_pass_every_text_unchanged(kind: str) -> None:
    envs = _vector(kind)
    try:
        first, _ = envs.reset(seed=4)
        assert first in envs.observation_space
        assert [text.split()[0] for text in first] == ["start"] * 3
        assert len(set(first)) == 3
        kept = []
        for text in HARD:
            actions = (text, text[::-1], text[:1])
            assert actions in envs.action_space
            observations, *_ = envs.step(actions)
            assert tuple(observations) == actions
            assert observations in envs.observation_space
            kept.append((actions, observations))
        if kind != "async-shared-view":  # a view follows the memory, as Gymnasium's arrays do with copy=False
            assert all(tuple(observations) == actions for actions, observations in kept)
            assert type(kept[-1][1]) is tuple
    finally:
        envs.close()


def test_a_shared_view_reads_what_is_there_now() -> None:
    envs = _vector("async-shared-view", num_envs=2)
    try:
        view, _ = envs.reset(seed=1)
        envs.step(("a", "b"))
        assert view == ("a", "b")
        assert view[1] == view[-1] == "b"
        assert repr(view) == "('a', 'b')"
        assert pickle.loads(pickle.dumps(view)) == copy.copy(view) == ("a", "b")
        assert "a" in view
    finally:
        envs.close()


def test_shared_memory_inside_a_dict_space() -> None:
    class Nested(Echo):
        def __init__(self) -> None:
            super().__init__(hard=True)
            self.observation_space = Dict({"text": Unicode(200)})  # type: ignore[assignment]

        def reset(self, **kwargs: Any) -> Any:
            return {"text": super().reset(**kwargs)[0]}, {}

        def step(self, action: str) -> Any:
            text, *rest = super().step(action)
            return {"text": text}, *rest

    envs = AsyncVectorEnv([Nested, Nested], shared_memory=True)
    try:
        envs.reset(seed=0)
        for text in HARD:
            assert envs.step(("", ""))[0]["text"] == (text, text)
    finally:
        envs.close()


@pytest.mark.parametrize("mode", ["sync", "async"])
def test_make_vec(mode: str) -> None:
    gym.register("test/Echo-v0", entry_point=lambda **kwargs: Echo(**kwargs))
    try:
        envs = gym.make_vec("test/Echo-v0", num_envs=2, vectorization_mode=mode)
        envs.reset(seed=0)
        assert tuple(envs.step(("one", "\ud800"))[0]) == ("one", "\ud800")
        envs.close()
    finally:
        del gym.registry["test/Echo-v0"]


def test_a_text_too_long_for_shared_memory_is_refused_by_name() -> None:
    space = Unicode(200)
    memory = create_shared_memory(space, n=2, ctx=multiprocessing)
    # Gymnasium's annotation knows of arrays only.
    write_to_shared_memory(space, 1, "x" * 200, memory)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match=r"Unicode\(200\) takes a text of at most 200 characters, got one of 201"):
        write_to_shared_memory(space, 0, "x" * 201, memory)  # type: ignore[arg-type]
    assert read_from_shared_memory(space, memory, n=2) == ("", "x" * 200)
