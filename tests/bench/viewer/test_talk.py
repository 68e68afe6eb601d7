"""An episode as messages, calls and tokens; and whatever a file holds in their place."""

from __future__ import annotations

import json
import math
import re
import sqlite3
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agentrl.bench.errors import StoreError, UsageError
from agentrl.bench.viewer.conversation import num_shared
from agentrl.bench.viewer.pairs import CHANGES, partner, read_pairs
from agentrl.bench.viewer.queries import Filters, facets, page
from agentrl.bench.viewer.results import read_identity
from agentrl.bench.viewer.runs import Run, find_runs, overview
from agentrl.bench.viewer.talk import Call, cut, read_talk
from agentrl.bench.viewer.tokens import Token, draw_tokens, read_tokens
from agentrl.trainer.store import RolloutStore
from tests.bench.viewer.stores import ATTACK, ENVS, write_bench, write_training

BENCH_KEY = {"env_id": ENVS[0], "level": "1", "seed": "3", "sample": "0"}
TRAIN_KEY = {"phase": "train", "step": "1", "group_id": "0", "member": "1"}


@pytest.fixture(scope="module")
def bench(tmp_path_factory: pytest.TempPathFactory) -> Run:
    """A bench."""
    return find_runs([write_bench(tmp_path_factory.mktemp("runs") / "bench", "a", share=0.5)])[0]


@pytest.fixture(scope="module")
def training(tmp_path_factory: pytest.TempPathFactory) -> Run:
    """A training run."""
    return find_runs([write_training(tmp_path_factory.mktemp("runs") / "run")])[0]


def test_no_text_is_sent_in_full_that_no_page_can_hold(tmp_path: Path) -> None:
    long = "\x00" + "x" * 5_000_000  # a zero byte ends what SQLite counts
    for run, key in (
        (find_runs([write_bench(tmp_path / "bench", "a", share=0.5, num_tasks=8)])[0], BENCH_KEY),
        (find_runs([write_training(tmp_path / "training")])[0], TRAIN_KEY),
    ):
        db = sqlite3.connect(run.store)
        told = json.dumps({"kind": long, "boundary": long, "message": long})
        db.execute("UPDATE episodes SET failure = NULL")
        db.execute("UPDATE episodes SET failure = ? WHERE seed IN (1, 1001)", (told,))
        db.execute("UPDATE episodes SET failure = ? WHERE seed IN (2, 1002)", (json.dumps({"message": "y" * 99_999}),))
        where = "seed < 5" if run.kind == "bench" else "group_id < 3"
        db.execute(f"UPDATE episodes SET task_id = ?, rewards = ? WHERE {where}", (long, json.dumps({long[1:2000]: 1})))
        if run.kind == "bench":
            db.execute("UPDATE identity SET value = ? WHERE name = 'agent'", (json.dumps("z" * 90_000),))
        db.commit()
        db.close()
        told = f"{page(run, Filters())}{facets(run)}{overview(run)}"
        if run.kind == "bench":
            told += str(read_identity(run))
        assert len(told) < 200_000
        other = "seed" if run.kind == "bench" else "group_id"
        for place in ("0", "2"):
            assert len(str(read_talk(run, {**key, other: place}))) < 20_000
    assert len(str(read_pairs(run))) < 200_000


def test_messages_have_their_calls_and_turns(bench: Run) -> None:
    found = read_talk(bench, BENCH_KEY)
    assert [each.role for each in found.messages] == ["system", "user", "assistant", "tool", "assistant"]
    said = found.messages[2]
    assert [piece.text.strip() for piece in said.pieces if piece.text] == ["Let me look."]
    calls = [piece.call for piece in said.pieces if piece.call]
    assert calls == [Call(name="search", arguments=(("query", "Torvel"), ("k", "2")))]
    assert (said.turn, said.seconds, found.messages[4].turn, found.messages[4].seconds) == (0, 0.25, 1, 0.5)
    assert found.messages[3].name == "search"
    assert set(found.rewards) == {"correct", "format"}


