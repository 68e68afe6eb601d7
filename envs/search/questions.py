"""Questions over a generated world, with the trail that answers each.

No question can be answered without reading: a comparison asks for a fact of the winner, never for its name; a count
comes with a year; an unanswerable question wants the name at which the trail ends. A guess from the question alone
earns nothing.
"""

from __future__ import annotations

import random
from dataclasses import dataclass

from agentrl.envs.search.lexicon import KINDS, RELATIONS, YEARS, phrase_frames
from agentrl.envs.search.world import Entity, World

__all__ = ["Hop", "Question", "make_question"]

# Weights of the kinds of question, and the range of hops of a chain, by level.
_MIX = {
    1: ({"chain": 1}, (1, 1)),
    2: ({"chain": 1}, (2, 2)),
    3: ({"chain": 3, "comparison": 1}, (2, 3)),
    4: ({"chain": 4, "comparison": 2, "counting": 2, "unanswerable": 1}, (2, 4)),
    5: ({"chain": 4, "comparison": 3, "counting": 2, "unanswerable": 2}, (3, 4)),
}
# {p} is a chain of relations as a noun phrase, whose wordings differ by split; {y} the noun of a year, {a} and {b}
# entities. Frames that say something of a relation themselves are (train, test).
_CHAIN = ("What is {p}?", "Find {p}.", "Name {p}.")
_COMPARE = (
    (
        "Of {a} and {b}, take the one with the earlier {y}. What is {p}?",
        "Between {a} and {b}, choose the one whose {y} is smaller. Name {p}.",
    ),
    (
        "{a} and {b} differ in {y}; for the one that comes first, what is {p}?",
        "Look up the {y} of {a} and of {b}. For the older one, give {p}.",
    ),
)
_COUNT = (
    ("For how many entries is {x} the {r}, and what is the earliest {y} among them? Answer as COUNT, YEAR.",),
    ("Count the entries that have {x} as {r}, and find their first {y}. Answer as COUNT, YEAR.",),
)
_THAT = "that one"


@dataclass(frozen=True, kw_only=True)
class Hop:
    """One lookup: in the document of `entity`, read `relation`."""

    entity: Entity
    relation: str
    value: Entity | str | None  # None: the document does not say

    @property
    def text(self) -> str:
        """The value as the answer would name it."""
        return self.value.name if isinstance(self.value, Entity) else str(self.value)


@dataclass(frozen=True, kw_only=True)
class Question:
    """A question, what answers it, and how to find out."""

    kind: str  # "chain", "comparison", "counting", "unanswerable"
    text: str
    answers: tuple[str, ...]  # all are right; the first is the plain one
    supporting: tuple[str, ...]  # ids of the documents that hold the evidence
    trail: tuple[Hop, ...]  # lookups in order


def make_question(rng: random.Random, world: World) -> Question | None:
    """Draw a question of the world's level; None when this draw led nowhere (draw again)."""
    mix, hops = _MIX[world.level]
    kind = rng.choices(list(mix), list(mix.values()))[0]
    if kind == "comparison":
        return _comparison(rng, world)
    if kind == "counting":
        return _counting(rng, world)
    if kind == "unanswerable":
        return _unanswerable(rng, world)
    trail = _walk(rng, world, rng.choice(world.entities), rng.randint(*hops))
    if trail is None:
        return None
    text = rng.choice(_CHAIN).format(p=_phrase(rng, world.split, [hop.relation for hop in trail], trail[0].entity.name))
    return _checked(kind="chain", text=text, trail=trail)


def _walk(rng: random.Random, world: World, start: Entity, num_hops: int) -> list[Hop] | None:
    trail: list[Hop] = []
    here: Entity = start
    seen = {start.name}
    for index in range(num_hops):
        last = index == num_hops - 1
        choices = [
            noun
            for noun, value in here.facts.items()
            if (last or isinstance(value, Entity)) and _name(value) not in seen
        ]
        if not choices:
            return None
        noun = rng.choice(choices)
        value = here.facts[noun]
        trail.append(Hop(entity=here, relation=noun, value=value))
        seen.add(_name(value))
        if isinstance(value, Entity):
            here = value
    return trail


