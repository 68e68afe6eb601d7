"""Environments in worker processes of a real Ray cluster: the same episodes, and no fault becomes a reward."""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import gymnasium
import pytest

from agentrl.trainer.chat import Chat
from agentrl.trainer.desk import Allowance, Desk, EnvFailure
from agentrl.trainer.engines.torch import TorchEngine
from agentrl.trainer.errors import ConfigError, WorkersError
from agentrl.trainer.rollout import RolloutConfig, Rollouts, Task
from agentrl.trainer.types import Episode
from agentrl.trainer.workers import RayConfig, RayWorkers, pool
from agentrl.trainer.wrapping import WrapperConfig, make_env
from tests.trainer.workers.toys import Toy, loaded, process

TASKS = [
    Task(step=1, group=group, member=member, seed=40 + group, split="train", level=None, temperature=1.0)
    for group in range(3)
    for member in range(4)
]
FAULTS = {
    "raises": ("exception", "environment"),
    "exits": ("exception", "environment"),
    "local error": ("exception", "environment"),
    "far": ("unreachable", "retriever"),
    "words": ("protocol", "environment"),
    "sends a lock": ("protocol", "environment"),
    "dies": ("lost", "worker"),
    "hangs": ("timeout", "environment"),
}


@pytest.fixture(scope="module")
def opened(ray_cluster: Any) -> Iterator[RayWorkers]:
    with RayWorkers(2) as made:
        yield made


@pytest.fixture
def workers(opened: RayWorkers) -> RayWorkers:
    """Two workers; one that the test before has ended is back."""
    end = time.monotonic() + 40
    while len(opened.places()) < 2:
        assert time.monotonic() < end
        time.sleep(0.05)
    return opened


Play = Callable[..., list[Episode]]


@pytest.fixture
def play(tiny_model: Callable[..., Any], tokenizer: Any, tmp_path: Path) -> Iterator[Play]:
    """Play tasks on the toy: `play(workers, config={…}, **of the environment)`."""
    with TorchEngine(tiny_model()) as engine:

        def run(workers: RayWorkers | None, config: dict[str, Any] | None = None, **kwargs: Any) -> list[Episode]:
            settings = RolloutConfig(**{"concurrency": 12, "max_turn_tokens": 5} | (config or {}))
            rollouts = Rollouts(
                env_id="Toy/Far-v0",
                env_kwargs=kwargs,
                engine=engine,
                chat=Chat(tokenizer),
                config=settings,
                workers=workers,
            )
            try:
                return rollouts.play(TASKS)
            finally:
                rollouts.close()

        yield run


def key(episode: Episode) -> tuple[Any, ...]:
    """Return what of an episode must not depend on where its environment is."""
    return episode.group, episode.member, episode.token_ids, episode.mask, episode.reward, episode.messages


def call(desk: Desk, job: Callable[[Any], Any], *, turn_s: float = 30.0) -> Any:
    return asyncio.run(desk.call(job, Allowance(turn_s=turn_s, episode_s=60.0), "job"))


def test_the_same_episodes_as_in_threads(workers: RayWorkers, play: Play, tmp_path: Path) -> None:
    here = play(None)
    there = play(workers, folder=str(tmp_path))
    assert list(map(key, there)) == list(map(key, here))
    assert [episode.logprobs for episode in there] == [episode.logprobs for episode in here]
    assert [episode.failure for episode in there] == [None] * len(TASKS)
    made, closed = (sorted(tmp_path.glob(f"{what}-*")) for what in ("made", "closed"))
    assert len(made) == len(closed) == len(TASKS)
    pids = {int(path.name.split("-")[1]) for path in closed}
    assert len(pids) == 2  # both workers have had some
    assert os.getpid() not in pids


@pytest.mark.parametrize("fault", FAULTS)
def test_a_fault_is_played_again(workers: RayWorkers, play: Play, fault: str, tmp_path: Path) -> None:
    sound = play(None)
    episodes = play(workers, {"turn_timeout_s": 1.0 if fault == "hangs" else 30.0}, folder=str(tmp_path), fault=fault)
    assert list(map(key, episodes)) == list(map(key, sound))
    assert [episode.failure for episode in episodes] == [None] * len(TASKS)
    again = sum(episode.attempt > 0 for episode in episodes)
    assert again == 1 if fault != "dies" else 1 <= again <= 6  # a worker takes its neighbours with it, half of all


@pytest.mark.parametrize("fault", FAULTS)
def test_a_fault_that_stays_is_counted(workers: RayWorkers, play: Play, fault: str, tmp_path: Path) -> None:
    config = {"turn_timeout_s": 1.0 if fault == "hangs" else 30.0, "max_retries": 0}
    failed = [each for each in play(workers, config, folder=str(tmp_path), fault=fault) if each.failure is not None]
    assert len(failed) == 1 if fault != "dies" else 1 <= len(failed) <= 6
    for episode in failed:
        assert episode.failure is not None
        assert (episode.failure["kind"], episode.failure["boundary"]) == FAULTS[fault]
        assert episode.failure["message"]


