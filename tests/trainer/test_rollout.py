"""Rollouts on small environments that misbehave on demand: what was sampled is kept, and a fault is never a reward."""

from __future__ import annotations

import itertools
import random
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import gymnasium
import pytest
from gymnasium.spaces import Text

from agentrl.trainer.chat import Chat
from agentrl.trainer.credit import set_advantages
from agentrl.trainer.engines.base import Engine, Request, Session
from agentrl.trainer.engines.torch import TorchEngine
from agentrl.trainer.errors import ConfigError, EngineError
from agentrl.trainer.metrics import episode_metrics
from agentrl.trainer.rollout import RolloutConfig, Rollouts, Task
from agentrl.trainer.types import Completion, Episode

MADE: dict[str, Iterator[int]] = {}  # by tag: numbers the environments made for one test
NEVER = threading.Event()  # what a hanging environment waits for


class Boundary(Exception):
    """An infrastructure error as AgentRL's environments raise it: it says what failed."""

    kind, boundary = "unreachable", "retriever"


class Toy(gymnasium.Env[str, str]):
    """Asks for the task's number, a few times; the first environments made for a `tag` are faulty.

    Args:
        tag: Counts the environments of one test.
        faulty: How many environments of this tag have the fault.
        fault: A name in `FAULTS`.
        turns: Steps of an episode.
        pause_s: Longest random pause of a step.
        slow_seed: A task whose every step takes `pause_s`.
    """

    def __init__(
        self,
        *,
        tag: str = "",
        faulty: int = 0,
        fault: str = "",
        turns: int = 2,
        pause_s: float = 0.0,
        slow_seed: int | None = None,
        reply: str = "go on",
    ) -> None:
        self.action_space = self.observation_space = Text(10_000)
        number = next(MADE.setdefault(tag, itertools.count()))
        self.fault = fault if number < faulty else ""
        self.turns, self.pause_s, self.slow_seed, self.reply = turns, pause_s, slow_seed, reply
        self.closed = False
        if self.fault == "make raises":
            raise Boundary("no server")

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> Any:
        super().reset(seed=seed)
        self.task, self.left, self.options = seed, self.turns, options or {}
        if self.fault.startswith("reset "):
            return FAULTS[self.fault](self)
        task = {"id": f"task {seed}", **self.options}
        return f"What is {seed}?", {"system": "Count.", "task": task}

    def step(self, action: str) -> Any:
        self.left -= 1
        if self.pause_s and self.slow_seed in (None, self.task):
            time.sleep(self.pause_s if self.slow_seed is not None else random.random() * self.pause_s)
        if self.fault and self.left == 0:
            return FAULTS[self.fault](self)
        done = self.left == 0
        info = {"rewards": {"length": len(action) / 10}, **({"success": len(action) % 2 == 0} if done else {})}
        return self.reply, len(action) / 10, done, False, info

    def close(self) -> None:
        if self.closed:
            raise RuntimeError("closed twice")
        self.closed = True


def throw(error: BaseException) -> Callable[[Toy], Any]:
    def fault(env: Toy) -> Any:
        raise error

    return fault


def give(*answer: Any) -> Callable[[Toy], Any]:
    return lambda env: answer


def hang(env: Toy) -> Any:
    NEVER.wait()


