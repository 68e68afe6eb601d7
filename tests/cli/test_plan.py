"""`agentrl plan`: from data sheets without running anything, from a probe, and with what is wrong said in a line."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import time
from pathlib import Path

import pytest

from agentrl.cli.main import main

LONG = ["--rollout.max-episode-tokens", "9999"]
WORK = "turns = 4\nprompt_tokens = 600\nsampled_tokens = 250\nreply_tokens = 200\nenv_s = 0.4\nenv_cpu_s = 0.1\n"


@pytest.fixture
def work(tmp_path: Path) -> str:
    path = tmp_path / "work.toml"
    path.write_text(WORK)
    return str(path)


@pytest.fixture
def eight(tmp_path: Path) -> str:
    """The configuration of a model of 8 billion parameters, without weights."""
    from transformers import Qwen3Config

    Qwen3Config(
        vocab_size=151_936,
        hidden_size=4096,
        intermediate_size=12_288,
        num_hidden_layers=36,
        num_attention_heads=32,
        num_key_value_heads=8,
        head_dim=128,
        tie_word_embeddings=False,
    ).save_pretrained(tmp_path / "eight")
    return str(tmp_path / "eight")


def test_from_data_sheets_nothing_is_run(work: str, eight: str, capsys: pytest.CaptureFixture[str]) -> None:
    words = ["--env", "AgentRL/Shell-v0", "--model", eight, "--gpu", "h100", "--workload", work, "--cpus", "64"]
    words += [*LONG, "--rollout.max-turn-tokens", "1024", "--gradient-checkpointing"]
    assert main(["plan", *words, "--gpus", "8"]) == 0
    told = capsys.readouterr().out
    assert "8,190,735,360 parameters, 16.38 GB" in told
    assert "4.0 turns an episode, 2,200 tokens, 1,000 of them sampled" in told
    assert re.search(r"a step +about [\d.,]+ s for \d+ episodes: rollouts [\d.,]+", told)
    assert re.search(r"shorter by +\d+ % \((sampling|weights|training)\)", told)
    assert re.search(
        r"type +(torchrun --nproc-per-node \d --no-python )?agentrl train gymnasium --env AgentRL/Shell-v0", told
    )


def test_from_a_probe_that_is_kept(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    probe = str(tmp_path / "probe.json")
    words = ["quickstart", "--device", "cpu", "--threads", "1", "--group-size", "2", "--groups-per-step", "4"]
    words += ["--rollout.concurrency", "8"]
    assert main(["plan", *words, "--gpus", "2", "--save", probe]) == 0
    first = capsys.readouterr().out
    assert "costs        cpu: a decoding step" in first
    assert "environments at once" in first
    assert main(["plan", *words, "--gpus", "2", "--measured", probe]) == 0
    assert capsys.readouterr().out == first
    assert main(["plan", *words, "--gpus", "2", "--measured", probe, "--level", "1"]) == 2
    assert "is of bundled:search-tiny on AgentRL/Search-v0" in capsys.readouterr().err
    text = (tmp_path / "probe.json").read_text()
    for damaged in (
        text.replace('"step_s": ', '"step_s": -'),
        text[:50],
        text.replace('"hidden": 128', '"hidden": "128"'),
    ):
        (tmp_path / "probe.json").write_text(damaged)
        assert main(["plan", *words, "--gpus", "2", "--measured", probe]) == 2
        assert "Traceback" not in capsys.readouterr().err


def test_under_torchrun_there_is_no_plan(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setenv("WORLD_SIZE", "2")
    assert main(["plan", "quickstart", "--gpus", "2"]) == 2
    assert "leave torchrun out" in capsys.readouterr().err


def test_sigterm_leaves_nothing(tmp_path: Path) -> None:
    words = ["quickstart", "--device", "cpu", "--threads", "1", "--gpus", "2"]
    settings = {**os.environ, "TMPDIR": str(tmp_path)}
    process = subprocess.Popen([sys.executable, "-m", "agentrl.cli.main", "plan", *words], env=settings)
    try:
        stop = time.monotonic() + 60
        while not list(tmp_path.glob("agentrl-plan-*")):
            assert time.monotonic() < stop
            time.sleep(0.1)
        process.terminate()
        assert process.wait(60) == 130
    finally:
        process.kill()
        process.wait()
    assert not list(tmp_path.glob("agentrl-plan-*"))


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["quickstart"], "how many devices? type: agentrl plan quickstart --gpus 8"),
        (["--gpus", "0"], "--gpus is '0', but must be a whole number"),
        (["--gpus", "2", "--link", "fast"], "--link is 'fast', but must be a number above 0"),
        (["--gpus", "2", "--gpu", "H300", "--workload", "WORK"], "--gpu 'H300' is not known"),
        (["--gpus", "2", "--measured", "x.json", "--workload", "WORK"], "leave --workload or --measured out"),
        (["--gpus", "2", "--measured", "none.json"], "none.json: No such file"),
        (["--gpus", "2", "--gpu", "L4", "--workload", "WORK", "--save", "p.json"], "--save keeps what is measured"),
        (["--gpus", "2", "--save", "no/p.json"], "--save no/p.json cannot be written"),
        (["quickstart", "--gpus", "2", "--gpu", "L4", "--workload", "WORK"], "max_tokens is 320, but 4 turns of 250"),
        (["quickstart", "--gpus", "2", "--gpu", "L4", "--workload", "WORK", *LONG], "rollout.max_turn_tokens is 48"),
        (
            ["quickstart", "--gpus", "2", "--gpu", "L4", "--lora.rank", "8"],
            "adapters are not in what a data sheet says",
        ),
        (["--gpus", "5000"], "--gpus is 5000; more than 4096"),
        (["--gpus", "2", "--gpu", ""], "--gpu '' is not known"),
        (["gymnasium", "--gpus", "2"], "a plan needs a model that is there"),
        (["--level", "2", "--gpus", "2"], "a recipe comes first"),
    ],
)
def test_what_is_wrong_is_said(
    words: list[str],
    said: str,
    work: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(["plan", *[work if word == "WORK" else word for word in words]]) == 2
    assert said in capsys.readouterr().err
    assert not list(tmp_path.glob("*.json"))


def test_help(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["plan", "--help"]) == 0
    told = capsys.readouterr().out
    for option in (
        "--gpus",
        "--gpu ",
        "--gpus-per-host",
        "--cpus",
        "--link",
        "--workload",
        "--measured",
        "--save",
        "H200",
    ):
        assert option in told


def test_servers_on_other_hosts_are_named_by_address(work: str, eight: str, capsys: pytest.CaptureFixture[str]) -> None:
    words = [
        "--env",
        "AgentRL/Shell-v0",
        "--model",
        eight,
        "--gpu",
        "h100",
        "--workload",
        work,
        "--engine.name",
        "vllm",
    ]
    words += [
        *LONG,
        "--rollout.max-turn-tokens",
        "1024",
        "--gradient-checkpointing",
        "--loss.correction",
        "token_truncate",
    ]
    assert main(["plan", *words, "--gpus", "24", "--link", "400"]) == 0
    told = capsys.readouterr().out
    assert "train and sample in turn" not in told  # ranks do not take vLLM into their process
    typed = next(line for line in told.splitlines() if line.startswith("type"))
    assert "--engine.name vllm --engine.urls URL …" in typed
    assert "--engine.servers" not in typed
    for hosts, each in re.findall(r"--nnodes (\d+) .*--nproc-per-node (\d+)", typed):
        assert int(hosts) > 1
        assert int(each) == 8
