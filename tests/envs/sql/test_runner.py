"""Hostile queries: nothing is written, nothing but the tables is read, and every bomb ends in words, soon."""

from __future__ import annotations

import os
import resource
import signal
import sqlite3
import subprocess
import sys
import threading
import time
from contextlib import closing
from pathlib import Path

import pytest

from agentrl.envs.errors import InfrastructureError
from agentrl.envs.sql import engine, runner
from agentrl.envs.sql.engine import Limits
from agentrl.envs.sql.runner import run

LIMITS = Limits()


def image() -> bytes:
    with closing(sqlite3.connect(":memory:")) as connection:
        connection.execute("CREATE TABLE town (id INTEGER PRIMARY KEY, name TEXT, size REAL, born TEXT)")
        rows = [(number, f"Town {number}", number / 4, f"2024-01-{number % 28 + 1:02}") for number in range(1, 51)]
        connection.executemany("INSERT INTO town VALUES (?, ?, ?, ?)", rows)
        connection.commit()
        return connection.serialize()


IMAGE = image()
CTES = ", ".join(f"c{number} AS (SELECT 1 FROM c{number - 1} a, c{number - 1} b)" for number in range(1, 40))
LONG = "printf('%.15000c', 'x')"
REFUSED = {
    "DELETE FROM town": "begins with 'delete'",
    "INSERT INTO town VALUES (99, 'x', 1, '')": "begins with 'insert'",
    "CREATE TABLE a (b)": "begins with 'create'",
    "DROP TABLE town": "begins with 'drop'",
    "WITH a AS (SELECT 1) INSERT INTO town SELECT 99, 'x', 1, ''": "read-only",
    "WITH a AS (SELECT 1) DELETE FROM town": "read-only",
    "PRAGMA table_info(town)": "begins with 'pragma'",
    "ATTACH '/etc/passwd' AS a": "begins with 'attach'",
    "VACUUM INTO '/tmp/a'": "begins with 'vacuum'",
    "EXPLAIN SELECT 1": "begins with 'explain'",
    "BEGIN": "begins with 'begin'",
    "SELECT 1; SELECT 2": "not several statements",
    "SELECT 1; DROP TABLE town": "not several statements",
    "SELECT * FROM sqlite_master": "only the tables of the schema",
    "SELECT COUNT(*) FROM sqlite_master": "only the tables of the schema",
    "SELECT * FROM sqlite_schema": "only the tables of the schema",
    "SELECT * FROM sqlite_temp_master": "only the tables of the schema",
    "SELECT * FROM dbstat": "read-only",
    "SELECT COUNT(*) FROM dbstat": "read-only",
    "SELECT * FROM sqlite_stmt": "read-only",
    "SELECT * FROM pragma_table_info('town')": "read-only",
    "SELECT COUNT(*) FROM pragma_database_list": "read-only",
    "SELECT * FROM json_each('[1]')": "no table-valued function",
    "SELECT * FROM fts3tokenize": "read-only",
    "SELECT sqlite_version()": "sqlite_version is not allowed",
    "SELECT sqlite_compileoption_get(1)": "not allowed",
    "SELECT changes()": "changes is not allowed",
    "SELECT load_extension('a')": "load_extension is not allowed",
    "SELECT fts3_tokenizer('simple')": "not allowed",
    "SELECT writefile('/tmp/a', 'b')": "no such function",
    "SELECT readfile('/etc/passwd')": "no such function",
    "SELECT random()": "random is not allowed",
    "SELECT id FROM town ORDER BY RANDOM()": "random is not allowed",
    "SELECT hex(randomblob(9))": "randomblob is not allowed",
    "SELECT date('now')": "present time",
    "SELECT strftime('%s', 'n' || 'ow')": "present time",
    "SELECT julianday()": "present time",
    "SELECT strftime('%Y')": "present time",
    "SELECT datetime(born, 'localtime') FROM town": "present time",
    "SELECT \"date\"('NOW ')": "present time",
    "SELECT date(x'6e6f77')": "present time",
    "SELECT date('now' || char(0) || 'x')": "present time",
    "SELECT unixepoch('subsec')": "present time",
    "SELECT strftime('%s', 'subsecond')": "present time",
    "SELECT date('2024-01-01', x'7574' || 'c')": "present time",
    "SELECT timediff('2024-01-01', 'now')": "present time",
    "SELECT CURRENT_TIMESTAMP": "current_timestamp is not allowed",
    "": "this holds none",
    "  -- nothing": "this holds none",
    "/* never closed": "this holds none",
    ";": "this holds none",
    "hello": "begins with 'hello'",
    "SELECT 'a\0b'": "NUL",
    "SELECT weight FROM town": "no such column: weight",
    "SELECT * FROM city": "no such table: city",
    "SELECT * FROM town WHERE": "incomplete input",
    "SELECT ?": "",
    f"SELECT {', '.join(map(str, range(300)))}": "too many columns",
    f"SELECT {'(' * 900}1{')' * 900}": "",
    f"SELECT {' + '.join('1' * 900)}": "Expression tree is too large",
    f"{'SELECT 1 UNION ALL ' * 99}SELECT 1": "too many terms in compound SELECT",
    f"SELECT '{'x' * 9000}'": "longer than 8000 characters",
    f"SELECT 1 FROM town WHERE name LIKE '{'%a' * 150}'": "LIKE or GLOB pattern too complex",
    "SELECT abs(-9223372036854775808)": "integer overflow",
}
BOMBS = {
    "counts for ever": "WITH RECURSIVE r(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM r) SELECT COUNT(*) FROM r",
    "doubles a text": "WITH RECURSIVE r(s) AS (SELECT 'a' UNION ALL SELECT s || s FROM r) SELECT * FROM r",
    "keeps long texts": (
        f"WITH RECURSIVE r(n, s) AS (SELECT 1, 'a' UNION SELECT n + 1, {LONG} || n FROM r) SELECT * FROM r ORDER BY s"
    ),
    "joins everything": "SELECT COUNT(*) FROM town a, town b, town c, town d, town e",
    "sorts everything": "SELECT a.name FROM town a, town b, town c, town d ORDER BY a.name || b.name || c.name",
    "sorts long texts": f"SELECT {LONG} FROM town a, town b, town c ORDER BY 1",
    "gathers everything": "SELECT GROUP_CONCAT(a.name || b.name) FROM town a, town b, town c",
    "prints a width": "SELECT printf('%.*c', 2000000000, 'x')",
    "prints a precision": "SELECT printf('%1999999999d', 1)",
    "a blob of zeros": "SELECT zeroblob(1000000000)",
    "replaces with more": f"SELECT replace(replace({LONG}, 'x', 'yyyyyyyyy'), 'y', 'zzzzzzzzz')",
    "hex of hex": f"SELECT hex(hex(hex({LONG})))",
    "explodes while it is planned": f"WITH c0 AS (SELECT 1), {CTES} SELECT 1 FROM c39",
    "many tables": f"SELECT COUNT(*) FROM {', '.join(f'town t{number}' for number in range(60))}",
    "a pattern that goes back": f"SELECT COUNT(*) FROM town a, town b WHERE {LONG} LIKE '{'%x' * 90}y'",
    "windows over everything": "SELECT SUM(a.id) OVER (ORDER BY b.id) FROM town a, town b, town c, town d",
    "distinct everything": "SELECT DISTINCT a.id, b.id, c.id, d.id FROM town a, town b, town c, town d",
}
HARMLESS = ("prints a precision", "a pattern that goes back", "distinct everything")  # SQLite bounds them itself


