"""Exact match and F1 of stored episodes are those of SQuAD 1.1's evaluation, computed a second time from its text.

Source: Rajpurkar et al. 2016, arXiv 1606.05250, section 6: punctuation and articles are ignored; F1 treats prediction
and ground truth as bags of tokens; each takes the maximum over all ground truths of a question, then the average over
questions. The evaluation adds lower case and one space for any white space. `agentrl.envs.search.scoring` departs from
it where a ground truth has nothing left after that, and nowhere else.
"""

from __future__ import annotations

import sys
from pathlib import Path

import gymnasium
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import agentrl.envs  # noqa: F401  # registers
from agentrl.bench.rescore import load_scoring, rescore
from agentrl.bench.run import Settings, run
from agentrl.bench.store import BenchStore
from agentrl.bench.stored import open_run
from agentrl.bench.summary import summarize
from agentrl.envs.rubrics import Transcript
from agentrl.envs.search.scoring import exact_match, f1

SEARCH = "AgentRL/Search-v0"
PUNCTUATION = set(r"""!"#$%&'()*+,-./:;<=>?@[\]^_`{|}~""")
ARTICLES = {"a", "an", "the"}


def _tokens(text: str) -> list[str]:
    """Return the words that are compared: by hand, a character at a time, without a regular expression."""
    kept = [char for char in text.lower() if char not in PUNCTUATION]
    words: list[str] = []
    run_of: list[str] = []  # characters of one kind: of words, or not

    def is_word(char: str) -> bool:
        return char.isalnum() or char == "_"

    for char in [*kept, ""]:
        if run_of and (not char or is_word(char) != is_word(run_of[-1])):
            words.append("".join(run_of))
            run_of = []
        run_of += [char] if char else []
    return "".join(" " if word in ARTICLES else word for word in words).split()


def _reference(prediction: str, truths: list[str]) -> tuple[float, float]:
    """Return exact match and F1, each the best over the ground truths."""
    said = _tokens(prediction)
    best_match = best_f1 = 0.0
    for truth in truths:
        right = _tokens(truth)
        best_match = max(best_match, float(said == right))
        left = list(right)
        num_same = 0
        for word in said:
            if word in left:
                left.remove(word)
                num_same += 1
        if num_same:
            precision, recall = num_same / len(said), num_same / len(right)
            best_f1 = max(best_f1, 2 * precision * recall / (precision + recall))
    return best_match, best_f1


WORDS = ["the", "a", "An", "THE", "Oslo", "oslo", "Bergen's", "U.S.", "theatre", "the-end", "É", "İstanbul", "ǅ", "ß"]
WORDS += ["!", "“the”", "a\u00a0b", "x\u2003y", "the\u200b", "東京 の", "ａｎ", "\ud800", "_the_", "1,000", "\x1ca", ""]
texts = st.text(max_size=30) | st.lists(st.sampled_from(WORDS), max_size=8).map(" ".join)


@settings(deadline=None, max_examples=500)
@given(texts, st.lists(texts, min_size=1, max_size=4), st.booleans())
def test_scores_are_squads_on_any_text(prediction: str, truths: list[str], repeat: bool) -> None:
    truths = [truth for truth in truths if _tokens(truth)] or ["Oslo"]
    if repeat:
        prediction = f"The {truths[0]}, {prediction}"
    match, overlap = _reference(prediction, truths)
    assert exact_match(prediction, truths) == match
    assert f1(prediction, truths) == pytest.approx(overlap, abs=1e-12)


@settings(deadline=None)
@given(texts, st.sampled_from(["", "a", "The", "!!!", "an, the"]))
def test_the_one_departure_is_a_truth_of_which_nothing_is_left(prediction: str, truth: str) -> None:
    assert _tokens(truth) == []
    same = float(prediction.strip().lower() == truth.strip().lower())
    assert (exact_match(prediction, [truth]) == 1.0) == bool(same)
    assert exact_match("", ["The"]) == 0.0  # SQuAD's: 1.0, so that saying nothing would be right


AGENT = """
import gymnasium
import agentrl.envs
def truth(seed):
    env = gymnasium.make("AgentRL/Search-v0")
    env.reset(seed=seed, options={"split": "test"})
    return list(env.unwrapped._answers)
def answer(messages, seed):
    right = truth(seed)[0]
    said = [right, f"The {right.upper()}!", right.split()[0], f"{right} or Oslo", right + right, "Oslo", ".", "the"]
    return f"<answer>{said[seed % len(said)]}</answer>"
"""


def test_recorded_outcomes_are_scored_alike(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "squad_agent.py").write_text(AGENT)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))
    run(Settings(envs=(SEARCH,), agent="python:squad_agent:answer", num_tasks=64), tmp_path / "run")
    truth = sys.modules["squad_agent"].truth
    with BenchStore(tmp_path / "run") as store:
        episodes = list(store.episodes())
    kinds = set()
    wanted = []
    for each in episodes:
        said = each.messages[-1]["content"].removeprefix("<answer>").removesuffix("</answer>")
        match, overlap = _reference(said, truth(each.job.seed))
        assert (each.rewards["exact_match"], bool(each.success)) == (match, bool(match))
        assert each.rewards["f1"] == pytest.approx(overlap, abs=1e-12)
        kinds.add((match, round(overlap, 3)))
        wanted.append((match, overlap))
    assert {(1.0, 1.0), (0.0, 0.0)} < kinds  # and some between
    assert any(0 < overlap < 1 for _, overlap in kinds)
    # The average over questions, as the bench tells it and as a re-scored run does.
    success = summarize(episodes)[-1].success
    assert success is not None
    assert success.value == pytest.approx(sum(match for match, _ in wanted) / 64)

    def by_f1(episode: Transcript) -> float:
        return f1(episode.answers[0], truth(episode.seed))

    rubric = load_scoring("stored")
    rescore(open_run(tmp_path / "run"), type(rubric)(name="f1", source="", score=by_f1), tmp_path / "f1")
    with BenchStore(tmp_path / "f1") as store:
        reward = summarize(store.episodes())[-1].reward
    assert reward is not None
    assert reward.value == pytest.approx(sum(overlap for _, overlap in wanted) / 64)


def test_the_questions_have_truths_that_leave_something() -> None:
    """So that the departure never decides a score here."""
    env = gymnasium.make(SEARCH)
    for level in range(1, 6):
        for seed in range(40):
            env.reset(seed=seed, options={"split": "test", "level": level})
            assert all(map(_tokens, env.unwrapped._answers))  # type: ignore[attr-defined]
    env.close()
