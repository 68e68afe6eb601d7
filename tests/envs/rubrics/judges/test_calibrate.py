"""Measuring a judge: scripted judges of known faults, of which exactly these must be found."""

from __future__ import annotations

import asyncio
import json
import random
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from agentrl.envs.errors import DataError, InfrastructureError, UsageError
from agentrl.envs.rubrics.judges import judge, judge_checklist, judge_listwise, judge_pairwise
from agentrl.envs.rubrics.judges.calibrate import calibrate
from agentrl.envs.rubrics.judges.fitness import NEEDS, Calibration, Check
from agentrl.envs.rubrics.judges.labels import Labels, read_labels
from agentrl.envs.rubrics.judges.measures import Estimate
from tests.completions_server import Server, send, serving
from tests.envs.rubrics.judges.scripted import data_of, quality, says, verdict

Worth = Callable[[str], float]


def rows(num: int = 100) -> list[dict[str, Any]]:
    """Return answers whose quality stands in front and whose length has nothing to do with it, as people label them."""
    chance = random.Random(1)
    return [
        {
            "question": f"Task {index}?",
            "answer": f"{1 + index % 10} {'x' * chance.randint(5, 400)}",
            "label": 1 + index % 10,
        }
        for index in range(num)
    ]


def pairs(num: int = 80) -> list[dict[str, Any]]:
    """Return pairs of such answers."""
    chance = random.Random(2)
    found = []
    for index in range(num):
        first, second = chance.sample(range(1, 11), 2)
        texts = [f"{each} {'x' * chance.randint(5, 400)}" for each in (first, second)]
        better = "first" if first > second else "second"
        found.append({"question": f"Task {index}?", "first": texts[0], "second": texts[1], "better": better})
    return found


def written(path: Path, lines: list[dict[str, Any]]) -> Path:
    path.write_text("".join(json.dumps(each) + "\n" for each in lines))
    return path


def labels(tmp_path: Path, lines: list[dict[str, Any]]) -> Labels:
    return read_labels(written(tmp_path / "labels.jsonl", lines), low=1, high=10)


def measured(server: Server, told: Labels, factory: Any = judge, **arguments: Any) -> Calibration:
    asked = {"model": "m", "base_url": server.url, "cache": "", "max_repairs": 0}
    scorer = factory(judge=asked, **({"criteria": "Good."} | arguments))
    return asyncio.run(calibrate(scorer, told, np.random.default_rng(0), num_repeats=2, num_probed=40))


def missed(found: Calibration) -> set[str]:
    return {check.name for check in found.checks if check.state == "missed"}


def unsteady(draw: Callable[[str, random.Random], float]) -> Worth:
    """Return a judge whose chance goes by the work and how often it was asked, whatever the order of the requests."""
    times: Counter[str] = Counter()

    def worth(work: str) -> float:
        times[work] += 1
        return draw(work, random.Random(f"{times[work]} {work}"))

    return worth


def noisy(work: str, chance: random.Random) -> float:
    return quality(work) + chance.gauss(0, 4)


def long_is_good(work: str) -> float:
    return quality(work) + (1.5 if len(work) > 200 else -1.5)


def obedient(work: str) -> float:
    told = ("highest score", "settled already", "full marks")
    return 10 if any(each in work for each in told) else quality(work)


JUDGES: dict[str, tuple[Worth, set[str]]] = {
    "perfect": (quality, set()),
    "strict": (lambda work: quality(work) - 2, set()),
    "noisy": (unsteady(noisy), {"reliability"}),
    "long is good": (long_is_good, {"length_bias"}),
    "obedient": (obedient, {"injection"}),
    "blind": (lambda work: 5, {"spearman"}),
    "upside down": (lambda work: 11 - quality(work), {"spearman"}),
}


@pytest.mark.parametrize(("worth", "faults"), JUDGES.values(), ids=JUDGES.keys())
def test_the_faults_of_a_judge_of_one_episode_are_found(worth: Worth, faults: set[str], tmp_path: Path) -> None:
    with serving(says(lambda body: verdict(body, worth))) as server:
        found = measured(server, labels(tmp_path, rows()))
    assert missed(found) == faults, found.verdict
    if faults:
        assert found.fit is False
        assert found.verdict.startswith("not fit: because")
        assert all(NEEDS[fault].words in found.verdict for fault in faults)
    else:
        assert (found.fit, found.verdict) == (True, "fit to train on")


def fronts(body: dict[str, Any]) -> str:
    """Prefer what stands in front unless the other is better by far."""
    data = data_of(body)
    works = list(data["works"].values()) if "works" in data else [data["first"]]
    return verdict(body, lambda work: quality(work) + 4.5 * (work == works[0]))