def test_a_failure_is_told(bench: Run) -> None:
    found = read_talk(bench, {**BENCH_KEY, "level": "2", "seed": "7"})
    assert found.outcome == "failed"
    assert found.failure == {"kind": "timeout", "boundary": "tool", "message": "no answer"}


def test_turns_of_a_training_run_have_reward_advantage_and_version(training: Run) -> None:
    found = read_talk(training, TRAIN_KEY)
    first, last = [each for each in found.messages if each.turn is not None]
    assert (first.reward, first.advantage, first.version) == (0.0, 0.5, 1)
    assert (last.reward, last.advantage, last.version) == (1.0, -0.25, 2)
    assert (first.components, last.components) == ({"format": 0.25}, {"exact_match": 1.0})
    held_out = read_talk(training, {"phase": "eval_before", "step": "0", "group_id": "1", "member": "0"})
    assert {each.advantage for each in held_out.messages} == {None}  # nothing is learnt from it


def test_tokens_have_mask_logprob_advantage_and_version(training: Run) -> None:
    tokens = read_tokens(training, read_talk(training, TRAIN_KEY))
    assert [each.sampled for each in tokens] == [False] * 4 + [True] * 3 + [False] + [True] * 2
    assert [each.logprob for each in tokens if each.sampled] == [-0.25, -1.5, -0.125, -3.0, -0.5]
    assert [each.advantage for each in tokens if each.sampled] == [0.5] * 3 + [-0.25] * 2
    assert [each.version for each in tokens if each.sampled] == [1] * 3 + [2] * 2
    assert [each.logprob for each in tokens if not each.sampled] == [None] * 5
    with RolloutStore(training.store, read_only=True) as store:
        stored = next(store.episodes(phase="train"))
    assert [each.token_id for each in tokens] == stored.token_ids


def test_a_tokenizer_that_is_none_leaves_ids(tmp_path: Path) -> None:
    run = find_runs([write_training(tmp_path / "run")])[0]
    (run.path / "checkpoints" / "step_1").mkdir(parents=True)
    (run.path / "checkpoints" / "step_1" / "tokenizer.json").write_text('{"model": {"type": "BPE", "vocab": 7}}')
    (run.path / "config.toml").write_text('model = "nowhere"')
    assert [each.text for each in read_tokens(run, read_talk(run, TRAIN_KEY))][:2] == ["[16]", "[5]"]


def test_the_html_of_tokens_holds_nothing_of_theirs() -> None:
    given = [
        Token(token_id=1, text=ATTACK, sampled=True, logprob=-0.5, turn=0, advantage=math.inf, version=3),
        Token(token_id=2, text='" onfocus="alert(1)', sampled=False),
        Token(token_id=3, text="", sampled=True, logprob=math.nan, advantage=math.nan),
    ]
    drawn = draw_tokens(given)
    assert set(re.findall(r"<(\w+)", drawn)) == {"span"}
    assert set(re.findall(r' ([\w-]+)="', re.sub(r'data-tip="[^"]*"', ' data-tip=""', drawn))) == {
        "class", "style", "data-tip", "tabindex",
    }  # fmt: skip
    assert "\u202e" not in drawn
    assert r"\u202e" in drawn
    assert "log-probability -0.500 (60.7%)" in drawn


SPOILED: dict[str, Any] = {
    "messages": ["{", "7", "null", "[7, null, []]", '[{"role": 7, "content": [1]}]', "[" * 50_000, b"\xff", None],
    "rewards": ["[]", '{"a": "b", "c": NaN, "d": 1}', None],
    "failure": ["x", "[]", '{"kind": []}'],
    "latencies": ["7", '["a"]', None],
}


