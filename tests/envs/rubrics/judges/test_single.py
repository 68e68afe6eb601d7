"""Judges of one episode, over a real server with a scripted model."""

from __future__ import annotations

import asyncio
import gc
import json
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from agentrl.envs.errors import InfrastructureError, UsageError
from agentrl.envs.rubrics.judges import judge, judge_checklist, judge_reference, totals
from agentrl.envs.rubrics.rubric import Component, Rubric
from agentrl.envs.rubrics.toml import from_toml
from agentrl.envs.rubrics.transcript import Transcript
from tests.completions_server import Server, complete, hang, send, serving
from tests.envs.rubrics.judges.scripted import data_of, episode, honest, says

ASKED = {"model": "m", "base_url": "http://127.0.0.1/v1"}


def settings(server: Server, **changes: Any) -> dict[str, Any]:
    return {"model": "m", "base_url": server.url, "cache": "", **changes}


def score(scorer: Any, *episodes: Transcript) -> list[float]:
    """Await a scorer for each episode on a loop of this thread, which is not that of the judges."""

    async def every() -> list[float]:
        return list(await asyncio.gather(*(scorer(each) for each in episodes)))

    return asyncio.run(every())


def failure(scorer: Any, one: Transcript) -> InfrastructureError:
    with pytest.raises(InfrastructureError) as caught:
        score(scorer, one)
    assert caught.value.boundary == "judge"
    return caught.value


def test_a_scale_is_mapped_to_a_score_and_only_the_answer_is_shown() -> None:
    with serving(says(honest)) as server:
        scorer = judge(criteria="It is good.", anchors={"10": "perfect"}, judge=settings(server))
        assert score(scorer, episode("1 poor"), episode("10 best"), episode("4 fair")) == [
            0.0,
            1.0,
            pytest.approx(1 / 3),
        ]
        (body, *_) = server.requests
        assert body["messages"][0]["content"].startswith("You grade the work of an AI agent.")
        assert "It is good." in body["messages"][0]["content"]
        assert "10: perfect" in body["messages"][0]["content"]
        assert (body["temperature"], body["max_tokens"], body["model"]) == (0.0, 1024, "m")
        assert body["response_format"]["json_schema"]["strict"] is True
        assert {"task": "Do it well.", "answer": "1 poor"} in map(data_of, server.requests)
        assert scorer.totals().num_requests == totals().num_requests - before_of(scorer) == 3


def before_of(scorer: Any) -> int:
    """Return how many requests earlier tests of this process made."""
    return totals().num_requests - int(scorer.totals().num_requests)


def test_a_rubric_in_toml_waits_for_its_judges() -> None:
    with serving(says(honest)) as server:
        rubric = from_toml(
            f'[judge]\nmodel = "m"\nbase_url = "{server.url}"\ncache = ""\n'
            '[[component]]\nname = "good"\nuse = "judge"\nweight = 2.0\n[component.with]\ncriteria = "It is good."\n'
            "scale = [0, 10]\n[component.with.judge]\nmax_tokens = 77\n"
        )
        assert rubric.score(episode("5 fair")).reward == 1.0
        assert server.requests[0]["max_tokens"] == 77


def test_threads_and_loops_ask_side_by_side() -> None:
    def slow(body: dict[str, Any]) -> str:
        time.sleep(0.2)
        return honest(body)

    with serving(says(slow)) as server:
        scorer = judge(criteria="It is good.", judge=settings(server))
        rubric = Rubric(components=(Component(name="good", use=scorer),))
        began = time.monotonic()
        with ThreadPoolExecutor(16) as threads:
            found = list(
                threads.map(lambda each: rubric.score(episode(f"{each % 10 + 1} of {each}")).reward, range(16))
            )
        assert found == [pytest.approx(each % 10 / 9) for each in range(16)]
        assert server.most_at_once > 8
        assert time.monotonic() - began < 2  # one after another: 3.2