# fault -> what the environment does instead of its last step, or of its reset
FAULTS: dict[str, Callable[[Toy], Any]] = {
    "raises": throw(RuntimeError("broken pipe")),
    "raises what infrastructure failed": throw(Boundary("no server")),
    "leaves by sys.exit": throw(SystemExit(1)),
    "raises StopIteration": throw(StopIteration()),
    "raises TimeoutError": throw(TimeoutError("its own")),
    "is interrupted": throw(KeyboardInterrupt()),
    "hangs": hang,
    "tells a failure": give("", 0.0, False, True, {"failure": {"kind": "k", "boundary": "b", "message": "m"}}),
    "tells half a failure": give("", 0.0, False, True, {"failure": {"kind": "k"}}),
    "tells a failure as text": give("", 0.0, False, True, {"failure": "yes"}),
    "returns None": lambda env: None,
    "returns four values": give("", 0.0, True, {}),
    "observes bytes": give(b"", 0.0, False, False, {}),
    "gives words as reward": give("", "much", True, False, {}),
    "gives no reward": give("", None, True, False, {}),
    "gives NaN as reward": give("", float("nan"), True, False, {}),
    "ends with a text": give("", 1.0, "no", False, {}),
    "informs by a list": give("", 1.0, True, False, []),
    "names rewards in a list": give("", 1.0, True, False, {"rewards": [1.0]}),
    "gives a component of None": give("", 1.0, True, False, {"rewards": {"f1": None}}),
    "succeeds in words": give("", 1.0, True, False, {"success": "yes"}),
    "replies a text": give("", 1.0, False, False, {"replies": "hello"}),
    "replies in a strange role": give("", 1.0, False, False, {"replies": [{"role": "system", "content": "x"}]}),
    "replies no text": give("", 1.0, False, False, {"replies": [{"role": "tool", "name": "t", "content": 3}]}),
    "reset raises": throw(RuntimeError("broken pipe")),
    "reset hangs": hang,
    "reset returns a text": lambda env: "What?",
    "reset observes None": give(None, {}),
    "reset informs by None": give("What?", None),
    "reset tells tools as text": give("What?", {"tools": "search"}),
    "reset tells a level of words": give("What?", {"task": {"level": "hard"}}),
    "make raises": throw(AssertionError()),
}
KINDS = (
    {"hangs": "timeout", "reset hangs": "timeout", "tells a failure": "k", "tells half a failure": "k"}
    | dict.fromkeys(
        (
            "raises",
            "leaves by sys.exit",
            "raises StopIteration",
            "raises TimeoutError",
            "is interrupted",
            "reset raises",
        ),
        "exception",
    )
    | dict.fromkeys(("raises what infrastructure failed", "make raises"), "unreachable")
)  # all others: protocol

gymnasium.register(id="Toy/Rollout-v0", entry_point=Toy, disable_env_checker=True)  # type: ignore[arg-type]


class Listening(Engine):
    """The real engine; keeps what was asked of it and what it answered."""

    def __init__(self, inner: Engine) -> None:
        self.inner = inner
        self.heard: dict[tuple[int, ...], list[tuple[Request, Completion]]] = {}
        self.num_aborts = 0  # turns to come that end as an update would end them

    def session(self) -> Session:
        heard, inner, engine = self.heard, self.inner.session(), self

        class Recorded(Session):
            async def generate(self, request: Request) -> Completion:
                completion = await inner.generate(request)
                if engine.num_aborts:
                    engine.num_aborts -= 1
                    completion = replace(completion, finish="abort")
                heard.setdefault(request.order, []).append((request, completion))
                return completion

            def forget(self) -> None:
                inner.forget()

            def close(self) -> None:
                inner.close()

        return Recorded()

    def update_weights(self, version: int) -> None:
        self.inner.update_weights(version)

    def close(self) -> None:
        self.inner.close()


@pytest.fixture(scope="module")
def chat(tokenizer: Any) -> Chat:
    return Chat(tokenizer)


@pytest.fixture
def engine(tiny_model: Callable[..., Any]) -> Iterator[Listening]:
    with Listening(TorchEngine(tiny_model())) as made:
        yield made


@pytest.fixture
def play(engine: Engine, chat: Chat, request: pytest.FixtureRequest) -> Iterator[Callable[..., list[Episode]]]:
    """Play tasks on the toy: `play(tasks, config={…}, **of the environment)`."""
    opened: list[Rollouts] = []
    MADE.clear()

    def run(
        tasks: list[Task], *, config: dict[str, Any] | None = None, env: str = "Toy/Rollout-v0", **kwargs: Any
    ) -> Any:
        settings = {"concurrency": 4, "max_turn_tokens": 5, "turn_timeout_s": 20.0} | (config or {})
        if env.startswith("Toy/"):
            kwargs["tag"] = request.node.name
        rollouts = Rollouts(env_id=env, env_kwargs=kwargs, engine=engine, chat=chat, config=RolloutConfig(**settings))
        opened.append(rollouts)
        return rollouts.play(tasks)

    yield run
    for rollouts in opened:
        rollouts.close()
        rollouts.close()


def some_tasks(groups: int = 2, members: int = 4, *, temperature: float = 1.0) -> list[Task]:
    return [
        Task(step=3, group=group, member=member, seed=40 + group, split="train", level=2, temperature=temperature)
        for group in range(groups)
        for member in range(members)
    ]


