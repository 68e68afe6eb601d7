"""Episodes over generated tasks: what is said, what is scored, and what earns nothing."""

from __future__ import annotations

import pickle
import time
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

from agentrl.envs.errors import UsageError
from agentrl.envs.protocol import Policy
from agentrl.envs.scripted import call
from agentrl.envs.sql.draw import FAMILIES
from agentrl.envs.sql.env import SqlEnv
from agentrl.envs.sql.tasks import Task


@pytest.fixture
def env() -> Iterator[SqlEnv]:
    made = SqlEnv(level=2)
    made.reset(seed=3)
    yield made
    made.close()


def current(env: SqlEnv) -> Task:
    assert env._task is not None
    return env._task


def answer(env: SqlEnv, text: str) -> dict[str, Any]:
    observation, reward, terminated, truncated, info = env.step(f"<answer>{text}</answer>")
    assert (observation, terminated, truncated) == ("", True, False)
    assert reward == info["rewards"]["exact_match"] == float(info["success"])
    return info


def said(env: SqlEnv, turn: str) -> str:
    return str(env.step(turn)[0])


def played(env: SqlEnv, policy: Policy, seed: int) -> tuple[float, int]:
    observation, info = env.reset(seed=seed)
    reward, turns, done = 0.0, 0, False
    while not done:
        observation, earned, terminated, truncated, info = env.step(policy(observation, info))
        reward, turns, done = reward + earned, turns + 1, terminated or truncated
    return reward, turns


@pytest.mark.parametrize("level", FAMILIES)
@pytest.mark.parametrize("split", ["train", "test"])
def test_the_oracle_solves_every_task(level: int, split: str) -> None:
    env = SqlEnv(level=level, split=split)
    for seed in range(100, 106):
        assert played(env, env.oracle(), seed) == (1.0, 1 if level == 1 else 4)
    env.close()


def test_level_1_shows_the_schema_and_offers_one_tool() -> None:
    env = SqlEnv(level=1)
    observation, info = env.reset(seed=1)
    assert observation.startswith(f"{current(env).tables[0]}(")
    assert [tool["function"]["name"] for tool in info["tools"]] == ["query"]
    assert len(info["system"]) + len(observation) + len(str(info["tools"])) < 1500  # characters: far below 700 tokens
    deeper, info = env.reset(seed=1, options={"level": 4})
    assert "(" not in deeper.split()[0]
    assert [tool["function"]["name"] for tool in info["tools"]] == ["tables", "rows", "query"]


def test_the_test_split_may_be_asked_in_the_wordings_of_training() -> None:
    plain, shared = SqlEnv(split="test"), SqlEnv(split="test", shared_wordings=True)
    asked = [(plain.reset(seed=seed)[0], shared.reset(seed=seed)[0]) for seed in range(10)]
    assert all(one.partition("\n")[0] == two.partition("\n")[0] for one, two in asked)
    assert all(one != two for one, two in asked)
    assert played(shared, shared.oracle(), 3) == (1.0, 1)
    plain.close()
    shared.close()


def test_the_tools_show_the_visible_database(env: SqlEnv) -> None:
    task = current(env)
    tables = said(env, call("tables"))
    assert all(f"{table}(" in tables for table in task.tables)
    assert "PRIMARY KEY" in tables
    table = task.tables[0]
    assert said(env, call("tables", table=table.upper())).count("\n") == 0
    rows = said(env, call("rows", table=table, limit=2))
    assert rows.endswith("(2 rows)")
    assert len(rows.splitlines()) == 4
    shown = said(env, call("query", sql=task.sql))
    assert shown.endswith(f"({len(task.results[0])} row{'s' if len(task.results[0]) > 1 else ''})")
    assert "Error: there is no table 'nowhere'; there are " in said(env, call("rows", table="nowhere"))
    assert said(env, call("query", sql="DROP TABLE a")).startswith("Error: write one SELECT query")
    long = said(env, call("query", sql=f"SELECT 'a\n' || hex({table!r}), NULL FROM {table} a, {table} b"))
    assert "the first 30 are shown" in long
    assert "a\\n" in long
    assert "NULL" in long