def test_a_question_that_many_have_at_once_is_asked_once() -> None:
    def slow(body: dict[str, Any]) -> str:
        time.sleep(0.1)
        return honest(body)

    with serving(says(slow)) as server:
        scorer = judge(criteria="It is good.", judge=settings(server))
        assert score(scorer, *[episode("10 best")] * 8) == [1.0] * 8
        assert len(server.requests) == 1
        assert scorer.totals().num_shared == 7
        score(scorer, episode("10 best"))
        assert len(server.requests) == 2  # without a cache a later question is asked anew


def test_verdicts_are_kept_on_disk(tmp_path: Path) -> None:
    with serving(says(honest)) as server:
        for cache in ("mine.sqlite", str(tmp_path / "there" / "verdicts.sqlite")):
            scorer = judge(criteria="It is good.", judge=settings(server, cache=cache))
            assert score(scorer, episode("4 fair"), episode("7 fine")) == score(
                scorer, episode("4 fair"), episode("7 fine")
            )
            (verdict,) = asyncio.run(_explained(scorer, episode("4 fair")))
            assert (verdict.cached, json.loads(verdict.text)["reason"]) == (True, "So it is.")
            assert scorer.totals().num_cached == 3
        assert (tmp_path / "cache" / "agentrl" / "mine.sqlite").is_file()
        assert (tmp_path / "there" / "verdicts.sqlite").is_file()
        assert len(server.requests) == 4
        score(scorer.again(1), episode("4 fair"))
        assert len(server.requests) == 5  # a repetition is asked for anew …
        score(scorer.again(1), episode("4 fair"))
        assert len(server.requests) == 5  # … and then kept by itself
        other = judge(criteria="It is kind.", judge=settings(server, cache=cache))
        score(other, episode("4 fair"))
        assert len(server.requests) == 6


async def _explained(scorer: Any, one: Transcript) -> Any:
    return await scorer.explain(one)


def test_votes_are_averaged() -> None:
    said = iter(["2", "4", "9"])
    lock = threading.Lock()

    def differs(body: dict[str, Any]) -> str:
        with lock:
            return f'{{"reason": "", "score": {next(said)}}}'

    with serving(says(differs)) as server:
        scorer = judge(criteria="Good.", scale=[0, 10], judge=settings(server, num_votes=3, temperature=1.0))
        assert score(scorer, episode("5 fair")) == [0.5]
        assert len(server.requests) == 3


def test_a_checklist_scores_the_weighted_share() -> None:
    with serving(says(honest)) as server:
        scorer = judge_checklist(items=["Short.", "Right.", "Kind."], weights=[1, 2, 5], judge=settings(server))
        assert score(scorer, episode("2 of them"), episode("0 of them"), episode("3 of them")) == [3 / 8, 0.0, 1.0]
        assert "item_3: Kind." in server.requests[0]["messages"][0]["content"]
        (verdict,) = asyncio.run(_explained(scorer, episode("2 of them")))
        assert verdict.value == (True, True, False)


def test_a_reference_is_shown_or_asked_for() -> None:
    with serving(says(honest)) as server:
        scorer = judge_reference(judge=settings(server))
        assert scorer.needs_reference
        assert score(scorer, episode("10 best", references=("42", "forty-two"))) == [1.0]
        assert data_of(server.requests[0])["accepted_answers"] == ["42", "forty-two"]
        with pytest.raises(UsageError, match=r"tells no accepted answer; write reference = '…', or use judge"):
            score(scorer, episode("10 best"))
        own = judge_reference(reference="43", judge=settings(server))
        assert not own.needs_reference
        score(own, episode("10 best"))
        assert data_of(server.requests[1])["accepted_answers"] == ["43"]


def test_an_episode_without_a_turn_is_worth_nothing_and_not_asked_about() -> None:
    with serving(says(honest)) as server:
        scorer = judge(criteria="Good.", judge=settings(server))
        assert score(scorer, Transcript(messages=({"role": "user", "content": "Well?"},))) == [0.0]
        assert server.requests == []