def test_masks_cover_exactly_what_was_sampled(
    play: Callable[..., list[Episode]], engine: Listening, tokenizer: Any
) -> None:
    tasks = some_tasks(6, 4)
    episodes = play(tasks, turns=3)
    for task, episode in zip(tasks, episodes, strict=True):
        turns = engine.heard[(task.step, task.group, task.member)]
        assert len(turns) == episode.num_turns == 3
        rebuilt: list[int] = []
        for request, completion in turns:
            assert list(request.prompt_ids) == episode.token_ids[: len(request.prompt_ids)]
            assert not any(episode.mask[len(rebuilt) : len(request.prompt_ids)])
            rebuilt = [*request.prompt_ids, *completion.token_ids]
            assert all(episode.mask[len(request.prompt_ids) : len(rebuilt)])
        assert rebuilt == episode.token_ids
        told = [value for _, completion in turns for value in completion.logprobs]
        assert [value for value, on in zip(episode.logprobs, episode.mask, strict=True) if on] == told
        assert all(value == 0.0 for value, on in zip(episode.logprobs, episode.mask, strict=True) if not on)
        said = [message["content"] for message in episode.messages if message["role"] == "assistant"]
        assert episode.reward == pytest.approx(sum(len(text) for text in said) / 10)
        assert episode.rewards == {"length": pytest.approx(episode.reward)}
        assert episode.success == (len(said[-1]) % 2 == 0)
        outside = [token for token, on in zip(episode.token_ids, episode.mask, strict=True) if not on]
        text = tokenizer.decode(outside)
        assert text.startswith(f"<|user|>What is {task.seed}?<|end|><|assistant|>")
        assert text.count("go on") == 2
        assert [message["role"] for message in episode.messages] == [
            "system",
            "user",
            *["assistant", "user"] * 2,
            "assistant",
        ]
        assert (episode.seed, episode.level, episode.split, episode.step) == (task.seed, 2, "train", 3)
        assert episode.versions == [0, 0, 0]


def test_a_group_shares_its_task_and_not_its_draws(play: Callable[..., list[Episode]]) -> None:
    episodes = play(some_tasks(3, 4))
    for group in range(3):
        members = [episode for episode in episodes if episode.group == group]
        assert {episode.task_id for episode in members} == {f"task {40 + group}"}
        assert len({tuple(episode.token_ids) for episode in members}) == 4


def test_the_same_episodes_whatever_the_timing(play: Callable[..., list[Episode]]) -> None:
    tasks = some_tasks(5, 4)
    first, second = (play(tasks, turns=3, pause_s=pause) for pause in (0.0, 0.02))
    assert [(e.token_ids, e.logprobs, e.reward) for e in first] == [(e.token_ids, e.logprobs, e.reward) for e in second]


def test_turns_are_recorded(play: Callable[..., list[Episode]]) -> None:
    episodes = play(some_tasks(2, 4), turns=3)
    for episode in episodes:
        assert len(episode.turn_rewards) == len(episode.turn_lengths) == episode.num_turns == 3
        assert sum(episode.turn_rewards) == pytest.approx(episode.reward)
        actions = [message["content"] for message in episode.messages if message["role"] == "assistant"]
        assert episode.turn_rewards == [len(action) / 10 for action in actions]
        assert episode.turn_components == [{"length": len(action) / 10} for action in actions]
        # The sampled tokens, cut where something else stands between them.
        runs = [len(list(run)) for on, run in itertools.groupby(episode.mask) if on]
        assert episode.turn_lengths == runs
    # The first turn answers the task, which a group shares; the others answer "go on".
    states = {(episode.group, *episode.turn_states) for episode in episodes}
    assert len(states) == 2
    (_, one, again, third), (_, other, *same) = states
    assert again == third == same[0] == same[1]
    assert len({one, other, again}) == 3