@pytest.mark.parametrize("sql", REFUSED)
def test_what_is_no_query_of_the_tables_is_refused_in_words(sql: str) -> None:
    [told] = run([IMAGE], sql, LIMITS)
    assert REFUSED[sql].lower() in told["error"].lower()
    assert set(told) == {"error"}


@pytest.mark.parametrize("name", BOMBS)
def test_a_bomb_ends_in_words_within_bounds(name: str) -> None:
    runner._close()
    run([IMAGE], "SELECT 1", LIMITS)  # a child is there, and it has done nothing else
    before = time.process_time(), _children_s(), time.monotonic()
    [told] = run([IMAGE], BOMBS[name], LIMITS)
    if name in HARMLESS:
        assert len(str(told)) < 2 * LIMITS.max_chars
    else:
        assert any(word in told["error"] for word in ("stopped", "too long", "not allowed", "too many", "at most 64"))
    assert _children_s() - before[1] < 2.0, "processor time of a child that died"
    assert time.process_time() - before[0] < 1.0
    assert time.monotonic() - before[2] < 15.0  # on a busy machine
    assert run([IMAGE], "SELECT COUNT(*) FROM town", LIMITS)[0]["rows"] == [[50]], "the next query goes on as before"


def _children_s() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def test_children_stay_small_whatever_they_are_asked() -> None:
    run([IMAGE], BOMBS["sorts long texts"], LIMITS)
    pool = runner._pools[LIMITS.memory_mb]
    for child in pool._idle:
        status = Path(f"/proc/{child._process.pid}/status").read_text()
        peak_kb = int(status.split("VmHWM:")[1].split()[0])
        assert peak_kb < (LIMITS.memory_mb + 64) * 1024


