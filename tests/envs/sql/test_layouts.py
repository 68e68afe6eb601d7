"""Own questions in the layouts of BIRD and Spider: read in place, compared as each of them does."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from agentrl.envs.errors import DataError, UsageError
from agentrl.envs.scripted import call
from agentrl.envs.sql.env import SqlEnv

ROWS = ((1, "Ada", 3), (2, "Bo", 5), (3, "Bo", 5), (4, "Cy", None))
PLACES = {"bird": "dev_databases", "spider": "database"}


def database(path: Path, rows: Sequence[Sequence[Any]] = ROWS) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("CREATE TABLE `race results` (id INTEGER PRIMARY KEY, name TEXT, points INTEGER)")
        connection.executemany("INSERT INTO `race results` VALUES (?, ?, ?)", rows)
        connection.commit()


def row(layout: str, sql: str, question: str = "Who has five points?", **more: Any) -> dict[str, Any]:
    if layout == "bird":
        named = {"question_id": 0, "evidence": "five points: points = 5", "SQL": sql, "difficulty": "simple"}
    else:
        named = {"query": sql, "query_toks": sql.split(), "sql": {"select": []}}
    return {"db_id": "races", "question": question, **named, **more}


def env(folder: Path, layout: str, *rows: dict[str, Any], **kwargs: Any) -> SqlEnv:
    if not (folder / PLACES[layout] / "races").exists():
        database(folder / PLACES[layout] / "races" / "races.sqlite")
    path = folder / "dev.json"
    path.write_text(json.dumps([{"split": "train", **each} for each in rows]))
    made = SqlEnv(data=path, **kwargs)
    made.reset(seed=1)
    return made


def verdict(made: SqlEnv, sql: str) -> dict[str, float]:
    made.reset(seed=1)
    rewards: dict[str, float] = made.step(f"<answer>{sql}</answer>")[4]["rewards"]
    return rewards


FIVE = "SELECT name FROM `race results` WHERE points = 5"


@pytest.mark.parametrize("layout", PLACES)
def test_a_question_is_asked_and_the_oracle_answers_it(tmp_path: Path, layout: str) -> None:
    made = env(tmp_path, layout, row(layout, FIVE))
    observation, info = made.reset(seed=1)
    hint = "\nHint: five points: points = 5" if layout == "bird" else ""
    assert observation == f"Who has five points?{hint}"
    assert info["task"]["id"] == "dev-1"
    assert (
        made.step(call("tables"))[0]
        == "race results(id INTEGER PRIMARY KEY, name TEXT may be NULL, points INTEGER may be NULL)"
    )
    assert made.step(call("rows", table="race results", limit=1))[0] == "id | name | points\n1 | Ada | 3\n(1 row)"
    _, reward, terminated, _, info = made.step(made.oracle()("", {}))
    assert (reward, terminated, info["success"]) == (1.0, True, True)
    assert made.cheats() == {}


@pytest.mark.parametrize(
    ("sql", "rows", "bird", "spider"),
    [
        (FIVE, 1, 1, 1),
        (f"{FIVE} LIMIT 1", 0, 1, 0),  # a set knows no number
        ("SELECT name, points FROM `race results` WHERE points = 5", 0, 0, 0),
        ("SELECT name FROM `race results`", 0, 0, 0),
        ("SELECT nothing_else FROM `race results`", 0, 0, 0),
        ("SELECT UPPER(name) FROM `race results` WHERE points = 5", 0, 0, 0),
    ],
)
def test_results_are_compared_as_was_asked(tmp_path: Path, sql: str, rows: int, bird: int, spider: int) -> None:
    for compare, wanted in (("rows", rows), ("bird", bird), ("spider", spider)):
        made = env(tmp_path, "bird", row("bird", FIVE), compare=compare)
        assert verdict(made, sql)["exact_match"] == wanted, compare


@pytest.mark.parametrize(
    ("sql", "rows", "bird", "spider"),
    [
        ("SELECT points, name FROM `race results` ORDER BY id", 0, 0, 1),  # columns in any order, for Spider alone
        ("SELECT name, points FROM `race results` ORDER BY id", 1, 1, 1),
        ("SELECT name, points FROM `race results` ORDER BY id DESC", 0, 1, 0),
        ("SELECT name, points + 0.0 FROM `race results` ORDER BY id", 1, 1, 1),
        ("SELECT name, points FROM `race results` WHERE points ORDER BY id", 0, 0, 0),
    ],
)
def test_order_counts_where_the_reference_has_one(tmp_path: Path, sql: str, rows: int, bird: int, spider: int) -> None:
    reference = "SELECT name, points FROM `race results` ORDER BY id"
    for compare, wanted in (("rows", rows), ("bird", bird), ("spider", spider)):
        made = env(tmp_path, "spider", row("spider", reference), compare=compare)
        assert verdict(made, sql)["exact_match"] == wanted, compare


def test_an_order_by_may_stand_on_two_lines(tmp_path: Path) -> None:
    made = env(tmp_path, "spider", row("spider", "SELECT name, points FROM `race results` ORDER\n  BY id"))
    assert verdict(made, "SELECT name, points FROM `race results` ORDER BY id")["exact_match"] == 1
    assert verdict(made, "SELECT name, points FROM `race results` ORDER BY id DESC")["exact_match"] == 0


def test_many_columns_of_the_same_values_are_matched(tmp_path: Path) -> None:
    same = ", ".join(f"0 AS c{number}" for number in range(9))
    made = env(tmp_path, "spider", row("spider", f"SELECT name, {same}, points FROM `race results`"))
    assert verdict(made, f"SELECT points, {same}, name FROM `race results`")["exact_match"] == 1
    assert verdict(made, f"SELECT id, {same}, name FROM `race results`")["exact_match"] == 0


def test_columns_are_exchanged_as_a_whole_only(tmp_path: Path) -> None:
    database(tmp_path / "database" / "races" / "races.sqlite", [(1, "1", 2), (2, "2", 1)])
    made = env(tmp_path, "spider", row("spider", "SELECT id, points FROM `race results`"))
    assert verdict(made, "SELECT points, id FROM `race results`")["exact_match"] == 1
    assert verdict(made, "SELECT id, id FROM `race results`")["exact_match"] == 0
    assert verdict(made, "SELECT id, name FROM `race results`")["exact_match"] == 0


def test_further_databases_of_a_test_suite_count(tmp_path: Path) -> None:
    folder = tmp_path / "database" / "races"
    database(folder / "races.sqlite")
    database(folder / "racesv1.sqlite", [(1, "Di", 7), (2, "Ed", 5)])
    made = env(tmp_path, "spider", row("spider", FIVE))
    copied = "SELECT 'Bo' UNION ALL SELECT 'Bo'"
    assert verdict(made, copied) == {"exact_match": 0.0, "visible": 1.0, "executes": 1.0}
    assert verdict(made, FIVE) == {"exact_match": 1.0, "visible": 1.0, "executes": 1.0}


def test_a_database_is_never_written_and_hostile_answers_end_in_words(tmp_path: Path) -> None:
    made = env(tmp_path, "bird", row("bird", FIVE))
    path = tmp_path / "dev_databases" / "races" / "races.sqlite"
    before = path.read_bytes()
    for sql in (
        "DROP TABLE `race results`",
        "WITH a AS (SELECT 1) DELETE FROM `race results`",
        "SELECT * FROM sqlite_master",
    ):
        assert verdict(made, sql) == {"exact_match": 0.0, "visible": 0.0, "executes": 0.0}
    assert path.read_bytes() == before
    assert [each.name for each in path.parent.iterdir()] == ["races.sqlite"]


def test_references_of_public_sets_may_ask_for_the_present_day(tmp_path: Path) -> None:
    sql = "SELECT CAST(strftime('%Y', 'now') AS INTEGER) > 2000"
    assert verdict(env(tmp_path, "bird", row("bird", sql)), "SELECT 1")["exact_match"] == 1


def test_a_reference_that_fails_is_no_fault_of_the_answer(tmp_path: Path) -> None:
    made = env(tmp_path, "bird", row("bird", "SELECT nowhere FROM `race results`"))
    info = made.step(f"<answer>{FIVE}</answer>")[4]
    assert info["failure"]["kind"] == "reference"
    assert "the reference of dev-1 fails: no such column: nowhere" in info["failure"]["message"]
    assert "success" not in info


@pytest.mark.parametrize("answer", ["SELECT nothing_else FROM `race results`", FIVE])
def test_where_no_reference_can_run_no_answer_is_wrong(tmp_path: Path, answer: str) -> None:
    """An empty file, as a download that was broken off leaves it, is a database without tables."""
    path = tmp_path / "dev_databases" / "races" / "races.sqlite"
    path.parent.mkdir(parents=True)
    path.touch()
    info = env(tmp_path, "bird", row("bird", FIVE)).step(f"<answer>{answer}</answer>")[4]
    assert "the reference of dev-1 fails: no such table: race results; mend it" in info["failure"]["message"]
    assert "success" not in info


def test_a_database_that_goes_away_is_a_failure_and_no_reward(tmp_path: Path) -> None:
    made = env(tmp_path, "bird", row("bird", FIVE))
    (tmp_path / "dev_databases" / "races" / "races.sqlite").unlink()
    assert made.step(f"<answer>{FIVE}</answer>")[4]["failure"]["boundary"] == "sql"
    made.reset(seed=1)
    assert made.step(call("tables"))[4]["failure"]["boundary"] == "sql"


def test_a_damaged_page_is_a_failure_and_no_reward(tmp_path: Path) -> None:
    path = tmp_path / "dev_databases" / "races" / "races.sqlite"
    database(path, [(number, "Ada" * 99, 5) for number in range(200)])
    made = env(tmp_path, "bird", row("bird", FIVE))
    raw = bytearray(path.read_bytes())
    raw[4096 * 3 :] = b"\xff" * (len(raw) - 4096 * 3)
    path.write_bytes(raw)
    for turn in (call("query", sql=FIVE), f"<answer>{FIVE}</answer>"):
        made.reset(seed=1)
        info = made.step(turn)[4]
        assert info["failure"]["kind"] == "database"
        assert "a database cannot be read: database disk image is malformed" in info["failure"]["message"]
        assert f"(file:{path})" in info["failure"]["message"]
        assert "success" not in info


def test_wide_tables_of_public_sets_can_be_read(tmp_path: Path) -> None:
    path = tmp_path / "dev_databases" / "races" / "races.sqlite"
    database(path)
    with closing(sqlite3.connect(path)) as connection:
        connection.execute(f"CREATE TABLE wide ({', '.join(f'c{number}' for number in range(300))})")
    made = env(tmp_path, "bird", row("bird", FIVE))
    assert made.step(call("rows", table="wide"))[0].endswith("(0 rows)")
    assert verdict(made, FIVE)["exact_match"] == 1


def test_a_large_file_is_not_loaded(tmp_path: Path) -> None:
    path = tmp_path / "dev_databases" / "races" / "races.sqlite"
    database(path)
    with path.open("r+b") as file:
        file.truncate(6 << 30)  # sparse: of no size on the disk, of six gigabytes to whoever reads it
    made = env(tmp_path, "bird", row("bird", FIVE))
    assert verdict(made, FIVE)["exact_match"] == 1


def test_files_of_splits_and_levels(tmp_path: Path) -> None:
    database(tmp_path / "database" / "races" / "races.sqlite")
    for name, sql in (("train_spider", FIVE), ("dev", "SELECT 1")):
        (tmp_path / f"{name}.json").write_text(json.dumps([row("spider", sql, question=name, level=2)]))
    files = {"train": tmp_path / "train_spider.json", "test": tmp_path / "dev.json"}
    made = SqlEnv(data=files, level=2)
    assert made.reset(seed=1)[0] == "train_spider"
    assert made.reset(seed=1, options={"split": "test"})[0] == "dev"
    with pytest.raises(DataError, match="no question of split 'train' and level 1"):
        SqlEnv(data=files)


@pytest.mark.parametrize(
    ("broken", "why"),
    [
        ({"db_id": "nowhere"}, "field 'db_id': expected a database; there is none at"),
        ({"db_id": "../races"}, "field 'db_id': expected the name of a folder"),
        ({"db_id": "races" * 99}, "field 'db_id': expected the name of a folder"),
        ({"db_id": 3}, "field 'db_id': expected a string"),
        ({"SQL": ""}, "field 'SQL': expected a string that is not empty"),
        ({"question": None}, "field 'question': expected a string"),
        ({"level": 9}, "field 'level': expected a whole number from 1 to 5"),
    ],
)
def test_a_row_that_cannot_be_used_names_its_place(tmp_path: Path, broken: dict[str, Any], why: str) -> None:
    with pytest.raises(DataError) as caught:
        env(tmp_path, "bird", row("bird", FIVE, **broken))
    assert why in str(caught.value)
    assert "dev.json, item 1" in str(caught.value)


def test_missing_folders_and_boxes_are_told(tmp_path: Path) -> None:
    path = tmp_path / "dev.json"
    path.write_text(json.dumps([row("bird", FIVE)]))
    with pytest.raises(DataError, match="there is no folder of databases beside"):
        SqlEnv(data=path)
    database(tmp_path / "elsewhere" / "races" / "races.sqlite")
    path.write_text(json.dumps([row("bird", FIVE, split="train")]))
    assert SqlEnv(data=path, databases=tmp_path / "elsewhere").reset(seed=1)[0].startswith("Who")
    with pytest.raises(UsageError, match="leave backend out"):
        SqlEnv(data=path, databases=tmp_path / "elsewhere", backend="bwrap")
