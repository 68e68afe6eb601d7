"""Generated worlds: what the documents say is what holds, and train and test share neither names nor wordings."""

from __future__ import annotations

import functools
import random
import re
from collections.abc import Iterator
from itertools import pairwise

import pytest

from agentrl.envs.search.lexicon import (
    ALIAS_FRAMES,
    FILLERS,
    KINDS,
    RELATIONS,
    RUMOURS,
    YEARS,
    doc_frames,
    idioms,
    make_alias,
    make_name,
    phrase_frames,
    split_of,
)
from agentrl.envs.search.scoring import normalize
from agentrl.envs.search.world import Entity, World, make_world

SPLITS = ("train", "test")
LEVELS = range(1, 6)

both = pytest.mark.parametrize("split", SPLITS)
all_levels = pytest.mark.parametrize("level", LEVELS)


def worlds(split: str, level: int, number: int, hidden: int = 0) -> Iterator[World]:
    for seed in range(number):
        yield make_world(random.Random(seed), split, level, hidden=hidden)


def sentences(text: str) -> list[str]:
    return re.split(r"(?<=\.) ", text)


@functools.cache
def pattern(frame: str, noun: str = "", value: str = ".+") -> re.Pattern[str]:
    """Return what matches a sentence of a frame, its first letter in either case; names and values are groups."""
    text = re.escape(frame.replace("{r}", noun))
    for key, inside in {"x": ".+", "y": value, "a": "[Tt]he .+", "n": r"\d+", "o": ".+"}.items():
        text = text.replace(rf"\{{{key}\}}", f"(?P<{key}>{inside})", 1)
    return re.compile(f"[{text[0].upper()}{text[0].lower()}]{text[1:]}" if text[0].isalpha() else text)


def stated(world: World, entity: Entity, text: str) -> tuple[dict[str, set[str]], list[str]]:
    """Read a document as someone who knows every wording; return relation -> values, and the sentences left over."""
    facts: dict[str, set[str]] = {}
    rest = []
    for sentence in sentences(text):
        found = False
        for noun in KINDS[entity.kind]:
            value = r"\d+" if RELATIONS[noun].object in ("year", "number") else r"(?:[Tt]he )?[A-Z][a-z]+ [A-Z][a-z]+"
            for frame in (*doc_frames(noun, world.split, world.level), *idioms(noun, world.split)):
                match = pattern(frame, noun, value).fullmatch(sentence)
                if match and match.groupdict().get("x", entity.name) == entity.name:
                    facts.setdefault(noun, set()).add(match["y"])
                    found = True
        if not found:
            rest.append(sentence)
    return facts, rest


@both
@all_levels
def test_documents_state_the_facts_and_nothing_else(split: str, level: int) -> None:
    test = split == "test"
    extra = [pattern(frame) for frame in (*ALIAS_FRAMES[test], *FILLERS)]
    extra += [pattern(frame, noun) for frame in RUMOURS[test] for noun in RELATIONS]
    for world in worlds(split, level, 12, hidden=2 if level >= 4 else 0):
        for entity, document in zip(world.entities, world.documents, strict=True):
            assert (document.id, document.title) == (entity.doc_id, entity.name)
            facts, rest = stated(world, entity, document.text)
            assert facts.keys() == entity.facts.keys()
            for noun, said in facts.items():
                value = entity.facts[noun]
                names = {value} if isinstance(value, str) else {value.name, value.alias or value.name}
                assert len(said) == 1
                assert {each.casefold() for each in said} <= {each.casefold() for each in names}
            assert all(any(each.fullmatch(sentence) for each in extra) for sentence in rest)
            if level <= 2:
                assert rest == []


@both
@all_levels
def test_an_alias_that_is_used_is_explained_in_the_document_it_belongs_to(split: str, level: int) -> None:
    num_used = num_aliases = 0
    for world in worlds(split, level, 30):
        texts = {document.id: document.text for document in world.documents}
        for entity in world.entities:
            if entity.alias is None:
                continue
            num_aliases += 1
            assert entity.kind == "person"
            opening = sentences(texts[entity.doc_id])[0]
            said = [pattern(frame).fullmatch(opening) for frame in ALIAS_FRAMES[split == "test"]]
            assert (entity.name, entity.alias.casefold()) in [(m["x"], m["a"].casefold()) for m in said if m]
            num_used += sum(
                entity.alias.casefold() in text.casefold() for id, text in texts.items() if id != entity.doc_id
            )
    assert (num_aliases > 0) == (level >= 3)
    assert (num_used > 0) == (level == 5)  # elsewhere a document always gives the name


@all_levels
def test_the_splits_share_no_name_and_no_alias(level: int) -> None:
    names: dict[str, set[str]] = {}
    for split in SPLITS:
        for world in worlds(split, level, 30):
            for entity in world.entities:
                rivers = (value for noun, value in entity.facts.items() if RELATIONS[noun].object == "river")
                found = {name for name in (entity.name, entity.alias, *rivers) if isinstance(name, str)}
                names.setdefault(split, set()).update(normalize(name) for name in found)
    assert names["train"]
    assert names["test"]
    assert names["train"].isdisjoint(names["test"])