def test_only_the_right_rows_on_every_database_score(env: SqlEnv) -> None:
    task = current(env)
    assert answer(env, task.sql)["rewards"] == {"exact_match": 1.0, "visible": 1.0, "executes": 1.0}
    env.reset(seed=3)
    assert answer(env, f"```sql\n{task.sql};\n```")["success"] is True
    env.reset(seed=3)
    assert answer(env, "SELECT 1")["rewards"] == {"exact_match": 0.0, "visible": 0.0, "executes": 1.0}
    env.reset(seed=3)
    assert answer(env, "SELECT nowhere")["rewards"] == {"exact_match": 0.0, "visible": 0.0, "executes": 0.0}


def test_what_is_right_on_the_visible_rows_alone_is_wrong(env: SqlEnv) -> None:
    for name in ("the visible rows as constants", "constants where the database looks like the visible one"):
        env.reset(seed=3)
        rewards = env.step(env.cheats()[name]("", {}))[4]["rewards"]
        assert rewards == {"exact_match": 0.0, "visible": 1.0, "executes": 1.0}


@pytest.mark.parametrize("level", FAMILIES)
def test_no_cheat_earns_anything(level: int) -> None:
    env = SqlEnv(level=level)
    env.reset(seed=7)
    for name in env.cheats():
        env.reset(seed=7)
        reward, _ = played(env, env.cheats()[name], 7)
        assert reward == 0, name


def test_a_column_more_or_in_another_place_is_wrong() -> None:
    env = SqlEnv(family="join", level=2)
    env.reset(seed=1)
    sql = current(env).sql
    for wrong in (f"SELECT *, 1 FROM ({sql})", f"SELECT *, * FROM ({sql})"):
        env.reset(seed=1)
        assert answer(env, wrong)["success"] is False
    first, second = sql.split(" FROM ")[0].removeprefix("SELECT ").split(", ")
    env.reset(seed=1)
    assert answer(env, sql.replace(f"{first}, {second}", f"{second}, {first}", 1))["success"] is False


def test_order_counts_where_it_is_asked_for() -> None:
    env = SqlEnv(family="sorted", level=2)
    env.reset(seed=2)
    task = current(env)
    assert task.is_ordered
    env.step("hm")
    assert answer(env, f"SELECT * FROM ({task.sql}) ORDER BY 1 DESC, 2")["success"] is False
    env.reset(seed=2)
    assert answer(env, f"SELECT * FROM ({task.sql})")["success"] is True


def test_any_query_with_the_right_rows_is_right() -> None:
    env = SqlEnv(family="count", level=1)
    env.reset(seed=4)
    table, where = current(env).sql.removeprefix("SELECT COUNT(*) FROM ").split(" WHERE ")
    assert answer(env, f"SELECT SUM(1.0) + 1 FROM {table} WHERE {where}")["success"] is False
    env.reset(seed=4)
    assert answer(env, f"WITH a AS (SELECT * FROM {table} WHERE {where}) SELECT COUNT(1) FROM a")["success"] is True


@pytest.mark.parametrize(
    "wrapped",
    [
        "```{}```",
        "```sql\n{};\n```",
        "``` SQL\n{}\n``` ",
        "```sqlite\n{}\n```",
        "```sqlite3\n{}\n```",
        "-- so:\n{} -- that is all",
    ],
)
def test_a_fence_around_an_answer_is_left_out(env: SqlEnv, wrapped: str) -> None:
    assert answer(env, wrapped.format(current(env).sql))["success"]


def test_a_long_run_of_spaces_in_an_answer_takes_no_time(env: SqlEnv) -> None:
    begin = time.process_time()
    for answered in (f"```{' ' * 20_000}x", f"```sql{chr(10) * 20_000}`", f"```{' ' * 20_000}x{' ' * 20_000}``"):
        env.reset(seed=3)
        assert not answer(env, answered)["success"]
    assert time.process_time() - begin < 2.0, "a pattern went back over every way to share out the spaces"