@pytest.mark.parametrize(("column", "value"), [(name, value) for name, values in SPOILED.items() for value in values])
def test_a_spoiled_bench_is_still_shown(tmp_path: Path, column: str, value: Any) -> None:
    run = find_runs([write_bench(tmp_path / "run", "a", share=0.5, num_tasks=8)])[0]
    db = sqlite3.connect(run.store)
    db.execute("PRAGMA ignore_check_constraints = 1")
    db.execute("CREATE TABLE loose AS SELECT * FROM episodes")
    db.execute("DROP TABLE episodes")
    db.execute("ALTER TABLE loose RENAME TO episodes")
    db.execute(f"UPDATE episodes SET {column} = ?", (value,))
    db.commit()
    db.close()
    found = read_talk(run, BENCH_KEY)
    assert found.row["seed"] == 3
    assert all(math.isfinite(each) for each in found.rewards.values())


@pytest.mark.parametrize(
    "turns", ["x", "[]", '{"lengths": [1e300, -5], "advantages": ["a"], "rewards": 7}', '{"lengths": [99999999999]}']
)
@pytest.mark.parametrize("blob", [b"", b"\x00", b"\xff" * 9, 7, "text"])
def test_spoiled_tokens_are_still_shown(tmp_path: Path, turns: str, blob: Any) -> None:
    run = find_runs([write_training(tmp_path / "run")])[0]
    db = sqlite3.connect(run.store)
    for column in ("mask", "logprobs"):
        db.execute(f"UPDATE episodes SET {column} = ?, turns = ?, versions = '[\"a\", 1e400]'", (blob, turns))
    db.commit()
    db.close()
    tokens = read_tokens(run, read_talk(run, TRAIN_KEY))
    assert len(tokens) in (0, 10)
    assert draw_tokens(tokens).count("<span") >= len(tokens)


def test_what_is_not_there_says_so(bench: Run) -> None:
    for key in ({}, {**BENCH_KEY, "seed": "' OR 1=1 --"}, {**BENCH_KEY, "level": "9"}):
        with pytest.raises(UsageError, match="no episode with"):
            read_talk(bench, key)


def test_a_huge_message_is_refused_without_being_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("agentrl.bench.viewer.talk.MOST_BYTES", 100)
    run = find_runs([write_bench(tmp_path / "run", "a", share=0.5, num_tasks=8)])[0]
    with pytest.raises(StoreError, match="too many to show"):
        read_talk(run, BENCH_KEY)


@given(st.text(), st.integers(10, 50))
def test_a_long_text_keeps_both_ends(text: str, most: int) -> None:
    found = cut(text, most)
    assert found == text if len(text) <= most else found.startswith(text[: most // 2])


def test_tasks_are_paired_before_and_after(training: Run) -> None:
    found = read_pairs(training)
    with RolloutStore(training.store, read_only=True) as store:
        both = [
            {(each.seed, each.member): each.success for each in store.episodes(phase=phase)}
            for phase in ("eval_before", "eval_after")
        ]
    kinds = {(False, True): "gained", (True, False): "lost", (True, True): "kept", (False, False): "missed"}
    wanted = [kinds[bool(both[0][task]), bool(both[1][task])] for task in both[0]]
    assert found.page.total == 24
    assert found.counts == {kind: wanted.count(kind) for kind in CHANGES if kind in wanted}
    for row in found.page.rows:
        assert (
            row["change"] == kinds[bool(both[0][row["seed"], row["member"]]), bool(both[1][row["seed"], row["member"]])]
        )
    only = read_pairs(training, change="gained")
    assert {row["change"] for row in only.page.rows} == {"gained"}
    assert only.page.total == found.counts["gained"]


def test_a_task_finds_its_partner(training: Run) -> None:
    before = read_talk(training, {"phase": "eval_before", "step": "0", "group_id": "5", "member": "1"})
    key = partner(training, before.row)
    assert key == {"phase": "eval_after", "step": "20", "group_id": "5", "member": "1"}
    assert num_shared([before, read_talk(training, key)]) == 2  # system prompt and question
    assert partner(training, {**before.row, "seed": -1}) is None


def test_a_run_without_an_after_is_listed(tmp_path: Path) -> None:
    run = find_runs([write_training(tmp_path / "run", done=False)])[0]
    found = read_pairs(run)
    assert {row["is_played"] for row in found.page.rows} == {0}
    assert json.dumps(found.counts) == '{"other": 24}'