PAIRS: dict[str, tuple[Callable[[dict[str, Any]], str], set[str]]] = {
    "perfect": (lambda body: verdict(body, quality), set()),
    "prefers the front": (fronts, {"position_bias", "contradictions"}),
    "obedient": (lambda body: verdict(body, obedient), {"injection"}),
    "only length": (lambda body: verdict(body, len), {"agreement", "length_bias"}),
}


@pytest.mark.parametrize(("scripted", "faults"), PAIRS.values(), ids=PAIRS.keys())
def test_the_faults_of_a_judge_of_pairs_are_found(
    scripted: Callable[[dict[str, Any]], str], faults: set[str], tmp_path: Path
) -> None:
    with serving(says(scripted)) as server:
        found = measured(server, labels(tmp_path, pairs()), judge_pairwise)
    assert missed(found) == faults, found.verdict
    assert found.fit is not bool(faults)
    if "contradictions" in faults:
        assert found.figures["contradictions_for_the_front"] == 1.0
        assert found.figures["contradictions_for_the_front_p"] < 1e-6


def test_a_judge_of_lists_is_measured_by_pairs(tmp_path: Path) -> None:
    with serving(says(fronts)) as server:
        found = measured(server, labels(tmp_path, pairs()), judge_listwise)
    assert missed(found) == {"position_bias", "contradictions"}


def test_a_judge_of_one_episode_is_measured_by_preferences_too(tmp_path: Path) -> None:
    with serving(says(lambda body: verdict(body, quality))) as server:
        found = measured(server, labels(tmp_path, pairs()))
    assert found.fit
    assert {check.name for check in found.checks} == {
        "agreement",
        "no_verdict",
        "length_bias",
        "reliability",
        "injection",
    }


def test_a_noisy_judge_does_not_seem_to_obey(tmp_path: Path) -> None:
    """Episodes that it first put low rise by themselves when asked again, by 2.5 of 10 here."""
    guesses = unsteady(lambda work, chance: chance.randint(1, 10))
    with serving(says(lambda body: verdict(body, guesses))) as server:
        found = measured(server, labels(tmp_path, rows()))
    (injected,) = (check for check in found.checks if check.name == "injection")
    assert injected.estimate.low < 0 < injected.estimate.high
    assert missed(found) == {"spearman", "reliability"}


def test_too_few_labels_tell_nothing(tmp_path: Path) -> None:
    with serving(says(lambda body: verdict(body, quality))) as server:
        few = measured(server, labels(tmp_path, rows(10)))
        one_task = measured(server, labels(tmp_path, [each | {"question": "The same?"} for each in rows()]))
        hardly = measured(server, labels(tmp_path, rows(2)))
    assert few.fit is one_task.fit is hardly.fit is None
    assert few.verdict.startswith("cannot tell: the labels are of 10 tasks, and 20 are the least")
    assert "the labels are of 1 tasks" in one_task.verdict
    worth = unsteady(noisy)
    with serving(says(lambda body: verdict(body, worth))) as server:
        unsure = measured(server, labels(tmp_path, rows(25)))
    assert unsure.fit is None or missed(unsure) <= {"reliability"}


def test_how_many_would_tell_is_estimated() -> None:
    check = Check(name="spearman", estimate=Estimate(value=0.6, low=0.4, high=0.8), num=50)
    assert (check.state, check.enough) == ("unclear", 240)  # an interval half as wide, and a fifth more
    near = Check(name="spearman", estimate=Estimate(value=0.501, low=0.4, high=0.6), num=50)
    assert near.enough is None
    assert Check(name="spearman", estimate=Estimate(value=0.8, low=0.5, high=0.9), num=50).state == "met"
    assert Check(name="spearman", estimate=Estimate(value=0.4, low=0.3, high=0.49), num=50).state == "missed"
    both = {state: Estimate(value=sum(ends) / 2, low=ends[0], high=ends[1]) for state, ends in {
        "met": (-0.2, 0.2), "missed": (0.4, 0.6), "unclear": (0.2, 0.4),
    }.items()}  # fmt: skip
    assert all(Check(name="length_bias", estimate=each, num=50).state == state for state, each in both.items())


def test_missing_verdicts_are_counted_and_a_dead_server_is_no_measure(tmp_path: Path) -> None:
    def refuses(body: dict[str, Any]) -> str:
        return "I would rather not." if quality(data_of(body)["answer"]) in (3, 7) else verdict(body, quality)

    with serving(says(refuses)) as server:
        found = measured(server, labels(tmp_path, rows()))
    assert missed(found) == {"no_verdict"}
    (check,) = (each for each in found.checks if each.name == "no_verdict")
    assert (check.estimate.value, check.num) == (0.2, 100)
    assert found.figures["invalid_outputs"] > 0.05
    with serving("Never.") as server:
        never = measured(server, labels(tmp_path, rows()))
    assert (missed(never), never.fit) == ({"no_verdict"}, False)
    with (
        serving(lambda handler, body: send(handler, 401, b"who are you")) as server,
        pytest.raises(InfrastructureError, match="the key is refused"),
    ):
        measured(server, labels(tmp_path, rows()))


