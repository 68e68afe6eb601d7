"""The tokens of an episode: what was sampled stays as sampled, what was replied is masked, and room runs out."""

from __future__ import annotations

from typing import Any

import pytest

from agentrl.trainer.chat import Chat
from agentrl.trainer.history import History
from agentrl.trainer.types import Completion

ASKED = [{"role": "user", "content": "the river is long"}]
REPLY = [{"role": "tool", "name": "search", "content": "the river"}]


@pytest.fixture(scope="module")
def chat(tokenizer: Any) -> Chat:
    return Chat(tokenizer)


def _turn(chat: Chat, text: str) -> Completion:
    ids = chat.turn(text)
    return Completion(token_ids=ids, logprobs=[-0.5] * len(ids), finish="stop", version=0)


def test_turns_and_replies_follow_one_another(chat: Chat) -> None:
    history = History(chat, ASKED, [], max_turn_tokens=10, max_episode_tokens=1000)
    prompt = chat.prompt(ASKED, [])
    assert (history.ids, history.mask, history.room) == (prompt, [False] * len(prompt), 10)
    request = history.request(temperature=0.7, seed=5, order=(1, 2))
    assert (request.prompt_ids, request.max_new_tokens, request.temperature, request.seed) == (prompt, 10, 0.7, 5)
    assert (request.stop_ids, request.order) == (chat.stop_ids, (1, 2))
    turn = _turn(chat, "a turn")
    assert history.say(turn) == "a turn"
    assert request.prompt_ids == prompt  # what was handed out does not change
    assert history.hear(turn, REPLY)
    follow = chat.follow(turn.token_ids, REPLY)
    assert history.ids == [*prompt, *turn.token_ids, *follow]
    assert history.mask == [False] * len(prompt) + [True] * len(turn.token_ids) + [False] * len(follow)
    assert history.logprobs == [0.0] * len(prompt) + [-0.5] * len(turn.token_ids) + [0.0] * len(follow)


def test_room_runs_out(chat: Chat) -> None:
    prompt, turn = chat.prompt(ASKED, []), _turn(chat, "a turn")
    follow = chat.follow(turn.token_ids, REPLY)
    whole = len(prompt) + len(turn.token_ids) + len(follow)
    for longest, fits in ((whole, False), (whole + 1, True)):
        history = History(chat, ASKED, [], max_turn_tokens=100, max_episode_tokens=longest)
        assert history.room == longest - len(prompt)
        history.say(turn)
        assert history.hear(turn, REPLY) is fits
        assert len(history.ids) == len(history.mask) == len(history.logprobs) == whole - (0 if fits else len(follow))
    assert History(chat, ASKED, [], max_turn_tokens=100, max_episode_tokens=len(prompt)).room == 0
