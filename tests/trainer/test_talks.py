"""The conversations of an episode: whatever a program does, a trained token was sampled, once, in just that context."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from agentrl.trainer.answers import AnswerError, Context, read_reset, read_step
from agentrl.trainer.batching import micro_batches
from agentrl.trainer.chat import Chat
from agentrl.trainer.history import History
from agentrl.trainer.rows import rows_of
from agentrl.trainer.talks import Talks
from agentrl.trainer.types import Completion, Episode
from tests.trainer.episodes import blank_episode

ASKED = ({"role": "user", "content": "the river is long"},)
REPLIES = ({"role": "tool", "name": "search", "content": "the river"}, {"role": "user", "name": "", "content": "And?"})
TURNS = ("a turn", "the bridge", "the bridge", "")


@pytest.fixture(scope="module")
def chat(tokenizer: Any) -> Chat:
    return Chat(tokenizer)


def talks_of(chat: Chat, most: int = 10_000) -> Talks:
    def begin(context: Context) -> History:
        return History(chat, context.messages, context.tools, max_turn_tokens=50, max_episode_tokens=most)

    return Talks(begin)


def sampled(chat: Chat, text: str, number: int) -> Completion:
    ids = chat.turn(text)
    return Completion(token_ids=ids, logprobs=[-1.0 - number] * len(ids), finish="stop", version=0)


def written(talks: Talks) -> Episode:
    episode = blank_episode()
    episode.turn_lengths = [len(completion.token_ids) for _, _, completion in talks._turns]
    episode.turn_advantages = [float(turn) for turn in range(len(episode.turn_lengths))]
    talks.write(episode)
    return episode


def say(talks: Talks, chat: Chat, context: Context, text: str, number: int = 0) -> tuple[list[int], list[int]]:
    assert talks.hear(context)
    prompt = list(talks.request(temperature=1.0, seed=0).prompt_ids)
    completion = sampled(chat, text, number)
    talks.say(completion)
    return prompt, completion.token_ids


def test_one_conversation_is_one_row(chat: Chat) -> None:
    talks = talks_of(chat)
    say(talks, chat, Context(messages=ASKED), "a turn")
    say(talks, chat, Context(messages=REPLIES[:1], after=0), "the bridge")
    episode = written(talks)
    assert (episode.segments, episode.turn_segments, talks.moved) == ([], [], False)
    assert episode.kept_tokens < episode.prompt_tokens < len(episode.token_ids)
    assert len(rows_of(episode)) == 1


def test_going_back_makes_a_branch_that_trains_nothing_twice(chat: Chat) -> None:
    talks = talks_of(chat)
    first = say(talks, chat, Context(messages=ASKED), "a turn")
    say(talks, chat, Context(messages=REPLIES[:1], after=0), "the bridge")
    branch = say(talks, chat, Context(messages=REPLIES[1:], after=0), "the river")
    assert talks.moved
    episode = written(talks)
    assert episode.turn_segments == [0, 0, 1]
    rows = rows_of(episode)
    assert list(rows[1].token_ids[: len(branch[0])]) == branch[0]
    assert sum(rows[1].mask) == len(branch[1])
    assert branch[0][: len(first[0]) + len(first[1])] == first[0] + first[1]
    assert rows[1].num_sampled == rows[0].num_sampled == sum(episode.turn_lengths)


def test_two_answers_to_one_question_are_two_conversations(chat: Chat) -> None:
    talks = talks_of(chat)
    say(talks, chat, Context(messages=ASKED), "a turn")
    say(talks, chat, Context(messages=ASKED), "the bridge")
    say(talks, chat, Context(messages=REPLIES, after=0), "the river")
    episode = written(talks)
    assert (episode.turn_segments, episode.turn_order) == ([0, 1, 0], [0, 2, 1])


def test_what_has_no_room_ends_the_episode_and_leaves_nothing(chat: Chat) -> None:
    talks = talks_of(chat, most=60)
    say(talks, chat, Context(messages=ASKED), "a turn")
    assert not talks.hear(Context(messages=ASKED * 20))
    assert not talks.hear(Context(messages=REPLIES * 20, after=0))
    assert talks.hear(Context(messages=ASKED, max_tokens=3))
    assert (talks.room, talks.request(temperature=1.0, seed=0).max_new_tokens) == (3, 3)
    episode = written(talks)
    assert (episode.segments, sum(episode.mask)) == ([], episode.turn_lengths[0])


@settings(max_examples=300, deadline=None)
@given(st.data())
def test_every_trained_token_was_sampled_in_its_context(chat: Chat, data: st.DataObject) -> None:
    talks = talks_of(chat)
    turns: list[tuple[list[int], list[int]]] = []
    for number in range(data.draw(st.integers(1, 8))):
        goes_on = bool(turns) and data.draw(st.booleans())
        after = data.draw(st.integers(0, len(turns) - 1)) if goes_on else None
        if after is None:
            messages = data.draw(st.sampled_from([ASKED, (*ASKED, {"role": "assistant", "content": "a"}, *ASKED)]))
        else:
            messages = data.draw(st.sampled_from([REPLIES, REPLIES[:1], REPLIES[1:]]))
        context = Context(messages=messages, after=after)
        turns.append(say(talks, chat, context, data.draw(st.sampled_from(TURNS)), number))
    episode = written(talks)
    rows = rows_of(episode)
    left = dict(enumerate(turns))
    for row in rows:
        place = 0
        while place < len(row.mask):
            if not row.mask[place]:
                place += 1
                continue
            turn = int(-1.0 - row.logprobs[place])
            prompt, ids = left.pop(turn)  # once only
            assert list(row.token_ids[:place]) == prompt
            assert list(row.token_ids[place : place + len(ids)]) == ids
            assert row.advantages_T[place : place + len(ids)].tolist() == [float(turn)] * len(ids)
            place += len(ids)
    assert not left
    batches = list(micro_batches([episode], max_tokens=100, device=torch.device("cpu")))
    assert sum(int(batch.mask_BT.sum()) for batch in batches) == sum(episode.mask) == sum(episode.turn_lengths)


def test_a_context_is_read_as_the_protocol_says() -> None:
    told = {"messages": [{"role": "user", "content": "Hi"}], "after": 0, "max_tokens": 5}
    outcome = read_step(("", 0.0, False, False, {"context": told}), 1)
    assert outcome.context == Context(messages=told["messages"], after=0, tools=[], max_tokens=5)  # type: ignore[arg-type]
    assert read_reset(("x", {})).context is None
    for name, value in {
        "after": 1, "max_tokens": 0, "messages": [], "tools": "x", "messages ": None
    }.items():  # fmt: skip
        with pytest.raises(AnswerError, match="context"):
            read_step(("", 0.0, False, False, {"context": told | {name.strip(): value}}), 1)
    with pytest.raises(AnswerError, match="'assistant', not tool or user"):
        read_step(("", 0.0, False, False, {"context": told | {"messages": [{"role": "assistant", "content": ""}]}}), 1)
