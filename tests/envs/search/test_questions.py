"""Questions over a generated world: read word by word they lead to the answer, and without reading they do not."""

from __future__ import annotations

import random
import re
from collections import Counter
from collections.abc import Iterator
from itertools import pairwise

import pytest

from agentrl.envs.search.lexicon import KINDS, RELATIONS, YEARS, phrase_frames
from agentrl.envs.search.questions import Question, make_question
from agentrl.envs.search.scoring import exact_match, normalize
from agentrl.envs.search.world import Entity, World, make_world

SPLITS = ("train", "test")
LEVELS = range(1, 6)

both = pytest.mark.parametrize("split", SPLITS)
all_levels = pytest.mark.parametrize("level", LEVELS)

OPENINGS = {
    "train": (
        r"What is (?P<p>.+)\?",
        r"Find (?P<p>.+)\.",
        r"Name (?P<p>.+)\.",
        r"Of (?P<a>.+) and (?P<b>.+), take the one with the earlier (?P<y>.+)\. What is (?P<p>.+)\?",
        r"Between (?P<a>.+) and (?P<b>.+), choose the one whose (?P<y>.+) is smaller\. Name (?P<p>.+)\.",
        r"For how many entries is (?P<x>.+) the (?P<r>.+), and what is the earliest (?P<y>.+) among them\?"
        r" Answer as COUNT, YEAR\.",
    ),
    "test": (
        r"What is (?P<p>.+)\?",
        r"Find (?P<p>.+)\.",
        r"Name (?P<p>.+)\.",
        r"(?P<a>.+) and (?P<b>.+) differ in (?P<y>.+); for the one that comes first, what is (?P<p>.+)\?",
        r"Look up the (?P<y>.+) of (?P<a>.+) and of (?P<b>.+)\. For the older one, give (?P<p>.+)\.",
        r"Count the entries that have (?P<x>.+) as (?P<r>.+), and find their first (?P<y>.+)\. Answer as COUNT, YEAR\.",
    ),
}


def drawn(split: str, level: int, number: int) -> Iterator[tuple[World, Question]]:
    for seed in range(number):
        rng = random.Random(seed)
        world = make_world(rng, split, level, hidden=2 if level >= 4 else 0)
        for _ in range(3):
            question = make_question(rng, world)
            if question is not None:
                yield world, question


def phrase_of(text: str, split: str) -> tuple[list[str], str]:
    """Take a phrase such as "the seat of the publisher of X" apart; return the relations from X on, and X."""
    readings = []
    for noun in RELATIONS:
        for frame in phrase_frames(noun, split):
            match = re.fullmatch(re.escape(frame.format(r=noun, p="\0")).replace("\0", "(.+)"), text)
            if match:
                nouns, start = phrase_of(match[1], split)
                readings.append(([*nouns, noun], start))
    assert len(readings) <= 1
    return readings[0] if readings else ([], text)


def answer_to(world: World, text: str) -> set[str]:
    """Return what answers a question, found in the facts from its words alone."""
    by_name = {entity.name: entity for entity in world.entities}
    matches = [match for opening in OPENINGS[world.split] if (match := re.fullmatch(opening, text))]
    # The comparison ends like a plain question too, but its rest is no phrase.
    match = max(matches, key=lambda each: len(each.groupdict()))
    asked = match.groupdict()
    if "r" in asked:
        counted = [
            entity
            for entity in world.entities
            if isinstance(target := entity.facts.get(asked["r"]), Entity) and target.name == asked["x"]
        ]
        return {f"{len(counted)}, {min(str(entity.facts[asked['y']]) for entity in counted)}"}
    nouns, start = phrase_of(asked["p"], world.split)
    if "a" in asked:
        assert start == "that one"
        years = {name: int(str(by_name[name].facts[asked["y"]])) for name in (asked["a"], asked["b"])}
        assert len(set(years.values())) == 2
        start = min(years, key=lambda name: years[name])
    value: Entity | str = by_name[start]
    for noun in nouns:
        assert isinstance(value, Entity)
        if noun not in value.facts:
            return {f"unknown after {name}" for name in (value.name, value.alias) if name}
        value = value.facts[noun]
    if isinstance(value, str):
        return {value}
    return {name for name in (value.name, value.alias) if name}


@both
@all_levels
def test_the_words_of_a_question_lead_to_its_answer(split: str, level: int) -> None:
    for world, question in drawn(split, level, 60):
        assert set(question.answers) == answer_to(world, question.text)
        assert len(question.answers) == len(set(question.answers))


