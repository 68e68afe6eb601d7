"""The generated worlds: the same from the same seed, consistent, and larger by level."""

from __future__ import annotations

import json
import random

import pytest

from agentrl.envs.tooluse.env import ToolUseEnv
from agentrl.envs.tooluse.travel.domain import DOMAIN
from agentrl.envs.tooluse.travel.reading import Reading
from agentrl.envs.tooluse.travel.world import TravelWorld, populate


def objects(world: TravelWorld, table: str) -> list[dict[str, object]]:
    return [dict(zip(Reading.columns(table), row, strict=True)) for row in world.rows[table]]


@pytest.mark.parametrize("level", [1, 2, 3, 4, 5])
def test_a_world_is_consistent_and_the_seed_decides_it(level: int) -> None:
    for seed in range(5):
        world = populate(random.Random(seed), "train", level)
        assert populate(random.Random(seed), "train", level).rows == world.rows
        assert populate(random.Random(seed + 100), "train", level).rows != world.rows
        keys = {table: {row[0] for row in rows} for table, rows in world.rows.items()}
        assert all(len(keys[table]) == len(rows) for table, rows in world.rows.items())
        codes = [row[0] for table in ("travellers", "flights", "bookings", "hotels") for row in world.rows[table]]
        assert len(codes) == len(set(codes))
        assert len({row["name"] for row in objects(world, "travellers")}) == len(keys["travellers"])
        for flight in objects(world, "flights"):
            assert str(flight["date"]) > world.today
            assert "05:00" <= str(flight["departs"]) < str(flight["arrives"]) < "23:59"
            assert {flight["origin"], flight["destination"]} < keys["cities"]
        for segment in objects(world, "segments"):
            assert segment["booking"] in keys["bookings"]
            assert segment["flight"] in keys["flights"]
        for passenger in objects(world, "passengers"):
            assert passenger["traveller"] in keys["travellers"]


def test_worlds_grow_by_level() -> None:
    sizes = [sum(map(len, populate(random.Random(1), "train", level).rows.values())) for level in range(1, 6)]
    assert sizes == sorted(sizes)
    assert sizes[0] < 40
    assert sizes[4] > 300


def test_the_prompts_of_level_1_are_short_and_both_splits_use_the_same_words() -> None:
    vocabularies = []
    for split in ("train", "test"):
        words: set[str] = set()
        with ToolUseEnv(domain="travel", level=1, backend="local") as env:
            for seed in range(150):
                _, info = env.reset(seed=seed, options={"split": split})
                task = env._current()
                assert len(env.instructions()) + len(json.dumps(info["tools"])) + len(task.case.request) < 1500
                codes = {str(value) for rows in task.rows.values() for row in rows for value in row}
                plain = (
                    task.case.request.lower().replace(":", " ").replace(",", " ").replace(".", " ").replace("?", " ")
                )
                words |= {word for word in plain.split() if word not in codes and not word.isdigit()}
        vocabularies.append(words - {"basic", "flex", "business", "single", "double"})
    assert vocabularies[0] == vocabularies[1]


def test_what_the_tools_answer_at_level_5_is_not_cut() -> None:
    with ToolUseEnv(domain="travel", level=5, backend="local") as env:
        for seed in range(25):
            observation, info = env.reset(seed=seed)
            policy = env.oracle()
            done = False
            while not done:
                observation, _, terminated, truncated, info = env.step(policy(observation, info))
                done = terminated or truncated
                assert len(observation) < env.max_reply_chars


def test_every_family_draws_without_much_waste() -> None:
    for family in DOMAIN.families:
        for level in family.levels:
            rng = random.Random(2)
            worlds = (populate(rng, "train", level) for _ in range(6))
            assert sum(family.draw(rng, world, level) is None for world in worlds) <= 5, (family.name, level)
