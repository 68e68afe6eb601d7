"""A schema: tables and columns of a domain under the identifiers of one style, and the statements that create them."""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from agentrl.envs.sql.domains import DOMAINS, Column, Entity

__all__ = ["Schema", "draw_schema"]

_TYPES = {"name": "TEXT", "one": "TEXT", "date": "TEXT", "int": "INTEGER", "real": "REAL", "ref": "INTEGER"}
_CASES = ("snake", "snake", "camel", "upper")


@dataclass(frozen=True, kw_only=True)
class Schema:
    """What a database looks like."""

    domain: str
    entities: Mapping[str, Entity]  # by their names in words; parents stand before their children
    tables: Mapping[str, str]  # entity -> identifier
    columns: Mapping[tuple[str, str], str]  # entity and column in words ("id" for the key) -> identifier
    old: tuple[str, ...] = ()  # entities of which there is a second table, with rows of former years

    def ddl(self) -> list[str]:
        """Return a CREATE TABLE statement for every table."""
        made = [self._create(entity, self.tables[entity.name]) for entity in self.entities.values()]
        return made + [self._create(self.entities[name], self.old_table(name)) for name in self.old]

    def old_table(self, entity: str) -> str:
        """Return the identifier of the second table."""
        table = self.tables[entity]
        return f"OLD_{table}" if table.isupper() else f"old_{table}" if table.islower() else f"Old{table}"

    def text(self) -> str:
        """Return a line for each table, as it is shown at level 1."""
        lines = []
        for entity in self.entities.values():
            columns = [self._described(entity, column) for column in ("id", *entity.columns)]
            lines.append(f"{self.tables[entity.name]}({', '.join(columns)})")
        return "\n".join(lines)

    def children(self, parent: str) -> list[tuple[Entity, Column]]:
        """Return the entities that refer to one, each with the column that does."""
        return [
            (entity, column)
            for entity in self.entities.values()
            for column in entity.of_kind("ref")
            if column.target == parent
        ]

    def _described(self, entity: Entity, column: str) -> str:
        return f"{self.columns[entity.name, column]} {self._type(entity, column)}"

    def _type(self, entity: Entity, column: str) -> str:
        return "INTEGER" if column == "id" else _TYPES[entity.columns[column].kind]

    def _create(self, entity: Entity, table: str) -> str:
        parts = [f"{self.columns[entity.name, 'id']} INTEGER PRIMARY KEY"]
        for column in entity.columns.values():
            text = f"{self.columns[entity.name, column.name]} {_TYPES[column.kind]}"
            text += "" if column.nullable else " NOT NULL"
            if column.kind == "ref":
                text += f" REFERENCES {self.tables[column.target]}({self.columns[column.target, 'id']})"
            parts.append(text)
        return f"CREATE TABLE {table} ({', '.join(parts)})"


def draw_schema(rng: random.Random, domain: str, num_tables: int, num_old: int = 0) -> Schema:
    """Draw tables of a domain and a style of identifiers.

    Args:
        rng: Decides.
        domain: A key of `DOMAINS`.
        num_tables: How many, as far as there are so many; what one refers to comes along.
        num_old: How many of them have a second table, that no question is about.
    """
    every = DOMAINS[domain]
    chosen: list[str] = []
    names = list(every)
    rng.shuffle(names)
    if num_tables > 1:  # tables that refer to others first: they are what joins are made of
        names.sort(key=lambda name: -len(every[name].of_kind("ref")))
        first = names.pop(rng.randrange(min(4, len(names))))
        rng.shuffle(names)
        names.insert(0, first)
    for name in names:
        if name in chosen:
            continue
        wanted = [*_needed(every, name, chosen, alone=num_tables == 1), name]
        if len(chosen) + len(wanted) <= num_tables or not chosen:
            chosen += wanted
    ordered = _ordered(every, chosen)
    entities = {name: _without(every[name], set(chosen)) for name in ordered}
    old = tuple(rng.sample(ordered, min(num_old, len(ordered))))
    return _styled(rng, domain, entities, old)


def _needed(every: Mapping[str, Entity], name: str, chosen: Sequence[str], *, alone: bool) -> list[str]:
    found: list[str] = []
    waiting = [] if alone else [name]
    while waiting:
        for column in every[waiting.pop()].of_kind("ref"):
            if column.target not in (*found, *chosen, name):
                found.append(column.target)
                waiting.append(column.target)
    return found


def _ordered(every: Mapping[str, Entity], chosen: Sequence[str]) -> list[str]:
    found: list[str] = []
    while len(found) < len(chosen):
        for name in every:
            targets = {column.target for column in every[name].of_kind("ref")} & set(chosen)
            if name in chosen and name not in found and targets <= {*found, name}:
                found.append(name)
    return found


def _without(entity: Entity, chosen: set[str]) -> Entity:
    """Leave out what refers to a table that is not there."""
    kept = {name: column for name, column in entity.columns.items() if column.kind != "ref" or column.target in chosen}
    return Entity(name=entity.name, plural=entity.plural, columns=kept)


def _styled(rng: random.Random, domain: str, entities: Mapping[str, Entity], old: tuple[str, ...]) -> Schema:
    case, plural = rng.choice(_CASES), rng.random() < 0.6
    prefix = rng.choice(("", "", "", "tbl ", f"{domain[:3]} "))
    own_key = rng.random() < 0.4
    suffix = rng.choice(("id", "id", "ref", "no"))
    tables = {name: _cased(prefix + (each.plural if plural else name), case) for name, each in entities.items()}
    columns: dict[tuple[str, str], str] = {}
    for name, each in entities.items():
        columns[name, "id"] = _cased(f"{name} id" if own_key else "id", case)
        for column in each.columns.values():
            words = f"{column.name} {suffix}" if column.kind == "ref" else column.name
            columns[name, column.name] = _cased(words, case)
    return Schema(domain=domain, entities=entities, tables=tables, columns=columns, old=old)


def _cased(words: str, case: str) -> str:
    parts = words.split()
    if case == "camel":
        return "".join(part.capitalize() for part in parts)
    joined = "_".join(parts)
    return joined.upper() if case == "upper" else joined
