"""A fresh fictional encyclopedia for every seed: entities, facts, and the documents that state them.

Facts are drawn at random, so nothing can be memorised: everything must be read. Levels add what makes reading hard:
idioms and aliases from level 3, long documents with rumours from level 4, references by alias alone at level 5.
"""

from __future__ import annotations

import random
from dataclasses import dataclass

from agentrl.envs.search.lexicon import (
    ALIAS_FRAMES,
    FILLERS,
    KINDS,
    RELATIONS,
    RUMOURS,
    doc_frames,
    idioms,
    make_alias,
    make_name,
    split_of,
)
from agentrl.envs.search.retrieval import Document

__all__ = ["Entity", "World", "make_world"]

# Entities of each kind by level, and filler sentences a document.
_SIZES = {
    1: ({"person": 3, "work": 2, "organisation": 2, "town": 2, "region": 1}, (0, 0)),
    2: ({"person": 5, "work": 4, "organisation": 3, "town": 3, "region": 2}, (0, 0)),
    3: ({"person": 9, "work": 7, "organisation": 5, "town": 5, "region": 3}, (0, 2)),
    4: ({"person": 14, "work": 12, "organisation": 7, "town": 7, "region": 4}, (3, 8)),
    5: ({"person": 22, "work": 18, "organisation": 10, "town": 10, "region": 5}, (7, 12)),
}
# Which words of a name tell it from the others of its kind.
_TELLING = {
    "person": slice(0, 2),
    "work": slice(0, 2),
    "organisation": slice(0, 1),
    "town": slice(1, 2),
    "region": slice(0, 1),
}
_FACTS_A_DOCUMENT = {1: 2, 2: 3}  # levels 3 and up state every fact


@dataclass(frozen=True, kw_only=True, eq=False)
class Entity:
    """Something with a document of its own."""

    doc_id: str
    kind: str
    name: str
    alias: str | None  # a by-name, honoured in answers
    facts: dict[str, Entity | str]  # relation -> value; a literal is a string

    def __repr__(self) -> str:
        return f"Entity({self.name!r})"


@dataclass(frozen=True, kw_only=True)
class World:
    """The entities of one episode and their documents."""

    split: str
    level: int
    entities: tuple[Entity, ...]
    documents: tuple[Document, ...]

    def of_kind(self, kind: str) -> list[Entity]:
        """Return the entities of a kind, in document order."""
        return [entity for entity in self.entities if entity.kind == kind]


def make_world(rng: random.Random, split: str, level: int, *, hidden: int = 0) -> World:
    """Draw a world.

    Args:
        rng: The only source of randomness.
        split: "train" or "test": decides names and wordings.
        level: 1 to 5.
        hidden: How many facts of entities are left out of the world, so that some questions have no answer.
    """
    sizes, fillers = _SIZES[level]
    entities = _entities(rng, split, level, sizes)
    by_kind = {kind: [entity for entity in entities if entity.kind == kind] for kind in KINDS}
    for entity in entities:
        nouns = list(KINDS[entity.kind])
        if level in _FACTS_A_DOCUMENT:
            nouns = sorted(rng.sample(nouns, min(len(nouns), _FACTS_A_DOCUMENT[level])), key=nouns.index)
        for noun in nouns:
            entity.facts[noun] = _value(rng, noun, entity, by_kind, split, level)
    for entity in rng.sample(entities, hidden):
        del entity.facts[rng.choice([noun for noun in entity.facts if RELATIONS[noun].object in KINDS])]
    documents = tuple(_document(rng, entity, entities, split, level, fillers) for entity in entities)
    return World(split=split, level=level, entities=tuple(entities), documents=documents)


def _entities(rng: random.Random, split: str, level: int, sizes: dict[str, int]) -> list[Entity]:
    used: set[str] = set()
    kinds = [kind for kind, count in sizes.items() for _ in range(count)]
    rng.shuffle(kinds)  # the order of documents tells nothing about their kind
    entities: list[Entity] = []
    for index, kind in enumerate(kinds):
        name = _fresh(rng, kind, split, used)
        if level >= 4 and kind == "person" and rng.random() < 0.4:  # namesakes: same surname, another person
            others = [each.name for each in entities if each.kind == "person"]
            if others:
                name = _namesake(rng, rng.choice(others), split, used) or name
        used.add(name)
        alias = None
        if level >= 3 and kind == "person" and rng.random() < 0.6:
            alias = make_alias(rng, split)
            while alias in used or alias.removeprefix("the ") in used:  # scoring drops the article
                alias = make_alias(rng, split)
            used.add(alias)
        entities.append(Entity(doc_id=f"d{index + 1}", kind=kind, name=name, alias=alias, facts={}))
    return entities


def _fresh(rng: random.Random, kind: str, split: str, used: set[str]) -> str:
    # No two names of a world share a telling word, so that a search can tell them apart; "Upper", "Press" and the like
    # are shared.
    telling = _TELLING[kind]
    taken = {word for name in used for word in name.split()}
    while True:
        name = make_name(rng, kind, split)
        if not any(word in taken for word in name.split()[telling]):
            return name


def _namesake(rng: random.Random, other: str, split: str, used: set[str]) -> str | None:
    surname = other.split()[1]
    for _ in range(20):
        first = make_name(rng, "person", split).split()[0]
        name = f"{first} {surname}"
        if name not in used and split_of(name) == split:
            return name
    return None


def _value(
    rng: random.Random, noun: str, entity: Entity, by_kind: dict[str, list[Entity]], split: str, level: int
) -> Entity | str:
    kind = RELATIONS[noun].object
    if kind == "year":
        return str(rng.randint(1100, 1899))
    if kind == "number":
        return str(rng.randint(1100, 98999))
    if kind == "river":
        return make_name(rng, "river", split)
    return rng.choice([each for each in by_kind[kind] if each is not entity])


def _document(
    rng: random.Random, entity: Entity, entities: list[Entity], split: str, level: int, fillers: tuple[int, int]
) -> Document:
    sentences = []
    for noun, value in entity.facts.items():
        frames = doc_frames(noun, split, level)
        if level >= 3 and rng.random() < 0.6:
            frames = idioms(noun, split)
        text = value if isinstance(value, str) else value.name
        if level >= 5 and isinstance(value, Entity) and value.alias and rng.random() < 0.5:
            text = value.alias
        sentences.append(_capital(rng.choice(frames).format(r=noun, x=entity.name, y=text)))
    rng.shuffle(sentences)
    test = split == "test"
    if level >= 4:
        for noun, value in entity.facts.items():
            if isinstance(value, Entity) and rng.random() < 0.15 * (level - 3):
                other = rng.choice(
                    [each for each in entities if each is not value and each.kind == value.kind] or [entity]
                )
                sentences.append(_capital(rng.choice(RUMOURS[test]).format(r=noun, y=other.name)))
    for filler in rng.sample(FILLERS, rng.randint(*fillers)):
        sentences.insert(
            rng.randint(0, len(sentences)), filler.format(n=rng.randint(2, 400), o=rng.choice(entities).name)
        )
    if entity.alias:
        sentences.insert(0, _capital(rng.choice(ALIAS_FRAMES[test]).format(x=entity.name, a=entity.alias)))
    return Document(id=entity.doc_id, title=entity.name, text=" ".join(sentences))


def _capital(sentence: str) -> str:
    return sentence[0].upper() + sentence[1:]
