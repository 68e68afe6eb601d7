"""Turns that are played and not trained on: the other seat of a game of two, whose tokens teach nothing."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from agentrl.bench.conversation import Conversation
from agentrl.trainer.answers import AnswerError, Context, read_step
from agentrl.trainer.batching import micro_batches
from agentrl.trainer.chat import Chat
from agentrl.trainer.credit import set_advantages, token_advantages
from agentrl.trainer.demonstrations import played
from agentrl.trainer.engines.torch import TorchEngine
from agentrl.trainer.history import History
from agentrl.trainer.metrics import episode_metrics
from agentrl.trainer.rollout import RolloutConfig, Rollouts, Task
from agentrl.trainer.rows import rows_of
from agentrl.trainer.store import RolloutStore
from agentrl.trainer.talks import Talks
from agentrl.trainer.types import Completion, Episode
from tests.trainer.episodes import blank_episode

NIM = "agentrl.envs:AgentRL/Nim-v0"
SELF = {"opponent": "self"}
FIRST, SECOND = ({"role": "user", "content": "You begin."},), ({"role": "user", "content": "You come second."},)
REPLY = ({"role": "user", "name": "", "content": "the other moved"},)


@pytest.fixture(scope="module")
def chat(tokenizer: Any) -> Chat:
    return Chat(tokenizer)


@pytest.fixture(scope="module")
def episodes(tiny_model: Callable[..., Any], chat: Chat) -> Iterator[list[Episode]]:
    tasks = [
        Task(step=1, group=seed, member=member, seed=seed, split="train", level=1, temperature=1.0)
        for seed in range(4)
        for member in range(2)
    ]
    with TorchEngine(tiny_model()) as engine:
        config = RolloutConfig(concurrency=4, max_turn_tokens=6, max_episode_tokens=4000)
        rollouts = Rollouts(env_id=NIM, env_kwargs=SELF, engine=engine, chat=chat, config=config)
        yield rollouts.play(tasks)
        rollouts.close()


@settings(max_examples=200, deadline=None)
@given(st.lists(st.tuples(st.booleans(), st.sampled_from(["a turn", "the bridge", ""])), min_size=1, max_size=8))
def test_no_token_of_the_other_seat_is_trained(chat: Chat, script: list[tuple[bool, str]]) -> None:
    def begin(context: Context) -> History:
        return History(chat, context.messages, context.tools, max_turn_tokens=50, max_episode_tokens=10_000)

    talks, last, own = Talks(begin), {True: -1, False: -1}, 0
    for number, (trained, text) in enumerate(script):
        after = last[trained] if last[trained] >= 0 else None
        opening = FIRST if trained else SECOND
        assert talks.hear(Context(messages=opening if after is None else REPLY, after=after, trained=trained))
        ids = chat.turn(text)
        # The log-probability tells whose turn a token is of.
        talks.say(Completion(token_ids=ids, logprobs=[-1.0 if trained else -9.0] * len(ids), finish="stop", version=0))
        last[trained], own = number, own + len(ids) * trained
    episode = blank_episode()
    talks.write(episode)
    assert sum(episode.mask) == own
    assert [logprob for logprob in episode.logprobs if logprob] == [-1.0] * own
    assert episode.untrained_turns == sum(not trained for trained, _ in script)
    assert episode.segments == []  # of two conversations one is the episode's
    text = chat._tokenizer.decode(episode.token_ids)
    if own:
        assert ("You come second." in text, "You begin." in text) == (False, True)
    for batch in micro_batches([episode], max_tokens=1000, device=torch.device("cpu")):
        assert int(batch.mask_BT.sum()) == own


def test_the_learner_s_conversation_alone_is_the_episode_s(episodes: list[Episode], chat: Chat) -> None:
    assert any(episode.untrained_turns for episode in episodes)  # where the learner begins, this model never moves
    for episode in episodes:
        assert episode.failure is None
        assert episode.num_turns == len(episode.turn_lengths) == len(episode.turn_rewards) == len(episode.versions)
        assert sum(episode.mask) == sum(episode.turn_lengths) > 0
        assert (episode.untrained_tokens > 0) == (episode.untrained_turns > 0)
        assert sum(episode.turn_rewards) == episode.reward
        said = [each for each in episode.messages if each["role"] == "assistant"]
        assert sum(not each.get("given") for each in said) == episode.num_turns
        assert sum(bool(each.get("given")) for each in said) == episode.untrained_turns
        assert len(rows_of(episode)) == 1
        text = chat._tokenizer.decode(episode.token_ids)
        for each in said:
            assert each.get("given") or each["content"] in text


def test_a_group_shares_the_seat(episodes: list[Episode]) -> None:
    begins = {
        seed: {bool(_first_said(each).get("given")) for each in episodes if each.seed == seed}
        for seed in {each.seed for each in episodes}
    }
    assert all(len(found) == 1 for found in begins.values())
    assert {next(iter(found)) for found in begins.values()} == {True, False}  # some begin, some come second


def _first_said(episode: Episode) -> dict[str, Any]:
    return next(each for each in episode.messages if each["role"] == "assistant")


@pytest.mark.parametrize("estimator", ["grpo", "gigpo"])
def test_advantages_lie_on_the_learner_s_tokens(episodes: list[Episode], estimator: str) -> None:
    for episode in episodes:  # one of each group wins
        episode.reward = float(episode.member)
        episode.turn_rewards = [0.0] * (episode.num_turns - 1) + [episode.reward]
    set_advantages(episodes, estimator)
    for episode in episodes:
        given_T = token_advantages(episode)
        assert not given_T[~torch.tensor(episode.mask)].any()
    assert any(token_advantages(episode).any() for episode in episodes)


def test_they_are_counted_and_stored(episodes: list[Episode], tmp_path: Path) -> None:
    metrics = episode_metrics(episodes)
    assert metrics["untrained/tokens"] == sum(episode.untrained_tokens for episode in episodes) > 0
    assert metrics["untrained/turns_mean"] == sum(each.untrained_turns for each in episodes) / len(episodes)
    with RolloutStore(tmp_path / "rollouts.sqlite") as store:
        store.add(episodes)
        assert [each.untrained_tokens for each in store.episodes()] == [each.untrained_tokens for each in episodes]


def test_the_other_seat_is_not_imitated() -> None:
    demonstrations = played(NIM, SELF, level=1, seed=0)
    for _ in range(20):
        opening = next(demonstrations).messages[1]["content"]
        assert "Heaps" in opening
    # Twenty conversations are twenty episodes: the other seat's were left out.
    seats = [
        each.messages[1]["content"].startswith("The opponent") for each in (next(demonstrations) for _ in range(40))
    ]
    assert any(seats)
    assert not all(seats)


def test_trained_is_true_or_false() -> None:
    told = {"messages": [{"role": "user", "content": "Hi"}], "after": 0, "trained": False}
    outcome = read_step(("", 0.0, False, False, {"context": told}), 1)
    assert outcome.context is not None
    assert not outcome.context.trained
    with pytest.raises(AnswerError, match="trained"):
        read_step(("", 0.0, False, False, {"context": told | {"trained": "no"}}), 1)


def test_the_bench_marks_the_other_seat_as_given() -> None:
    other = {"after": None, "messages": [{"role": "user", "content": "You begin."}], "trained": False}
    talk = Conversation("You begin.", {"context": other})
    talk.say("B 1")
    mine = {"after": None, "messages": [{"role": "user", "content": "You come second."}]}
    talk.hear("", {"context": mine})
    assert [each["content"] for each in talk.messages] == ["You come second."]
    talk.say("C 2")
    said = [(each["content"], each.get("given", False)) for each in talk.log if each["role"] == "assistant"]
    assert said == [("B 1", True), ("C 2", False)]
