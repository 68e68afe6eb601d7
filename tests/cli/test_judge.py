"""`agentrl judge calibrate` as a user meets it, with a scripted model behind a real server."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from agentrl.cli.main import main
from agentrl.envs import completions
from agentrl.envs.rubrics.judges import close_judges
from tests.completions_server import Server, serving
from tests.envs.rubrics.judges.scripted import quality, says, verdict
from tests.envs.rubrics.judges.test_calibrate import long_is_good, pairs, rows, written

Run = Callable[..., tuple[int, str, str]]
FEW = ("--repeats", "2", "--probes", "30")


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Run]:
    """Run `agentrl judge calibrate` in this process, in a folder with labels of two kinds."""
    monkeypatch.setenv("COLUMNS", "120")
    monkeypatch.setattr(completions, "_FIRST_PAUSE_S", 0.01)
    monkeypatch.chdir(tmp_path)
    written(tmp_path / "numbers.jsonl", rows(60))
    written(tmp_path / "pairs.jsonl", pairs(40))

    def call(*words: str) -> tuple[int, str, str]:
        status = main(["judge", "calibrate", *words])
        told = capsys.readouterr()
        return status, told.out, told.err

    yield call
    close_judges()


@pytest.fixture
def server() -> Iterator[Server]:
    with serving(says(lambda body: verdict(body, quality))) as made:
        yield made


def asked(server: Server) -> list[str]:
    return ["--model", "m", "--base-url", server.url, "--criteria", "It is good.", *FEW]


def test_a_fit_judge_for_people_and_for_machines(run: Run, server: Server) -> None:
    status, out, _ = run("numbers.jsonl", *asked(server), "--price-in", "2", "--price-out", "10")
    assert status == 0
    assert out.splitlines()[-1] == "fit to train on"
    row = next(line for line in out.splitlines() if line.startswith("spearman"))
    assert row.split() == ["spearman", "1.00", "[1.00,", "1.00]", "at", "least", "0.5", "60", "met"]
    assert f"60 labels of 60 tasks; {len(server.requests)} requests" in out
    assert f"cost {len(server.requests) * 300 / 1e6:.4g};" in out  # 100 tokens at 2 and 10 at 10 a million
    status, out, _ = run("numbers.jsonl", *asked(server), "--json")
    told = json.loads(out)
    assert (status, told["fit"], told["judge"]["model"]) == (0, True, "m")
    assert set(told["checks"]) == {"spearman", "no_verdict", "length_bias", "reliability", "injection"}


def test_an_unfit_judge_is_told_why(run: Run) -> None:
    with serving(says(lambda body: verdict(body, long_is_good))) as server:
        status, out, _ = run("numbers.jsonl", *asked(server))
    assert status == 1
    assert "not fit: because it goes by length (length_bias" in " ".join(out.split())


def test_preferences_are_judged_in_pairs(run: Run, server: Server) -> None:
    status, out, _ = run("pairs.jsonl", *asked(server), "--json")
    told = json.loads(out)
    assert (told["kind"], told["checks"]["agreement"]["value"]) == ("preference", 1.0)
    assert {"position_bias", "contradictions"} <= set(told["checks"])
    assert status == (0 if told["fit"] else 1)


def test_a_judge_of_a_rubric_is_measured_as_it_stands_there(run: Run, server: Server) -> None:
    Path("rubric.toml").write_text(
        f'[judge]\nmodel = "m"\nbase_url = "{server.url}"\nmax_tokens = 77\n'
        '[[component]]\nname = "good"\nuse = "judge"\n[component.with]\ncriteria = "It is good."\n'
        '[[component]]\nname = "won"\nuse = "success"\n'
    )
    status, out, err = run("numbers.jsonl", "--rubric", "rubric.toml", *FEW)
    assert (status, out.splitlines()[-1]) == (0, "fit to train on"), err
    assert server.requests[0]["max_tokens"] == 77
    run("numbers.jsonl", "--rubric", "rubric.toml", "--component", "good", "--max-tokens", "99", *FEW)
    assert server.requests[-1]["max_tokens"] == 99
    assert run("numbers.jsonl", "--rubric", "rubric.toml", "--component", "won")[0::2] == (
        2,
        "agentrl judge: rubric.toml: component 'won' asks no judge; its judges are good\n",
    )
    assert (
        "there is no component 'goood'; did you mean 'good'?"
        in run("numbers.jsonl", "--rubric", "rubric.toml", "--component", "goood")[2]
    )


def test_a_named_cache_keeps_verdicts(run: Run, server: Server) -> None:
    run("numbers.jsonl", *asked(server), "--cache", "./kept.sqlite")
    num = len(server.requests)
    close_judges()
    assert run("numbers.jsonl", *asked(server), "--cache", "./kept.sqlite")[0] == 0
    assert len(server.requests) == num


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["numbers.jsonl"], "say who judges and what counts: --model NAME --base-url"),
        (["none.jsonl", "--model", "m", "--base-url", "http://x", "--criteria", "c"], "none.jsonl: cannot be read"),
        (["numbers.jsonl", "--component", "good"], "add --rubric rubric.toml"),
        (["numbers.jsonl", "--rubric", "none.toml"], "none.toml"),
        (["numbers.jsonl", "--rubric", "none.toml", "--criteria", "c"], "--criteria has no effect beside --rubric"),
        (["numbers.jsonl", "--model", "m", "--base-url", "x", "--criteria", "c"], "base_url='x' is no address"),
        (
            ["numbers.jsonl", "--model", "m", "--base-url", "http://x", "--criteria", "c", "--scale", "1", "5"],
            "line 6: label is 6, outside the scale from 1 to 5",
        ),
        (
            ["numbers.jsonl", "--model", "m", "--base-url", "http://x", "--criteria", "c", "--repeats", "1"],
            "repeats is 1 and probes 50, but must be at least 2 and 5",
        ),
    ],
)
def test_what_cannot_be_measured_is_told(run: Run, words: list[str], told: str) -> None:
    status, out, err = run(*words)
    assert (status, out) == (2, "")
    assert told in err


def test_nobody_at_the_address_is_no_verdict_on_a_judge(run: Run, monkeypatch: Any) -> None:
    status, _, err = run(
        "numbers.jsonl", "--model", "m", "--base-url", "http://127.0.0.1:9/v1", "--criteria", "c", *FEW
    )
    assert status == 2
    assert "ConnectError" in err


def test_help(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["judge", "--help"]) == 0
    assert main(["judge"]) == 2
    assert main(["judge", "calibrat"]) == 2
    told = capsys.readouterr()
    assert "calibrate  measure a judge against people" in told.out
    with pytest.raises(SystemExit):
        main(["judge", "calibrate", "--help"])
    assert "spearman       at least 0.5" in capsys.readouterr().out
    assert "there is no command 'calibrat'; did you mean 'calibrate'?" in told.err