@both
@all_levels
def test_kinds_and_hops_are_those_of_the_level(split: str, level: int) -> None:
    kinds: Counter[str] = Counter()
    hops: Counter[int] = Counter()
    for _, question in drawn(split, level, 150):
        kinds[question.kind] += 1
        if question.kind == "chain":
            hops[len(question.trail)] += 1
    expected = {1: {"chain"}, 2: {"chain"}, 3: {"chain", "comparison"}}
    assert set(kinds) == expected.get(level, {"chain", "comparison", "counting", "unanswerable"})
    assert set(hops) == {1: {1}, 2: {2}, 3: {2, 3}, 4: {2, 3, 4}, 5: {3, 4}}[level]


@both
@all_levels
def test_the_trail_goes_through_documents_that_say_so(split: str, level: int) -> None:
    for world, question in drawn(split, level, 40):
        texts = {document.id: document.text for document in world.documents}
        assert {hop.entity.doc_id for hop in question.trail} == set(question.supporting)
        for hop in question.trail:
            assert hop.entity.facts.get(hop.relation) is hop.value
            text = texts[hop.entity.doc_id].casefold()
            if isinstance(hop.value, Entity):
                names = [hop.value.name, hop.value.alias or hop.value.name]
                assert any(name.casefold() in text for name in names)
            elif hop.value is not None:
                assert hop.value.casefold() in text
        if question.kind == "chain":
            for hop, following in pairwise(question.trail):
                assert hop.value is following.entity
            assert question.trail[0].entity.name in question.text
            assert len({hop.entity for hop in question.trail}) == len(question.trail)


@both
@all_levels
def test_the_answer_is_neither_in_the_question_nor_one_guess_away(split: str, level: int) -> None:
    for world, question in drawn(split, level, 60):
        text = f" {normalize(question.text)} "
        assert all(f" {normalize(answer)} " not in text for answer in question.answers)
        named = [entity for entity in world.entities if entity.name in question.text]
        for entity in named:
            for guess in (entity.name, f"unknown after {entity.name}", f"unknown after {entity.alias}"):
                assert not exact_match(guess, question.answers)
        for guess in ("", "unknown", "the", "none", "0", "1", question.text):
            assert not exact_match(guess, question.answers)


@both
def test_only_a_comparison_decides_between_different_answers(split: str) -> None:
    num_compared = 0
    for world, question in drawn(split, 5, 100):
        if question.kind != "comparison":
            continue
        num_compared += 1
        first, second = (hop.entity for hop in question.trail[:2])
        year = YEARS[first.kind]
        younger = max(first, second, key=lambda entity: int(str(entity.facts[year])))
        value: Entity | str | None = younger
        for hop in question.trail[2:]:
            value = value.facts.get(hop.relation) if isinstance(value, Entity) else None
        assert value is not None
        assert not exact_match(value.name if isinstance(value, Entity) else value, question.answers)
        assert world.of_kind(first.kind).count(first) == 1
    assert num_compared > 10


@both
def test_what_is_unanswerable_is_not_said_anywhere(split: str) -> None:
    num_asked = 0
    for world, question in drawn(split, 4, 150):
        if question.kind != "unanswerable":
            continue
        num_asked += 1
        last = question.trail[-1]
        assert last.value is None
        assert last.relation in KINDS[last.entity.kind]
        text = next(document.text for document in world.documents if document.id == last.entity.doc_id)
        assert f"{last.relation} " not in text
        assert question.answers[0] == f"unknown after {last.entity.name}"
    assert num_asked > 5


@both
def test_counts_are_above_one_and_not_always_the_same(split: str) -> None:
    counts: Counter[str] = Counter()
    for _, question in drawn(split, 5, 80):
        if question.kind == "counting":
            counts[question.answers[0].split(",")[0]] += 1
    assert len(counts) >= 2
    assert "1" not in counts
    assert max(counts.values()) < 0.95 * counts.total()


@all_levels
def test_the_splits_share_no_wording_of_a_relation_in_a_question(level: int) -> None:
    wordings: dict[str, set[str]] = {split: set() for split in SPLITS}
    for split in SPLITS:
        for world, question in drawn(split, level, 60):
            names = "|".join(re.escape(entity.name) for entity in world.entities)
            wordings[split].add(re.sub(names, "_", question.text))
    assert min(map(len, wordings.values())) > 15
    assert wordings["train"].isdisjoint(wordings["test"])


@both
@all_levels
def test_the_same_generator_gives_the_same_question(split: str, level: int) -> None:
    first, second = (list(drawn(split, level, 3)) for _ in range(2))
    assert [question.text for _, question in first] == [question.text for _, question in second]
    assert [question.answers for _, question in first] == [question.answers for _, question in second]