def test_an_unusable_verdict_goes_back_with_the_reason() -> None:
    said = iter(["I would say 8.", '{"reason": "Fine.", "score": 11}', '```json\n{"reason": "Fine.", "score": 8}\n```'])
    with serving(says(lambda body: next(said))) as server:
        scorer = judge(criteria="Good.", judge=settings(server))
        assert score(scorer, episode("8 good")) == [pytest.approx(7 / 9)]
        told = [each["messages"][-1]["content"] for each in server.requests[1:]]
        assert "it is not one JSON object alone (Expecting value at character 0)" in told[0]
        assert "score is 11, but must be a whole number from 1 to 10" in told[1]
        assert server.requests[2]["messages"][2] == {"role": "assistant", "content": '{"reason": "Fine.", "score": 11}'}
        assert (len(server.requests), scorer.totals().num_invalid) == (3, 2)


def test_what_stays_unusable_is_a_failure_and_no_score() -> None:
    with serving("A fine answer!") as server:
        error = failure(judge(criteria="Good.", judge=settings(server, max_repairs=1)), episode("8 good"))
        assert error.kind == "judge_output"
        assert "gave no verdict in 2 answers: it is not one JSON object alone" in str(error)
        assert "'A fine answer!'" in str(error)
        assert len(server.requests) == 2
    with serving(lambda handler, body: complete(handler, '{"reason": "I th', "length")) as server:
        error = failure(judge(criteria="Good.", judge=settings(server, max_tokens=5)), episode("8 good"))
        assert "it was cut off at max_tokens = 5" in str(error)
    refuses = {"role": "assistant", "content": None, "refusal": "I cannot judge people."}
    with serving(lambda handler, body: refuses) as server:
        error = failure(judge(criteria="Good.", judge=settings(server)), episode("8 good"))
        assert error.kind == "refused"
        assert "I cannot judge people." in str(error)
    with serving(lambda handler, body: complete(handler, "", "content_filter")) as server:
        assert failure(judge(criteria="Good.", judge=settings(server)), episode("8 good")).kind == "refused"


def test_what_a_server_gets_wrong_is_tried_again_and_then_a_failure() -> None:
    def busy(handler: Any, body: dict[str, Any]) -> str | None:
        if len(server.requests) > 1:
            return honest(body)
        send(handler, 429, b"slow down", Retry_After="0.3")
        return None

    with serving(busy) as server:
        scorer = judge(criteria="Good.", judge=settings(server))
        assert score(scorer, episode("10 best")) == [1.0]
        assert server.times[1] - server.times[0] >= 0.3
        assert scorer.totals().num_retries == 1
    with serving(lambda handler, body: hang(handler, 2.0)) as server:
        scorer = judge(criteria="Good.", judge=settings(server, deadline_s=0.4, max_tries=2))
        began = time.monotonic()
        assert failure(scorer, episode("10 best")).kind == "timeout"
        assert time.monotonic() - began < 1.5
        assert scorer.totals().num_failed == 1
    with serving(lambda handler, body: send(handler, 500, b"oops")) as server:
        assert (
            failure(judge(criteria="Good.", judge=settings(server, max_tries=2)), episode("10 best")).kind == "server"
        )
    gone = {"model": "m", "base_url": "http://127.0.0.1:9/v1", "cache": "", "max_tries": 2}
    assert failure(judge(criteria="Good.", judge=gone), episode("10 best")).kind == "unreachable"


@pytest.mark.parametrize(
    ("refuses", "sent"),
    [
        (lambda body: "json_schema" in body.get("response_format", {}), {"response_format": {"type": "json_object"}}),
        (lambda body: "response_format" in body, {}),
    ],
)
def test_a_server_without_structured_output_is_asked_in_words(refuses: Any, sent: dict[str, Any]) -> None:
    def answer(handler: Any, body: dict[str, Any]) -> str | None:
        if refuses(body):
            send(handler, 400, b"response_format is not supported")
            return None
        return '{"reason": "", "score": 10}'

    with serving(answer) as server:
        scorer = judge(criteria="Good.", judge=settings(server))
        assert score(scorer, episode("10 best")) == [1.0]
        num = len(server.requests)
        assert {"response_format": server.requests[-1].get("response_format")} == sent | (
            {} if sent else {"response_format": None}
        )
        score(scorer, episode("10 best too"))
        assert len(server.requests) == num + 1  # what the server takes is known by now