def test_steps_are_counted_so_that_the_same_query_always_ends_alike() -> None:
    bound = "WITH RECURSIVE r(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM r WHERE n < {}) SELECT COUNT(*) FROM r"
    few = LIMITS._replace(steps=100_000)
    low, high = 1, 100_000
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if "error" in run([IMAGE], bound.format(middle), few)[0] else (middle, high)
    for _ in range(5):
        assert "error" not in run([IMAGE], bound.format(low), few)[0]
        assert "too long" in run([IMAGE], bound.format(high), few)[0]["error"]


@pytest.mark.parametrize(
    ("sql", "rows"),
    [
        ("SELECT COUNT(*) FROM town;", [[50]]),
        ("SELECT 1 -- and no more", [[1]]),
        ("-- first\n/* then */ SELECT 1;--", [[1]]),
        ("VALUES (1), (2)", [[1], [2]]),
        ("WITH a AS (SELECT 1 AS b) SELECT b FROM a", [[1]]),
        ("WITH RECURSIVE r(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM r WHERE n < 3) SELECT COUNT(*) FROM r", [[3]]),
        ("SELECT strftime('%Y-%m', born) FROM town WHERE id = 1", [["2024-01"]]),
        ("SELECT CAST(julianday('2024-03-01') - julianday('2024-02-01') AS INTEGER)", [[29]]),
        ("SELECT date(born, '+1 month') FROM town WHERE id = 1", [["2024-02-02"]]),
        ("SELECT RANK() OVER (ORDER BY size DESC) FROM town WHERE id > 48", [[1], [2]]),
        ("SELECT NULL, 1.5, 'é', x'00ff', 9e999", [[None, 1.5, "é", {"blob": "00ff"}, float("inf")]]),
        ("SELECT CAST(x'ff' AS TEXT)", [["\ufffd"]]),
        ("SELECT '\ud800'", [["?"]]),
        ("SELECT sqrt(16), pow(2, 3), ceil(1.2)", [[4.0, 8.0, 2.0]]),
    ],
)
def test_queries_give_their_rows(sql: str, rows: object) -> None:
    [told] = run([IMAGE], sql, LIMITS)
    assert told.get("rows") == rows, told
    assert told["more"] is False


def test_a_result_without_end_is_cut_and_says_so() -> None:
    [told] = run([IMAGE], "SELECT a.id FROM town a, town b", LIMITS)
    assert (len(told["rows"]), told["more"]) == (LIMITS.max_rows, True)
    [told] = run([IMAGE], f"SELECT {LONG} FROM town", LIMITS)
    assert len(told["rows"]) < 50
    assert told["more"] is True


def test_several_databases_are_asked_in_turn_up_to_the_first_error() -> None:
    with closing(sqlite3.connect(":memory:")) as connection:
        connection.execute("CREATE TABLE village (id)")
        other = connection.serialize()
    told = run([IMAGE, other, IMAGE], "SELECT COUNT(*) FROM town", LIMITS)
    assert [set(each) for each in told] == [{"columns", "rows", "more"}, {"error"}]
    assert len(run([IMAGE] * 5, "SELECT 1", LIMITS)) == 5


