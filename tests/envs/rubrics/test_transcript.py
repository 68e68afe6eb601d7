"""What a rubric reads of an episode: its question, its turns, and what counts as its answer."""

from __future__ import annotations

from typing import Any

import gymnasium
import pytest

import agentrl.envs  # noqa: F401  # registers
from agentrl.envs.rubrics import Component, Rubric, RubricReward, Transcript
from agentrl.envs.rubrics.transcript import HiddenError

SCHEMA = {"type": "function", "function": {"name": "search", "parameters": {"type": "object", "properties": {}}}}
INSIDE = '<tool_call>{"name": "search", "arguments": {"query": "<answer>Paris</answer>"}}</tool_call>'
BESIDE = '<tool_call>{"name": "search", "arguments": {"query": "it"}}</tool_call><answer>Paris</answer>'


def _said(text: str, *replies: dict[str, Any], **more: Any) -> Transcript:
    messages = ({"role": "user", "content": "Where?"}, {"role": "assistant", "content": text}, *replies)
    return Transcript(messages=messages, **more)


@pytest.mark.parametrize(
    ("text", "answers"),
    [
        ("It is <answer> Paris </answer>.", ("Paris",)),
        ("<think><answer>Rome</answer></think><answer>Paris</answer>", ("Paris",)),
        ("<answer>Paris</answer><answer>Rome</answer>", ("Paris", "Rome")),
        ("Paris", ()),
        ("[d3] says so. <answer>Paris</answer>", ("Paris",)),
        (INSIDE, ()),
        (BESIDE, ()),
        ('<tool_call>{"name": "serch", "arguments": {}}</tool_call><answer>Paris</answer>', ()),
        ("<tool_call>no json</tool_call><answer>Paris</answer>", ()),
    ],
)
def test_a_turn_that_calls_tools_gives_no_answer(text: str, answers: tuple[str, ...]) -> None:
    episode = _said(text, tools=(SCHEMA,))
    assert episode.answers == answers
    assert episode.answer == (answers[0] if len(answers) == 1 else None)


def test_what_is_known_of_tools_where_schemas_are_not_stored() -> None:
    looked = {"role": "tool", "name": "search", "content": "a page"}
    assert _said(INSIDE, looked).tool_names == ("search",)
    assert _said(INSIDE, looked).answers == ()
    assert _said(BESIDE, looked).answers == ()
    assert _said(INSIDE).answers == ()  # no tool is known: what stands in a call is none, what stands beside it is one
    assert _said(BESIDE).answers == ("Paris",)


def test_only_the_last_turn_counts() -> None:
    turns = [{"role": "assistant", "content": f"<answer>{each}</answer>"} for each in ("Rome", "Paris")]
    assert Transcript(messages=(turns[0], {"role": "user", "content": "Sure?"}, turns[1])).answers == ("Paris",)
    assert Transcript(messages=()).answers == ()


def test_the_cheat_that_answers_inside_a_call_earns_nothing() -> None:
    env = RubricReward(
        gymnasium.make("AgentRL/Search-v0", max_turns=1), Rubric(components=(Component(name="a", use="exact_match"),))
    )
    env.reset(seed=3)
    (right, *_) = env.get_wrapper_attr("references")()
    for text, reward in (
        (INSIDE.replace("Paris", right), 0.0),
        (BESIDE.replace("Paris", right), 0.0),
        (f"<answer>{right}</answer>", 1.0),
    ):
        env.reset(seed=3)
        assert env.step(text)[1] == reward
    env.close()


def test_what_is_not_told_is_named() -> None:
    episode = _said("a")
    with pytest.raises(HiddenError, match=r"an episode has no 'truth' for rubrics: .*messages, .*answers"):
        _ = episode.truth
    assert not hasattr(episode, "truth")


def test_the_question_and_the_system_prompt() -> None:
    asked = {"role": "user", "content": "Where?"}
    told = {"role": "system", "content": "Be brief."}
    assert (Transcript(messages=(asked,)).system, Transcript(messages=(asked,)).question) == ("", "Where?")
    assert (Transcript(messages=(told, asked)).system, Transcript(messages=(told, asked)).question) == (
        "Be brief.",
        "Where?",
    )
