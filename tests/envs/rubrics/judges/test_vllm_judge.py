"""Judges of a real server: vLLM on the CPU forces the bundled model, which knows nothing, into valid verdicts."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from typing import Any

import pytest

from agentrl.envs.rubrics.judges import close_judges, judge, judge_checklist, judge_listwise, judge_pairwise, totals
from agentrl.envs.rubrics.rubric import Component, Rubric
from tests.envs.rubrics.judges.scripted import episode

pytestmark = pytest.mark.slow
EIGHT = [episode(answer, question="What is 2 + 2?") for answer in "4 5 6 7 8 9 four five".split()]


@pytest.fixture
def asked(vllm_url: str) -> Iterator[dict[str, Any]]:
    yield {"model": "tiny", "base_url": vllm_url, "max_tokens": 200}
    close_judges()


def test_a_group_of_eight_is_ranked_in_both_orders(asked: dict[str, Any]) -> None:
    before = totals()
    scorer = judge_listwise(criteria="The answer is right.", reasons=False, judge=asked)
    rubric = Rubric(components=(Component(name="better", use=scorer),))
    scores = [each.reward for each in rubric.score_group(EIGHT)]
    told = totals() - before
    assert (told.num_requests, told.num_invalid, told.num_pairs) == (2, 0, 28)
    assert told.prompt_tokens > 500
    assert told.completion_tokens > 0
    assert all(0 <= each <= 1 for each in scores)
    assert sum(scores) == pytest.approx(4)
    assert [each.reward for each in rubric.score_group(EIGHT[::-1])] == scores[::-1]
    assert (totals() - before).num_requests == 2  # the second time they come from the cache


def test_every_form_of_a_verdict_is_forced(asked: dict[str, Any]) -> None:
    async def every() -> list[Any]:
        one = judge(criteria="The answer is right.", scale=[0, 4], reasons=False, judge=asked)
        long = judge(criteria="The answer is right.", scale=[0, 100], reasons=False, judge=asked)
        items = judge_checklist(items=["It is a number.", "It is right."], reasons=False, judge=asked)
        pairs = judge_pairwise(criteria="The answer is right.", reasons=False, num_opponents=2, judge=asked)
        return [
            await one(EIGHT[0]),
            await long(EIGHT[1]),
            await items(EIGHT[2]),
            *await pairs(EIGHT),
            *[json.loads(each.text) for each in await items.explain(EIGHT[2])],
        ]

    before = totals()
    one, long, items, *pairs, verdict = asyncio.run(every())
    assert one in (0.0, 0.25, 0.5, 0.75, 1.0)
    assert 0 <= long <= 1
    assert items in (0.0, 0.5, 1.0)
    assert sum(pairs) == pytest.approx(4)
    assert sum(each["met"] for each in verdict.values()) == 2 * items
    told = totals() - before
    assert (told.num_invalid, told.num_failed) == (0, 0)
    assert told.num_requests == 3 + 16