def test_names_are_of_their_split_and_drawn_from_many() -> None:
    for split in SPLITS:
        for kind in (*KINDS, "river"):
            rng = random.Random(0)
            drawn = {make_name(rng, kind, split) for _ in range(3000)}
            assert all(split_of(name) == split for name in drawn)
            assert len(drawn) > (30 if kind == "river" else 50)
        aliases = {make_alias(random.Random(seed), split) for seed in range(100)}
        assert all(alias.startswith("the ") and split_of(alias[4:]) == split for alias in aliases)


def masked(world: World) -> set[str]:
    """Return the sentences of all documents with names and numbers left out."""
    names = {name for entity in world.entities for name in (entity.name, entity.alias) if name}
    names |= {value for entity in world.entities for value in entity.facts.values() if isinstance(value, str)}
    # An alias may begin a sentence in upper case.
    words = "|".join(re.escape(name.removeprefix("the ")) for name in names)
    known = re.compile(rf"(?:[Tt]he )?\b(?:{words})\b|\d+")
    return {known.sub("_", sentence) for document in world.documents for sentence in sentences(document.text)}


@all_levels
def test_the_splits_share_no_wording_of_a_relation(level: int) -> None:
    fillers = {re.sub(r"\{\w\}", "_", filler) for filler in FILLERS}
    wordings: dict[str, set[str]] = {split: set() for split in SPLITS}
    for split in SPLITS:
        for world in worlds(split, level, 40):
            wordings[split] |= masked(world) - fillers
    assert min(map(len, wordings.values())) > 20
    assert wordings["train"].isdisjoint(wordings["test"])
    # Not even the frame that a test wording is made of was met with the same relation.
    for noun in RELATIONS:
        for frames in (doc_frames(noun, "train", level), idioms(noun, "train"), phrase_frames(noun, "train")):
            assert frames
        assert set(doc_frames(noun, "train", level)).isdisjoint(doc_frames(noun, "test", level))
        assert set(idioms(noun, "train")).isdisjoint(idioms(noun, "test"))
        assert set(phrase_frames(noun, "train")).isdisjoint(phrase_frames(noun, "test"))
        assert doc_frames(noun, "test", level)
        assert idioms(noun, "test")
        assert phrase_frames(noun, "test")


@both
def test_levels_grow(split: str) -> None:
    documents, characters, facts = [], [], []
    for level in LEVELS:
        drawn = list(worlds(split, level, 5))
        assert len({len(world.documents) for world in drawn}) == 1
        documents.append(len(drawn[0].documents))
        characters.append(sum(len(each.text) for world in drawn for each in world.documents) / 5)
        facts.append(sum(len(entity.facts) for world in drawn for entity in world.entities) / 5)
    for grown in (documents, characters, facts):
        assert all(small < large for small, large in pairwise(grown))


@both
@all_levels
def test_names_of_a_world_can_be_told_apart(split: str, level: int) -> None:
    num_namesakes = 0
    for world in worlds(split, level, 40):
        names = [normalize(name) for entity in world.entities for name in (entity.name, entity.alias) if name]
        assert len(names) == len(set(names))
        assert all(len(name.split()) == 2 for name in names)
        assert all(split_of(entity.name) == split for entity in world.entities)
        surnames = [entity.name.split()[1] for entity in world.of_kind("person")]
        num_namesakes += len(surnames) - len(set(surnames))
    assert (num_namesakes > 0) == (level >= 4)


@both
@all_levels
def test_facts_fit_their_relations(split: str, level: int) -> None:
    hidden = 2 if level >= 3 else 0
    for world in worlds(split, level, 20, hidden):
        num_missing = 0
        for entity in world.entities:
            assert set(entity.facts) <= set(KINDS[entity.kind])
            num_missing += len(KINDS[entity.kind]) - len(entity.facts)
            for noun, value in entity.facts.items():
                kind = RELATIONS[noun].object
                if isinstance(value, Entity):
                    assert value.kind == kind
                    assert value is not entity
                elif kind == "river":
                    assert split_of(value) == split
                else:
                    assert value.isdecimal()
                    assert noun not in YEARS.values() or 1100 <= int(value) < 1900
        if level >= 3:
            assert num_missing == hidden


@both
@all_levels
def test_the_same_generator_gives_the_same_world(split: str, level: int) -> None:
    first, second, other = (make_world(random.Random(seed), split, level) for seed in (5, 5, 6))
    assert first.documents == second.documents
    assert first.documents != other.documents


@both
def test_two_worlds_share_no_fact(split: str) -> None:
    """Nothing can be memorised: a pair of a name and a fact about it rarely holds in another world."""
    seen: dict[tuple[str, str], str] = {}
    num_again = num_same = 0
    for world in worlds(split, 2, 400):
        for entity in world.entities:
            for noun, value in entity.facts.items():
                text = value if isinstance(value, str) else value.name
                if (entity.name, noun) in seen:
                    num_again += 1
                    num_same += seen[entity.name, noun] == text
                seen[entity.name, noun] = text
    assert num_again > 20
    assert num_same <= num_again / 20