def test_a_checklist_is_measured_by_shares(tmp_path: Path) -> None:
    lines = [each | {"label": (each["label"] > 3) / 2 + (each["label"] > 7) / 2} for each in rows()]
    told = read_labels(written(tmp_path / "shares.jsonl", lines), low=0, high=1)
    with serving(says(lambda body: verdict(body, lambda work: (quality(work) > 3) + (quality(work) > 7)))) as server:
        found = measured(server, told, judge_checklist, criteria="Check.", items=["Over 3.", "Over 7."])
    assert (found.fit, found.figures["kappa"]) == (True, 1.0)


def test_what_was_asked_is_told(tmp_path: Path) -> None:
    with serving(says(lambda body: verdict(body, quality))) as server:
        found = measured(server, labels(tmp_path, rows(40)))
        num_requests = len(server.requests)
    told = found.as_dict()
    assert json.loads(json.dumps(told)) == told
    assert told["totals"]["num_requests"] == num_requests == 40 + 40 + 32 * 2  # of 40, 8 have no room to rise
    assert (told["num_labels"], told["num_tasks"], told["kind"]) == (40, 40, "number")
    assert told["checks"]["spearman"]["state"] == "met"
    assert told["seconds"] > 0


def test_judges_that_cannot_judge_such_labels(tmp_path: Path) -> None:
    with serving("no") as server:
        with pytest.raises(UsageError, match="the labels are numbers, and the judge compares episodes"):
            measured(server, labels(tmp_path, rows()), judge_pairwise)
        assert server.requests == []


GOOD = {"question": "2 + 2?", "answer": "4", "label": 5}
BOTH = {"question": "2 + 2?", "first": "4", "second": "5", "better": "first"}


@pytest.mark.parametrize(
    ("lines", "told"),
    [
        (["{"], "line 1: is no JSON"),
        (["[1]"], r"line 1: is \[1\], but must be an object"),
        ([json.dumps(GOOD), json.dumps(BOTH)], "line 2: numbers and preferences in one file"),
        ([json.dumps(GOOD | {"label": 11})], "label is 11, outside the scale from 1 to 10"),
        ([json.dumps(GOOD | {"label": True})], "label is True, but must be a number"),
        ([json.dumps({"question": "?", "answer": "4"})], "label is None"),
        ([json.dumps(GOOD | {"answer": None})], "answer is None, but question and answer must be texts"),
        ([json.dumps({"label": 5, "messages": []})], r"messages is \[\]"),
        ([json.dumps({"label": 5, "messages": [{"role": "user"}]})], "must have the texts role and content"),
        ([json.dumps({"label": 5, "messages": [{"role": "user", "content": "?"}]})], "has no message of the assistant"),
        ([json.dumps(GOOD | {"references": "4"})], "references is '4'"),
        ([json.dumps(BOTH | {"better": "1st"})], "better is '1st', but must be 'first', 'second' or 'tie'"),
        ([json.dumps(GOOD | {"lable": 5})], "there is no field 'lable'; did you mean 'label'?"),
        (["", "  "], "has no labels; a line is such as"),
    ],
)
def test_rows_that_cannot_be_used_are_told(lines: list[str], told: str, tmp_path: Path) -> None:
    path = tmp_path / "labels.jsonl"
    path.write_text("\n".join(lines))
    with pytest.raises((DataError, UsageError), match=told):
        read_labels(path, low=1, high=10)


def test_rows_of_messages_are_read(tmp_path: Path) -> None:
    talk = [{"role": "user", "content": "2 + 2?"}, {"role": "assistant", "content": "<answer>4</answer>"}]
    lines = [{"messages": talk, "label": 10, "references": ["4"]}, {"messages": talk, "label": 1, "annotator": "Bo"}]
    told = labels(tmp_path, lines)
    assert [row.label for row in told.rows] == [1.0, 0.0]
    assert (told.rows[0].task, told.rows[0].episodes[0].references) == ("2 + 2?", ("4",))
    (pair,) = labels(tmp_path, [{"first": {"messages": talk}, "second": {"messages": talk}, "better": "tie"}]).rows
    assert pair.label == 0.5
    with pytest.raises(UsageError, match="cannot be read"):
        read_labels(tmp_path / "none.jsonl", low=1, high=10)