@pytest.mark.parametrize("fault", FAULTS)
def test_a_fault_is_played_again_in_a_fresh_environment(play: Callable[..., list[Episode]], fault: str) -> None:
    tasks = some_tasks(1, 4)
    sound = play(tasks)
    MADE.clear()
    episodes = play(tasks, faulty=1, fault=fault, config={"turn_timeout_s": 0.3 if "hangs" in fault else 20.0})
    assert [episode.failure for episode in episodes] == [None] * 4
    assert sorted(episode.attempt for episode in episodes) == [0, 0, 0, 1]
    assert [(e.reward, e.messages) for e in episodes] == [(e.reward, e.messages) for e in sound]


@pytest.mark.parametrize("fault", FAULTS)
def test_a_fault_that_stays_is_counted_and_never_a_reward(play: Callable[..., list[Episode]], fault: str) -> None:
    timeout = 0.15 if "hangs" in fault else 20.0
    episodes = play(some_tasks(1, 4), faulty=1, fault=fault, config={"max_retries": 0, "turn_timeout_s": timeout})
    failed = [episode for episode in episodes if episode.failure is not None]
    assert len(failed) == 1
    assert failed[0].failure is not None
    assert failed[0].failure["kind"] == KINDS.get(fault, "protocol")
    assert failed[0].failure["boundary"]
    assert failed[0].failure["message"]
    set_advantages(episodes, "dr_grpo")
    valid = [episode for episode in episodes if episode.failure is None]
    mean = sum(episode.reward for episode in valid) / 3
    assert [episode.advantage for episode in valid] == pytest.approx([e.reward - mean for e in valid], abs=1e-6)
    assert failed[0].advantage == 0
    assert episode_metrics(episodes)[f"failures/{KINDS.get(fault, 'protocol')}"] == 1
    assert episode_metrics(episodes)["reward"] == pytest.approx(mean)


def test_retries_end(play: Callable[..., list[Episode]]) -> None:
    episodes = play(some_tasks(1, 2), faulty=100, fault="raises", config={"max_retries": 2})
    assert [episode.attempt for episode in episodes] == [2, 2]
    assert all(episode.failure and "broken pipe" in episode.failure["message"] for episode in episodes)
    # Two at first, and a fresh one after each of the six failures.
    assert next(MADE["test_retries_end"]) in (6, 7, 8)


def test_a_straggler_holds_the_batch_no_longer_than_its_deadline(play: Callable[..., list[Episode]]) -> None:
    tasks = some_tasks(4, 2)
    play(tasks)  # so that nothing is loaded within the time that is measured
    began = time.monotonic()
    config = {"concurrency": 8, "turn_timeout_s": 0.4, "episode_timeout_s": 1.0, "max_retries": 40}
    episodes = play(tasks, turns=4, pause_s=60.0, slow_seed=41, config=config)
    took = time.monotonic() - began
    assert 1.0 <= took < 8.0
    for episode in episodes:
        if episode.seed == 41:
            assert episode.failure is not None
            assert episode.failure["kind"] == "timeout"
        else:
            assert episode.failure is None
            assert episode.attempt == 0


def test_many_slow_turns_meet_the_deadline_of_the_episode(play: Callable[..., list[Episode]]) -> None:
    config = {"turn_timeout_s": 5.0, "episode_timeout_s": 0.5, "max_retries": 5}
    began = time.monotonic()
    episodes = play(some_tasks(1, 2), turns=100, pause_s=0.1, slow_seed=40, config=config)
    assert time.monotonic() - began < 8.0
    for episode in episodes:
        assert episode.failure == {
            "kind": "timeout",
            "boundary": "episode",
            "message": "the environment took more than 0.5 s in all",
        }


def test_an_environment_without_text_is_spoken(play: Callable[..., list[Episode]]) -> None:
    episodes = play(some_tasks(), env="Blackjack-v1")
    assert all(episode.failure is None for episode in episodes)
    assert all(episode.messages[1]["content"].startswith("sum ") for episode in episodes)


def test_an_environment_that_cannot_be_made_is_the_users_error(play: Callable[..., list[Episode]]) -> None:
    with pytest.raises(ConfigError, match="cannot be made"):
        play(some_tasks(), env="Toy/Missing-v0")
    with pytest.raises(ConfigError, match="colour"):
        play(some_tasks(), colour="red")


def test_an_engine_that_fails_stops_everything(play: Callable[..., list[Episode]], engine: Listening) -> None:
    play(some_tasks())
    engine.close()
    with pytest.raises(EngineError, match="closed"):
        play(some_tasks())


