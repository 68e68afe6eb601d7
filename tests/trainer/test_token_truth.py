"""Whatever a program does with its history, what is trained on was sampled in just that context, and once.

The program is random: it goes on, edits what was said, drops turns, goes back, leads several conversations, and sends
ids and white space of its own. Each message carries a marker, so that what the policy reads can be held against what
the program sent.
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from agentrl.envs.program.calls import Call
from agentrl.envs.program.matching import Conversations
from agentrl.envs.program.turns import read_turn
from agentrl.trainer.answers import Context, read_step
from agentrl.trainer.chat import Chat
from agentrl.trainer.history import History
from agentrl.trainer.rows import rows_of
from agentrl.trainer.talks import Talks
from agentrl.trainer.types import Completion
from tests.trainer.episodes import blank_episode
from tests.trainer.test_chat import chat_of

TOOL = {"type": "function", "function": {"name": "look", "parameters": {"type": "object", "properties": {}}}}
OTHER = {"type": "function", "function": {**TOOL["function"], "name": "other"}}  # type: ignore[dict-item]
SAYINGS = (
    "fine @",
    "<think>hm @</think>well @",
    "same",
    '@<tool_call>{"name": "look", "arguments": {"q": "@"}}</tool_call>',
)
DEEDS = ("go on", "go on", "go on", "edit", "drop", "back", "new", "same again", "strip", "other tools")


@pytest.fixture(scope="module")
def chat() -> Chat:
    return chat_of("qwen3")


class World:
    """A program, the environment's matching and the trainer's tokens, wired as in an episode."""

    def __init__(self, chat: Chat, data: st.DataObject) -> None:
        self.chat, self.data = chat, data
        self.matching = Conversations()
        self.talks = Talks(self._begin)
        self.talked: list[list[dict[str, Any]]] = []  # the program's conversations
        self.turns: list[tuple[list[int], list[int]]] = []  # prompt and sampled tokens
        self.markers = 0

    def _begin(self, context: Context) -> History:
        return History(self.chat, context.messages, context.tools, max_turn_tokens=400, max_episode_tokens=100_000)

    def marker(self) -> str:
        self.markers += 1
        return f"[{self.markers}]"

    def draw(self, options: Any) -> Any:
        return self.data.draw(st.sampled_from(options))

    def deed(self) -> None:
        """Let the program do something, ask, and read the answer."""
        what = self.draw(DEEDS) if self.talked else "new"
        if what == "new":
            opening = [{"role": "system", "content": f"Be {self.marker()}"}] if self.draw((True, False)) else []
            self.talked.append([*opening, {"role": "user", "content": f"Ask {self.marker()}"}])
            messages = self.talked[-1]
        else:
            messages = self.draw(self.talked)
        if what in ("go on", "strip", "other tools"):
            self._reply(messages)
        elif what == "edit":
            place = self.draw(range(len(messages)))
            messages[place] = self._edited(messages[place])
            self._reply(messages)
        elif what == "drop" and len(messages) > 2:
            del messages[self.draw(range(1, len(messages)))]
            self._reply(messages)
        elif what == "back":
            ends = [place for place, message in enumerate(messages) if message["role"] in ("user", "tool")]
            messages = list(messages[: self.draw(ends) + 1])
            self.talked.append(messages)
        if what == "strip":
            messages[:] = [{**each, "content": f" {each['content'].strip()}\n"} for each in messages]
        self.ask(messages, tools=(OTHER,) if what == "other tools" else ())

    def _edited(self, message: dict[str, Any]) -> dict[str, Any]:
        if message.get("tool_calls") and self.draw((True, False)):
            (call,) = message["tool_calls"]
            return {**message, "tool_calls": [{**call, "arguments": json.dumps({"q": self.marker()})}]}
        return {**message, "content": f"edited {self.marker()}"}

    def _reply(self, messages: list[dict[str, Any]]) -> None:
        calls = messages[-1].get("tool_calls") or ()
        for call in calls:
            messages.append({"role": "tool", "tool_call_id": call["id"], "content": f"saw {self.marker()}"})
        if not calls or self.draw((True, False)):
            messages.append({"role": "user", "content": f"and {self.marker()}"})

    def ask(self, messages: list[dict[str, Any]], tools: tuple[Any, ...]) -> None:
        call = Call(dialect="chat", model="m", messages=tuple(dict(each) for each in messages), tools=(TOOL, *tools))
        told = self.matching.context(call)
        outcome = read_step(("", 0.0, False, False, {"context": told}), len(self.turns))
        assert outcome.context is not None
        assert self.talks.hear(outcome.context)
        prompt = list(self.talks.request(temperature=1.0, seed=0).prompt_ids)
        self._check_read(prompt, messages, call.tools)
        text = self.draw(SAYINGS)
        ids = self.chat.turn(re.sub("@", lambda _: self.marker(), text))
        completion = Completion(token_ids=ids, logprobs=[-1.0 - len(self.turns)] * len(ids), finish="stop", version=0)
        action = self.talks.say(completion)
        said, written = read_turn(action, call, len(self.turns))
        self.matching.answered(said, written)
        self.turns.append((prompt, ids))
        calls = [{"id": each.id, "name": each.name, "arguments": each.arguments} for each in said.calls]
        messages.append({"role": "assistant", "content": said.content, **({"tool_calls": calls} if calls else {})})

    def _check_read(self, prompt: list[int], messages: list[dict[str, Any]], tools: Sequence[Any]) -> None:
        """What the policy reads is what the program sent, thoughts of its own aside."""
        text = re.sub(r"<think>.*?</think>", "", str(self.chat._tokenizer.decode(prompt)), flags=re.DOTALL)
        said = [json.dumps([each["content"], each.get("tool_calls")]) for each in messages]
        assert re.findall(r"\[\d+\]", text) == re.findall(r"\[\d+\]", "".join(said))
        assert [name for name in ("look", "other") if f'"name": "{name}", "para' in text] == [
            tool["function"]["name"] for tool in tools
        ]


@pytest.mark.slow
@settings(max_examples=1000, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.data())
def test_every_trained_token_was_sampled_in_that_context(chat: Chat, data: st.DataObject) -> None:
    world = World(chat, data)
    for _ in range(data.draw(st.integers(1, 9))):
        world.deed()
    episode = blank_episode(turn_lengths=[len(ids) for _, ids in world.turns])
    world.talks.write(episode)
    left = dict(enumerate(world.turns))
    for row in rows_of(episode):
        place = 0
        while place < len(row.mask):
            if row.mask[place]:
                prompt, ids = left.pop(int(-1.0 - row.logprobs[place]))
                assert list(row.token_ids[:place]) == prompt
                assert list(row.token_ids[place : place + len(ids)]) == ids
                place += len(ids)
            else:
                place += 1
    assert not left  # every sampled token is there, once
    assert sum(episode.mask) == sum(episode.turn_lengths)
    assert world.talks.kept_tokens <= world.talks.prompt_tokens


def test_going_on_keeps_all_tokens(chat: Chat) -> None:
    matching = Conversations()
    messages: list[dict[str, Any]] = [{"role": "user", "content": "Ask"}]
    for turn in range(3):
        call = Call(dialect="chat", model="m", messages=tuple(messages), tools=(TOOL,))
        context = matching.context(call)
        assert context["after"] == (turn - 1 if turn else None)
        said, written = read_turn('<think>x</think>Look.<tool_call>{"name": "look"}</tool_call>', call, turn)
        matching.answered(said, written)
        messages += [  # as clients send it back: no thoughts, other ids, arguments written another way
            {
                "role": "assistant",
                "content": said.content,
                "tool_calls": [{"id": f"x{turn}", "name": "look", "arguments": "{ }"}],
            },
            {"role": "tool", "tool_call_id": f"x{turn}", "content": "seen"},
        ]
    assert context["messages"] == [{"role": "tool", "name": "look", "content": "seen"}]
