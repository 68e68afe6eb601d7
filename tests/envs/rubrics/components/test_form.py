"""Components over the form of an episode: tags, limits, language, citations, and what the environment said."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from agentrl.envs.errors import UsageError
from agentrl.envs.rubrics.components.citation import citation
from agentrl.envs.rubrics.components.language import language
from agentrl.envs.rubrics.components.limits import latency, length, num_turns
from agentrl.envs.rubrics.components.outcome import environment, environment_component, success
from agentrl.envs.rubrics.components.tags import format_tags
from agentrl.envs.rubrics.transcript import Transcript


def turns(*said: str, **told: Any) -> Transcript:
    return Transcript(messages=tuple({"role": "assistant", "content": each} for each in said), **told)


@pytest.mark.parametrize(
    ("text", "formed", "alone"),
    [
        ("<think>a</think><answer>b</answer>", 1.0, 1.0),
        (" <think>a</think>\n\n<answer>b</answer>\n", 1.0, 1.0),
        ("So <think>a</think> then <answer>b</answer> is it", 1.0, 0.0),
        ("<answer>b</answer><think>a</think>", 0.0, 0.0),
        ("<think>a<answer>b</answer></think>", 0.0, 0.0),
        ("<think>a</think><answer>b</answer><answer>c</answer>", 0.0, 0.0),
        ("<think>a</think><think>a</think><answer>b</answer>", 0.0, 0.0),
        ("<think>a</think><answer> </answer>", 0.0, 0.0),
        ("<think>a</think><answer>b", 0.0, 0.0),
        ("<think>a</think></answer>b<answer>", 0.0, 0.0),
        ("<think>a</think>", 0.0, 0.0),
    ],
)
def test_tags_once_each_and_in_order(text: str, formed: float, alone: float) -> None:
    assert format_tags()(turns("no tags here", text)) == formed
    assert format_tags(alone=True)(turns(text)) == alone
    assert format_tags(turns="every")(turns("no tags here", text)) == formed / 2


def test_a_template_may_open_the_first_tag() -> None:
    assert format_tags(opened=True)(turns("a</think><answer>b</answer>")) == 1.0
    assert format_tags(opened=True)(turns("<think>a</think><answer>b</answer>")) == 0.0
    assert format_tags(opened=True)(turns("<answer>b</answer>")) == 0.0


@pytest.mark.parametrize("tags", [[], ["a", "a"], ["<a>"], "think", [1]])
def test_bad_tags_are_refused(tags: Any) -> None:
    with pytest.raises(UsageError, match="tags "):
        format_tags(tags=tags)


def test_turns_have_a_soft_limit() -> None:
    score = num_turns(soft=2, hard=4)
    assert [score(turns(*"a" * count)) for count in range(6)] == [1.0, 1.0, 1.0, 0.5, 0.0, 0.0]
    assert [num_turns(soft=2, hard=2)(turns(*"a" * count)) for count in (2, 3)] == [1.0, 0.0]
    with pytest.raises(UsageError, match="hard is 1, below soft = 2"):
        num_turns(soft=2, hard=1)
    with pytest.raises(UsageError, match="soft is 'x'"):
        num_turns(soft="x", hard=1)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        ({}, 0.5),  # five words of the last turn
        ({"thoughts": True}, 0.25),
        ({"of": "answer"}, 1.0),
        ({"of": "turns", "hard": 11}, 0.5),
        ({"unit": "characters"}, 0.0),
        ({"unit": "characters", "of": "answer", "soft": 0, "hard": 10}, 0.6),
        ({"unit": "tokens", "of": "turns"}, 0.75),
    ],
)
def test_length_counts_what_it_is_told(arguments: dict[str, Any], expected: float) -> None:
    episode = turns("One more.", "<think>hm</think> It is, I think, <answer>Rome</answer>", completion_tokens=4)
    assert length(**{"soft": 3, "hard": 7, **arguments})(episode) == pytest.approx(expected)


def test_what_was_not_measured_is_said() -> None:
    with pytest.raises(UsageError, match="tokens of this episode were not counted"):
        length(soft=1, hard=2, unit="tokens", of="turns")(turns("a"))
    with pytest.raises(UsageError, match="write of = 'turns'"):
        length(soft=1, hard=2, unit="tokens")
    with pytest.raises(UsageError, match="no effect on the answer"):
        length(soft=1, hard=2, of="answer", thoughts=True)
    with pytest.raises(UsageError, match="were not timed"):
        latency(soft_s=1, hard_s=2)(turns("a"))
    assert latency(soft_s=1, hard_s=2)(turns()) == 1.0


def test_latency_of_the_slowest_turn_the_mean_and_the_episode() -> None:
    episode = turns("a", "b", latencies=(1.0, 4.0), seconds=5.5)
    score = {of: latency(soft_s=2, hard_s=6, of=of)(episode) for of in ("slowest", "mean", "episode")}
    assert score == {"slowest": 0.5, "mean": 0.875, "episode": 0.125}


def test_what_the_environment_said() -> None:
    episode = turns("a", reward=-2.5, rewards={"exact_match": 0.0, "format": 0.5}, success=True, env_id="Mine-v0")
    assert environment()(episode) == -2.5
    assert environment_component(name="format")(episode) == 0.5
    assert success()(episode) == 1.0
    assert [success()(turns("a", success=each)) for each in (False, None)] == [0.0, 0.0]
    with pytest.raises(UsageError, match=r"Mine-v0 has no reward component 'fromat'; did you mean 'format'\?"):
        environment_component(name="fromat")(episode)
    assert environment_component(name="format")(turns("a", done=False)) == 0.0
    with pytest.raises(UsageError, match="no finite number"):
        environment()(turns("a", reward=float("nan")))


ENGLISH = "The treaty was signed in the town hall after a long debate about the price of grain."
GERMAN = "Der Vertrag wurde nach einer langen Debatte über den Preis des Getreides im Rathaus unterschrieben."
CHINESE = "条约是在市政厅签署的，此前就粮食价格进行了长时间的辩论。"


def test_the_language_of_what_is_said() -> None:
    score = language(language="en")
    assert [score(turns(text)) for text in (ENGLISH, GERMAN, CHINESE)] == [1.0, 0.0, 0.0]
    assert [language(language=["de", "zh"])(turns(text)) for text in (ENGLISH, GERMAN, CHINESE)] == [0.0, 1.0, 1.0]
    assert score(turns(f"<think>{GERMAN}</think>{ENGLISH}")) == 1.0
    assert language(language="en", thoughts=True)(turns(f"<think>{GERMAN * 8}</think>{ENGLISH}")) < 0.5
    assert score(turns(GERMAN, ENGLISH)) == 1.0
    assert language(language="en", of="turns")(turns(GERMAN * 8, ENGLISH * 8)) == pytest.approx(0.5, abs=0.1)
    assert language(language="en", of="answer")(turns(f"{ENGLISH}<answer>{GERMAN}</answer>")) == 0.0


def test_a_beginning_does_not_stand_for_the_rest() -> None:
    assert language(language="en")(turns(f"{ENGLISH} {CHINESE * 60}")) < 0.3
    assert language(language="en")(turns(f"{ENGLISH} {CHINESE * 6000}")) < 0.3


@pytest.mark.parametrize(
    "text", ["", "42", "Oslo", "<answer>7</answer>", f"```\n{GERMAN}\n```", "https://beispiel.de/ein"]
)
def test_too_little_is_not_judged(text: str) -> None:
    assert language(language="en")(turns(text)) == 1.0


@pytest.mark.parametrize(
    "disguised",
    [
        lambda text: f"```\n{text}",
        lambda text: "\u200b".join(text),
        lambda text: "<a>".join(text),
        lambda text: "\n".join(text),
        lambda text: " ".join(text),
    ],
    ids=["open fence", "unseen", "tags", "lines", "spaces"],
)
def test_a_language_in_disguise_is_no_other(disguised: Callable[[str], str]) -> None:
    assert language(language="en")(turns(disguised(GERMAN * 8))) < 0.5
    assert language(language="en")(turns(f"{ENGLISH} {disguised(GERMAN * 20)}")) < 0.5


def test_code_that_is_fenced_is_left_out() -> None:
    assert language(language="en")(turns(f"{ENGLISH}\n```\n{GERMAN * 8}\n```\n{ENGLISH}")) == 1.0


def test_an_unknown_language_is_refused() -> None:
    with pytest.raises(UsageError, match="language is 'english'"):
        language(language="english")
    with pytest.raises(UsageError, match=r"language is \[\], but must be a list of names"):
        language(language=[])


def test_how_much_is_judged_can_be_said() -> None:
    assert language(language="en", least_letters=200)(turns(GERMAN)) == 1.0
    with pytest.raises(UsageError, match=r"least_letters is 1.5, but must be a whole number"):
        language(language="en", least_letters=1.5)  # type: ignore[arg-type]


def researched(last: str) -> Transcript:
    call = '<tool_call>{"name": "%s", "arguments": {"%s": "%s"}}</tool_call>'
    return Transcript(
        messages=(
            {"role": "user", "content": "Who? See [d7]."},
            {"role": "assistant", "content": call % ("search", "query", "who d8")},
            {"role": "tool", "name": "search", "content": "[d3] Oslo: a town.\n[d4] Rome: a town. More in d5."},
            {"role": "assistant", "content": call % ("open", "doc_id", "[d3]")},
            {"role": "tool", "name": "open", "content": "[d3] Oslo: a town of Norway."},
            {"role": "assistant", "content": last},
        )
    )


@pytest.mark.parametrize(
    ("text", "exists", "opened", "claims"),
    [
        ("It is in Norway [d3].", 1.0, 1.0, 1.0),
        ("It is in Norway. [d3]", 1.0, 1.0, 1.0),
        ("It is in Norway [d3]. It has a harbour.", 1.0, 1.0, 0.5),
        ("It is in Norway [d4], or [d9] in Sweden.", 0.5, 0.0, 1.0),
        ("It is in Norway [d7].", 0.0, 0.0, 1.0),  # the question is no source
        ("It is in Norway.", 0.0, 0.0, 0.0),
        ("It is in Norway [citation needed].", 0.0, 0.0, 0.0),
        ("<think>[d3]</think>It is in Norway.", 0.0, 0.0, 0.0),
        ("<answer>It is in Norway [d3]. It has a harbour.</answer>", 1.0, 1.0, 0.5),
        ("[d3] [d4]", 1.0, 0.5, 0.0),
    ],
)
def test_citations(text: str, exists: float, opened: float, claims: float) -> None:
    found = {each: citation(measure=each)(researched(text)) for each in ("exists", "opened", "claims")}
    assert found == {"exists": exists, "opened": opened, "claims": claims}


def test_what_a_tool_only_gives_back_is_no_document() -> None:
    for asked, answer in (("d9", "There is no document 'd9'."), ("[d9]", "There is no document '[d9]'.")):
        ask = f'<tool_call>{{"name": "open", "arguments": {{"doc_id": "{asked}"}}}}</tool_call>'
        episode = Transcript(
            messages=(
                {"role": "assistant", "content": ask},
                {"role": "tool", "name": "open", "content": answer},
                {"role": "assistant", "content": "It is in Norway [d9]."},
            )
        )
        assert [citation(measure=each)(episode) for each in ("exists", "opened")] == [0.0, 0.0]