def test_an_episode_whose_turn_was_aborted_is_played_again(
    play: Callable[..., list[Episode]], engine: Listening
) -> None:
    engine.num_aborts = 2
    episodes = play(some_tasks())
    assert sorted(episode.attempt for episode in episodes) == [0] * 6 + [1] * 2
    assert all(episode.failure is None for episode in episodes)
    engine.num_aborts = 1
    (episode,) = play(some_tasks(1, 1), config={"max_retries": 0})
    assert episode.failure == {
        "kind": "aborted",
        "boundary": "engine",
        "message": "a weight update ended the turn (engine.in_flight is 'abort')",
    }


def test_the_limits_of_tokens_are_recorded(play: Callable[..., list[Episode]], chat: Chat) -> None:
    prompt = len(chat.prompt([{"role": "user", "content": "What is 40?"}], []))
    tasks = some_tasks(1, 8)
    cut = play(tasks, turns=1, config={"max_turn_tokens": 1})
    assert {episode.truncated_by for episode in cut} == {"length"}
    assert all(sum(episode.mask) == 1 for episode in cut)

    limit = prompt + 30
    for episode in play(tasks, turns=50, config={"max_episode_tokens": limit}):
        assert episode.truncated_by == "context"
        assert len(episode.token_ids) <= limit
        assert episode.mask[-1]  # nothing stands behind the last turn that the model could not answer
        assert episode.success is None

    for episode in play(tasks, turns=50, reply="x" * 5000, config={"max_episode_tokens": limit}):
        assert episode.truncated_by == "context"
        assert episode.num_turns == 1
        assert len(episode.token_ids) <= limit

    for episode in play(tasks, turns=50, config={"max_episode_tokens": prompt}):
        assert (episode.truncated_by, episode.num_turns, any(episode.mask)) == ("context", 0, False)


def test_a_limit_of_turns_is_recorded(play: Callable[..., list[Episode]]) -> None:
    gymnasium.register(id="Toy/Timed-v0", entry_point=Toy, max_episode_steps=2, disable_env_checker=True)  # type: ignore[arg-type]
    episodes = play(some_tasks(1, 4), env="Toy/Timed-v0", turns=9, config={"max_turn_tokens": 200})
    assert [episode.num_turns for episode in episodes] == [2] * 4
    ended = [episode.messages[-1]["role"] for episode in episodes]
    assert ended == ["assistant"] * 4
    assert {episode.truncated_by for episode in episodes} <= {"turns", "length"}


def test_an_environment_is_used_again_and_closed_once(
    play: Callable[..., list[Episode]], request: pytest.FixtureRequest
) -> None:
    play(some_tasks(5, 4), config={"concurrency": 3})
    assert next(MADE[request.node.name]) == 3  # fifteen episodes, three environments


HANGING = """
import sys, threading
import gymnasium
from gymnasium.spaces import Text
from agentrl.trainer.chat import Chat
from agentrl.trainer.engines.torch import TorchEngine
from agentrl.trainer.rollout import RolloutConfig, Rollouts, Task
from agentrl.trainer.tiny import make_tiny_model, train_tokenizer

class Hanging(gymnasium.Env):
    action_space = observation_space = Text(100)
    def reset(self, *, seed=None, options=None):
        return "go", {}
    def step(self, action):
        threading.Event().wait()

gymnasium.register(id="Toy/Hanging-v0", entry_point=Hanging, disable_env_checker=True)
tokenizer = train_tokenizer(["go"], vocab_size=270)
engine = TorchEngine(make_tiny_model(tokenizer, seed=0, hidden=32, layers=1))
config = RolloutConfig(turn_timeout_s=0.2, max_retries=1, max_turn_tokens=3)
rollouts = Rollouts(env_id="Toy/Hanging-v0", env_kwargs={}, engine=engine, chat=Chat(tokenizer), config=config)
task = Task(step=0, group=0, member=0, seed=0, split="train", level=None, temperature=1.0)
print(rollouts.play([task])[0].failure["kind"], flush=True)
"""


def test_a_hanging_environment_does_not_hold_up_the_exit() -> None:
    with subprocess.Popen([sys.executable, "-c", HANGING], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "timeout\n"
        began = time.monotonic()
        assert process.wait(timeout=60) == 0
        assert time.monotonic() - began < 20