def _comparison(rng: random.Random, world: World) -> Question | None:
    kind = rng.choice(list(YEARS))
    entities = world.of_kind(kind)
    year = YEARS[kind]
    first, second = rng.sample(entities, 2)
    if (
        not {first.facts.get(year), second.facts.get(year)}.isdisjoint({None})
        or first.facts[year] == second.facts[year]
    ):
        return None
    older = min(first, second, key=lambda each: int(str(each.facts[year])))
    younger = second if older is first else first
    trail = _walk(rng, world, older, rng.randint(1, 2) if world.level >= 5 else 1)
    if trail is None or trail[0].relation == year:
        return None
    # The younger one must lead elsewhere, or the comparison would not matter.
    value: Entity | str | None = younger
    for hop in trail:
        value = value.facts.get(hop.relation) if isinstance(value, Entity) else None
    if value is None or _name(value) == trail[-1].text:
        return None
    text = rng.choice(_COMPARE[world.split == "test"]).format(
        a=first.name, b=second.name, y=year, p=_phrase(rng, world.split, [hop.relation for hop in trail], _THAT)
    )
    years = [Hop(entity=each, relation=year, value=each.facts[year]) for each in (first, second)]
    return _checked(kind="comparison", text=text, trail=years + trail)


def _counting(rng: random.Random, world: World) -> Question | None:
    noun = rng.choice(
        [noun for noun, relation in RELATIONS.items() if relation.object in KINDS and relation.subject in YEARS]
    )
    relation = RELATIONS[noun]
    year = YEARS[relation.subject]
    subjects: dict[str, list[Entity]] = {}
    for entity in world.of_kind(relation.subject):
        value = entity.facts.get(noun)
        if isinstance(value, Entity):
            subjects.setdefault(value.doc_id, []).append(entity)
    targets = [entity for entity in world.of_kind(relation.object) if len(subjects.get(entity.doc_id, [])) >= 2]
    if not targets:
        return None
    target = rng.choice(targets)
    counted = subjects[target.doc_id]
    answer = f"{len(counted)}, {min(int(str(each.facts[year])) for each in counted)}"
    text = rng.choice(_COUNT[world.split == "test"]).format(x=target.name, r=noun, y=year)
    return Question(
        kind="counting",
        text=text,
        answers=(answer,),
        supporting=tuple(each.doc_id for each in counted),
        trail=tuple(Hop(entity=each, relation=noun, value=target) for each in counted),
    )


def _unanswerable(rng: random.Random, world: World) -> Question | None:
    lacking = [
        (entity, noun)
        for entity in world.entities
        for noun in KINDS[entity.kind]
        if noun not in entity.facts and RELATIONS[noun].object in KINDS
    ]
    if not lacking:
        return None
    last, missing = rng.choice(lacking)
    ways = [
        (entity, noun)
        for entity in world.entities
        for noun, value in entity.facts.items()
        if value is last and entity is not last
    ]
    if not ways:
        return None
    start, noun = rng.choice(ways)
    text = rng.choice(_CHAIN).format(p=_phrase(rng, world.split, [noun, missing], start.name))
    answers = tuple(f"unknown after {name}" for name in (last.name, last.alias) if name)
    trail = (Hop(entity=start, relation=noun, value=last), Hop(entity=last, relation=missing, value=None))
    return Question(
        kind="unanswerable", text=text, answers=answers, supporting=(start.doc_id, last.doc_id), trail=trail
    )


def _checked(*, kind: str, text: str, trail: list[Hop]) -> Question | None:
    value = trail[-1].value
    answers = (value.name, value.alias) if isinstance(value, Entity) else (value,)
    kept = tuple(answer for answer in answers if answer)
    if any(answer.lower() in text.lower() for answer in kept):
        return None  # the answer must never stand in the question
    supporting = tuple(dict.fromkeys(hop.entity.doc_id for hop in trail))
    return Question(kind=kind, text=text, answers=kept, supporting=supporting, trail=tuple(trail))


def _phrase(rng: random.Random, split: str, relations: list[str], start: str) -> str:
    phrase = start
    for noun in relations:
        phrase = rng.choice(phrase_frames(noun, split)).format(r=noun, p=phrase)
    return phrase


def _name(value: Entity | str) -> str:
    return value.name if isinstance(value, Entity) else value