def test_a_model_that_takes_no_temperature_is_asked_without() -> None:
    def answer(handler: Any, body: dict[str, Any]) -> str | None:
        if "max_tokens" in body:
            send(handler, 400, b"Unsupported parameter: 'max_tokens'. Use 'max_completion_tokens' instead.")
        elif "temperature" in body:
            send(handler, 400, b"'temperature' does not support 0.0 with this model")
        else:
            return honest(body)
        return None

    with serving(answer) as server:
        assert score(judge(criteria="Good.", judge=settings(server)), episode("10 best")) == [1.0]
        assert server.requests[-1]["max_completion_tokens"] == 1024
        assert "json_schema" in server.requests[-1]["response_format"]


def test_a_refusal_of_everything_is_told_as_it_was_first() -> None:
    with serving(lambda handler, body: send(handler, 400, b"no such LoRA")) as server:
        error = failure(judge(criteria="Good.", judge=settings(server)), episode("10 best"))
        assert error.kind == "rejected"
        assert "no such LoRA" in str(error)


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"criteria": ""}, "criteria = '' must be a text"),
        ({"scale": [10, 1]}, "scale = [10, 1] must be two whole numbers, the lower first"),
        ({"scale": [0, 0.5]}, "scale = [0, 0.5] must be two whole numbers"),
        ({"anchors": {"11": "too good"}}, "anchors: '11' is no whole number from 1 to 10"),
        ({"shows": "anser"}, "shows = 'anser' does not exist; did you mean 'answer'?"),
        ({"max_chars": 3}, "max_chars = 3 must be a whole number of 200 or more"),
        ({"reasons": 1}, "reasons = 1 must be true or false"),
        ({"judge": None}, "judge: model and base_url must be given; write [judge]"),
        ({"judge": {"model": "m", "base_url": "localhost"}}, "judge: base_url='localhost' is no address"),
        ({"judge": {"modl": "m"}}, "judge: there is no 'modl'; did you mean 'model'?"),
        (
            {"judge": {**ASKED, "num_votes": 3}},
            "num_votes = 3 at temperature = 0 asks for",
        ),
        ({"judge": {**ASKED, "max_tokens": 0}}, "max_tokens = 0 must be a whole number"),
        ({"judge": {**ASKED, "temperature": -1}}, "temperature = -1 must be 0 or more"),
        ({"judge": {**ASKED, "cache": 1}}, "cache = 1 must be a path"),
    ],
)
def test_arguments_that_cannot_work_are_told(changes: dict[str, Any], told: str) -> None:
    arguments = {"criteria": "Good.", "judge": ASKED, **changes}
    with pytest.raises(UsageError) as caught:
        judge(**arguments)
    assert told in str(caught.value)


def test_checklists_that_cannot_work_are_told() -> None:
    with pytest.raises(UsageError, match="must be a list of at least one statement"):
        judge_checklist(items=[], judge=ASKED)
    with pytest.raises(UsageError, match="must be a list of 2 numbers, one for each item"):
        judge_checklist(items=["a", "b"], weights=[1], judge=ASKED)
    with pytest.raises(UsageError, match="weights: 0 must be a number above 0"):
        judge_checklist(items=["a", "b"], weights=[1, 0], judge=ASKED)


def test_many_that_fail_at_once_say_nothing_behind_ones_back(caplog: pytest.LogCaptureFixture) -> None:
    """asyncio logs exceptions that nobody took, once they are collected."""
    scorer = judge(criteria="Good.", judge={**ASKED, "base_url": "http://127.0.0.1:9/v1", "cache": "", "max_tries": 4})

    async def every() -> None:
        async with asyncio.TaskGroup() as group:  # the first to fail cancels the others
            for number in range(60):
                group.create_task(_awaited(scorer(episode(str(number)))))

    for _ in range(8):
        with pytest.raises(ExceptionGroup):
            asyncio.run(every())
        gc.collect()
    assert [each.message for each in caplog.records if each.levelname == "ERROR"] == []


async def _awaited(score: Any) -> Any:
    return await score