def desks_of(workers: RayWorkers, **kwargs: Any) -> Any:
    return workers.desks(partial(make_env, kwargs=kwargs, wrapper=WrapperConfig()))


def test_a_worker_is_light_and_many_environments_share_it(workers: RayWorkers) -> None:
    desks = desks_of(workers)
    lent = [desks.lend("Toy/Far-v0") for _ in range(20)]
    pids = [call(desk, process) for desk in lent]
    assert {pids.count(pid) for pid in pids} == {10}
    assert call(lent[0], loaded) == []
    desks.close()


def test_ids_that_only_this_process_knows(workers: RayWorkers) -> None:
    class Mine(Toy):
        """Of a function: no module of the worker has it."""

    gymnasium.register(id="Toy/Mine-v0", entry_point=Mine, disable_env_checker=True)  # type: ignore[arg-type]
    desks = desks_of(workers)
    for env_id in ("Toy/Mine-v0", "tests.trainer.workers.toys:Toy/Far-v0"):
        desk = desks.lend(env_id)
        assert call(desk, lambda env: env.reset(seed=7)[0]) == "What is 7?"
    with pytest.raises(ConfigError, match="Toy/None"):
        call(desks.lend("Toy/None-v0"), process)
    desks.close()


def test_environments_that_cannot_be_made(workers: RayWorkers) -> None:
    for kwargs, error, told in (
        ({"wrong": 1}, ConfigError, "cannot be made"),
        ({"fault": "make"}, EnvFailure, "no server"),
    ):
        desks = desks_of(workers, **kwargs)
        desk = desks.lend("Toy/Far-v0")
        with pytest.raises(error, match=told):
            call(desk, process)
        desks.take_back("Toy/Far-v0", desk)
        desks.close()


def test_what_cannot_be_sent_says_so(workers: RayWorkers) -> None:
    import threading

    lock = threading.Lock()
    with pytest.raises(ConfigError, match="cannot be sent to a worker process"):
        desks_of(workers, folder=lock).lend("Toy/Far-v0")


def test_a_worker_with_many_hanging_threads_is_replaced(
    workers: RayWorkers, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(pool, "_MOST_STUCK", 1)
    desks = desks_of(workers)
    before = set(workers.places())
    for _ in range(5):
        desk = desks.lend("Toy/Far-v0")
        with pytest.raises(EnvFailure, match=r"longer than 0\.5 s"):
            call(desk, lambda env: time.sleep(600), turn_s=0.5)
        desk.abandon()
    end = time.monotonic() + 30
    while set(workers.places()) & before or len(workers.places()) < 2:
        assert time.monotonic() < end
        time.sleep(0.1)
    assert call(desks.lend("Toy/Far-v0"), process) > 0


def test_workers_that_keep_dying_end_the_run(ray_cluster: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pool, "_RESTARTS", 1)
    began = time.monotonic()
    with RayWorkers(1) as workers:
        desks = desks_of(workers)
        for _ in range(2):
            with pytest.raises(EnvFailure, match="was lost"):
                call(desks.lend("Toy/Far-v0"), lambda env: os._exit(3))
        with pytest.raises(WorkersError, match="all workers are lost, after 1 restarts within a minute"):
            call(desks.lend("Toy/Far-v0"), process)
        with pytest.raises(WorkersError):  # and stays so
            call(desks.lend("Toy/Far-v0"), process)
    assert time.monotonic() - began < 40


def test_no_places_are_told_within_the_deadline(ray_cluster: Any) -> None:
    began = time.monotonic()
    with pytest.raises(
        WorkersError, match=r"1 of 2 workers have places after 10 s\. Each asks for num_cpus 4; .* CPU 8"
    ):
        RayWorkers(2, RayConfig(num_cpus=4, start_timeout_s=10.0))
    with pytest.raises(WorkersError, match=r"0 of 1 workers .*sandbox 1; .*sandbox 0"):
        RayWorkers(1, RayConfig(resources={"sandbox": 1}, start_timeout_s=1.0))
    assert time.monotonic() - began < 25


def test_closing_leaves_no_process(ray_cluster: Any) -> None:
    with RayWorkers(2) as workers:
        pids = [int(place.rpartition(" ")[2]) for place in workers.places()]
        workers.close()
    end = time.monotonic() + 10
    while any(Path(f"/proc/{pid}").exists() for pid in pids):
        assert time.monotonic() < end
        time.sleep(0.1)
    with pytest.raises(WorkersError, match="have ended"):
        call(desks_of(workers).lend("Toy/Far-v0"), process)