def test_a_file_is_read_where_it_is_and_left_as_it_was(tmp_path: Path) -> None:
    path = tmp_path / "town.sqlite"
    path.write_bytes(IMAGE)
    uri = f"file:{path}?mode=ro&immutable=1"
    assert run([uri], "SELECT COUNT(*) FROM town", LIMITS)[0]["rows"] == [[50]]
    assert "error" in run([uri], "WITH a AS (SELECT 1) DELETE FROM town", LIMITS)[0]
    assert path.read_bytes() == IMAGE
    assert [each.name for each in tmp_path.iterdir()] == ["town.sqlite"]


def test_a_database_that_cannot_be_read_is_no_fault_of_the_query(tmp_path: Path) -> None:
    with pytest.raises(InfrastructureError, match="a database cannot be read"):
        run([f"file:{tmp_path / 'none.sqlite'}?mode=ro&immutable=1"], "SELECT 1", LIMITS)
    (tmp_path / "bad.sqlite").write_bytes(b"no database at all" * 100)
    with pytest.raises(InfrastructureError, match="file is not a database"):
        run([f"file:{tmp_path / 'bad.sqlite'}?mode=ro&immutable=1"], "SELECT 1", LIMITS)


def test_a_child_that_was_killed_is_replaced() -> None:
    run([IMAGE], "SELECT 1", LIMITS)
    for child in runner._pools[LIMITS.memory_mb]._idle:
        os.kill(child._process.pid, signal.SIGKILL)
    told = [run([IMAGE], "SELECT 7", LIMITS)[0] for _ in range(runner.MOST_CHILDREN + 1)]
    assert told[-1]["rows"] == [[7]]


@pytest.mark.parametrize(
    "reply",
    [
        "{}",
        "[]",
        "[1]",
        "[" * 100_000,
        "nonsense",
        '[{"rows": [[1]], "more": false}]',
        '[{"columns": ["a"], "rows": [[1, 2]], "more": false}]',
        '[{"columns": ["a"], "rows": [[{"blob": 1}]], "more": false}]',
        '[{"columns": ["a"], "rows": [[[1]]], "more": false}]',
        '[{"columns": ["a"], "rows": [[true]], "more": false}]',
        '[{"error": 1}]',
    ],
)
def test_what_a_child_that_was_taken_over_says_is_taken_apart(
    reply: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    program = tmp_path / "taken.py"
    program.write_text(f"import sys\nfor line in sys.stdin.buffer:\n    print({reply!r}, flush=True)\n    break\n")
    runner._close()
    monkeypatch.setattr(engine, "__file__", str(program))
    assert run([], "SELECT 1", LIMITS) == [{"error": "the query was stopped: what came of it cannot be read"}]
    monkeypatch.undo()
    assert run([IMAGE], "SELECT 1", LIMITS)[0]["rows"] == [[1]]


def test_threads_share_the_children() -> None:
    heard: dict[int, object] = {}

    def ask(number: int) -> None:
        heard[number] = [run([IMAGE], f"SELECT {number} FROM town LIMIT 2", LIMITS)[0].get("rows") for _ in range(5)]

    threads = [threading.Thread(target=ask, args=(number,)) for number in range(16)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert heard == {number: [[[number], [number]]] * 5 for number in range(16)}
    assert len(runner._pools[LIMITS.memory_mb]._idle) <= runner.MOST_CHILDREN


FORKS = """
import os
from agentrl.envs.sql.engine import Limits
from agentrl.envs.sql.runner import run
from tests.envs.sql.test_runner import IMAGE
first = run([IMAGE], "SELECT 1", Limits())[0]["rows"]
child = os.fork()
rows = [run([IMAGE], f"SELECT {number}", Limits())[0]["rows"] for number in range(50)]
assert rows == [[[number]] for number in range(50)], rows
if child == 0:
    os._exit(0)
assert os.waitpid(child, 0)[1] == 0
print("well", first)
"""


def test_a_fork_asks_children_of_its_own_and_an_exit_leaves_none() -> None:
    root = Path(__file__).parents[3]
    done = subprocess.run([sys.executable, "-c", FORKS], capture_output=True, text=True, cwd=root, timeout=60)
    assert done.stdout == "well [[1]]\n", done.stderr
    assert done.stderr == ""