def test_a_year_is_asked_for_as_a_number() -> None:
    env = SqlEnv(level=3, family="months")
    for seed in range(12):
        observation, _ = env.reset(seed=seed)
        if "%Y'" in current(env).sql:
            assert "year (a whole number) of" in observation
    env.close()


def test_demonstrations_err_and_solve() -> None:
    env = SqlEnv(level=2)
    earned = []
    for seed in range(24):
        env.reset(seed=seed)
        earned.append(played(env, env.demonstrator(np.random.default_rng(seed)), seed)[0])
    assert 0.2 < sum(earned) / len(earned) < 0.8


def test_an_episode_can_be_taken_along(env: SqlEnv) -> None:
    env.step(call("tables"))
    taken = pickle.loads(pickle.dumps(env.snapshot()))
    other = SqlEnv(level=2)
    other.restore(taken)
    turn = call("query", sql=current(env).sql)
    assert other.step(turn) == env.step(turn)
    assert answer(other, current(env).sql)["success"] is True


def test_nothing_of_the_reference_or_the_hidden_rows_is_told(env: SqlEnv) -> None:
    observation, info = env.reset(seed=9)
    task = current(env)
    told = f"{observation}{info}{said(env, call('tables'))}"
    assert task.sql not in told
    spec = env.toolset_spec()
    assert spec is not None
    assert set(spec.arguments) == {"image", "limits"}
    assert task.sql not in repr(task.databases)
    assert repr(task).find("SQLite format") == -1


@pytest.mark.parametrize(
    ("arguments", "why"),
    [
        ({"family": "jion", "level": 2}, "family='jion' has no tasks at level 2; did you mean 'join'?"),
        ({"family": "join"}, "family='join' has no tasks at level 1"),
        ({"databases": "x"}, "belong to questions of your own; add data=FILE"),
        ({"compare": "bird"}, "belong to questions of your own; add data=FILE"),
        ({"data": "x.json", "compare": "brid"}, "compare='brid' does not exist; did you mean 'bird'?"),
        ({"family": 5}, "family=5 has no tasks at level 1; there are filter"),
        ({"data": "x.json", "compare": 3}, "compare=3 does not exist; there are rows"),
        ({"data": "x.json", "compare": ["bird"]}, "compare=['bird'] does not exist; there are rows"),
        ({"data": "x.json", "databases": 5}, "databases=5 is no path; type databases=FOLDER"),
        ({"data": 5}, "data=5 must be a path of text; type data=FILE"),
        ({"data": {"train": 5}}, "data={'train': 5} must be a path of text; type data=FILE"),
        ({"weights": 3}, "weights=3 must be a dict of components; type weights={'exact_match'"),
        ({"data": "x.json", "family": "join"}, "leave it out with data="),
        ({"data": "x.json", "shared_wordings": True}, "shared_wordings=True is about generated tasks"),
    ],
)
def test_arguments_that_do_not_fit_are_refused(arguments: dict[str, Any], why: str) -> None:
    with pytest.raises(UsageError) as caught:
        SqlEnv(**arguments)
    assert why in str(caught.value)


@pytest.mark.parametrize(
    "backend", [pytest.param("docker", marks=pytest.mark.docker), pytest.param("bwrap", marks=pytest.mark.bwrap)]
)
def test_the_tools_say_the_same_in_a_box(backend: str) -> None:
    local, boxed = SqlEnv(level=3, backend="local"), SqlEnv(level=3, backend=backend)
    assert local.reset(seed=5) == boxed.reset(seed=5)
    bomb = "WITH RECURSIVE r(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM r) SELECT COUNT(*) FROM r"
    table = current(local).tables[0]
    for turn in (
        call("tables"),
        call("rows", table=table),
        call("rows", table="nowhere"),
        call("query", sql=bomb) + call("query", sql="SELECT date('now')") + call("query", sql=current(local).sql),
        f"<answer>{current(local).sql}</answer>",
    ):
        assert boxed.step(turn) == local.step(turn)
    local.close()
    boxed.close()
