"""Models in this process: the trainer's engine plays, and a run's checkpoint scores what the run says it scored."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import threading
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

import agentrl.envs  # noqa: F401  # registers
from agentrl.bench.agents import open_agent
from agentrl.bench.errors import AgentError, StoreError, UsageError
from agentrl.bench.plans import ModelSettings, held_out, num_changed, plan_of
from agentrl.bench.run import Settings, run
from agentrl.bench.store import BenchStore
from agentrl.bench.types import Episode, Job
from agentrl.bench.weights import digest_of, find_weights
from agentrl.cli.main import main
from agentrl.trainer.config import EvalConfig, OptimConfig
from agentrl.trainer.errors import ConfigError, EngineError, RunFolderError
from agentrl.trainer.lora import LoraConfig
from agentrl.trainer.store import RolloutStore
from tests.bench.training import train_tiny

SEARCH = "AgentRL/Search-v0"
TINY = "hf:bundled:search-tiny"
SAMPLING = ModelSettings(max_tokens=40, max_context=320, threads=1)


def _settings(agent: str = TINY, **changes: Any) -> Settings:
    made = Settings(
        envs=(SEARCH,),
        agent=agent,
        num_tasks=6,
        levels=(2,),
        env_kwargs={"max_turns": 5},
        model=SAMPLING,
        concurrency=3,
    )
    return replace(made, **changes)


def _stored(folder: Path) -> list[Episode]:
    with BenchStore(folder) as store:
        return list(store.episodes())


def _scored_greedily(run_folder: Path, folder: Path) -> tuple[list[Episode], dict[int, Any]]:
    """Bench the last checkpoint on the run's held-out tasks; return that, and the run's own by seed."""
    tasks = held_out(run_folder)
    settings = Settings(
        envs=tasks.envs,
        agent=f"run:{run_folder}",
        num_tasks=len(tasks.seeds),
        seeds=tasks.seeds,
        levels=tasks.levels,
        split=tasks.split,
        env_kwargs=tasks.env_kwargs,
        model=ModelSettings(temperature=0.0, threads=1),
        concurrency=5,
    )
    run(settings, folder)
    with RolloutStore(run_folder / "rollouts.sqlite", read_only=True) as store:
        return _stored(folder), {each.seed: each for each in store.episodes(phase="eval_after") if each.member == 1}


def test_a_model_plays_and_the_same_again(tmp_path: Path) -> None:
    run(_settings(), tmp_path / "one")
    run(_settings(concurrency=1), tmp_path / "two")
    one, two = _stored(tmp_path / "one"), _stored(tmp_path / "two")
    assert [each.failure for each in one] == [None] * 6
    assert [each.messages for each in one] == [each.messages for each in two]
    assert any(each.success for each in one)  # the bundled model has learnt the first steps of this
    assert any(message["role"] == "tool" for each in one for message in each.messages)
    for each in one:
        assert each.num_turns == len(each.latencies) == sum(m["role"] == "assistant" for m in each.messages)
        assert each.completion_tokens is not None
        assert each.num_turns <= each.completion_tokens <= 40 * each.num_turns
        assert each.prompt_tokens is not None
        assert each.prompt_tokens > each.completion_tokens


def test_samples_of_a_task_differ_and_greedy_ones_do_not(tmp_path: Path) -> None:
    run(_settings(num_tasks=1, num_samples=6, model=replace(SAMPLING, temperature=1.5)), tmp_path / "hot")
    run(_settings(num_tasks=1, num_samples=3, model=replace(SAMPLING, temperature=0.0)), tmp_path / "greedy")
    hot, greedy = ([each.messages for each in _stored(tmp_path / name)] for name in ("hot", "greedy"))
    assert any(each != hot[0] for each in hot)
    assert greedy == [greedy[0]] * 3


def test_a_checkpoint_scores_what_the_run_said(trained: Path, tmp_path: Path) -> None:
    benched, greedy = _scored_greedily(trained, tmp_path / "run")
    assert len(benched) == len(greedy) == 12
    for each in benched:
        own = greedy[each.job.seed]
        assert each.reward == pytest.approx(own.reward)
        assert (each.task_id, each.rewards, bool(each.success)) == (own.task_id, own.rewards, bool(own.success))
        said = [[m["content"] for m in talk if m["role"] == "assistant"] for talk in (each.messages, own.messages)]
        assert said[0] == said[1]
    summary = json.loads((trained / "summary.json").read_text())
    assert sum(bool(each.success) for each in benched) / 12 == pytest.approx(summary["greedy_after"])


def test_the_command_plays_the_held_out_tasks(
    trained: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    switch = sys.getswitchinterval()
    try:
        words = ["bench", "--agent", f"run:{trained}", "--temperature", "0", "--threads", "1", "--json"]
        assert main(words) == 0
        said = capsys.readouterr()
        assert "are others now" not in said.err
        told = json.loads(said.out)
        assert main([*words, "-n", "3", "--checkpoint", "1", "--out", "three"]) == 0
        three = json.loads(capsys.readouterr().out)
    finally:
        sys.setswitchinterval(switch)
    summary = json.loads((trained / "summary.json").read_text())
    assert told["summaries"][-1]["success"]["value"] == pytest.approx(summary["greedy_after"])
    assert told["summaries"][-1]["num_episodes"] == 12
    assert (told["identity"]["levels"], told["identity"]["split"]) == ([2], "test")
    assert told["identity"]["env_kwargs"] == {"max_turns": 5}
    assert told["summaries"][-1]["completion_tokens"] > 12
    assert three["summaries"][-1]["num_episodes"] == 3
    assert three["identity"]["agent_settings"]["checkpoint"] == "step_1"
    for wrong, message in (
        (["--level", "2"], "--level has no effect on the run's own held-out tasks; name others with --env"),
        (["--seed", "0"], "--seed has no effect on the run's own held-out tasks"),
        (["-n", "13"], "-n 13, but the run holds out 12 tasks; leave -n out for all"),
        (["--base-url", "http://x"], "it is of openai:"),
    ):
        assert main([*words[:-1], *wrong]) == 2
        assert message in capsys.readouterr().err


def test_tasks_that_have_changed_since_are_told(trained: Path, tmp_path: Path) -> None:
    _scored_greedily(trained, tmp_path / "run")
    episodes = _stored(tmp_path / "run")
    assert num_changed(trained, episodes) == 0
    other = {"role": "user", "content": "Another question."}
    episodes[0] = replace(episodes[0], messages=(episodes[0].messages[0], other, *episodes[0].messages[2:]))
    episodes[1] = replace(episodes[1], task_id="another")
    assert num_changed(trained, episodes) == 2


def test_adapters_alone_are_added_to_their_model(tmp_path: Path) -> None:
    lora = LoraConfig(rank=2, merge=False)
    folder = train_tiny(tmp_path, lora=lora, num_steps=1, eval=EvalConfig(num_episodes=4), optim=OptimConfig(lr=0.1))
    plan = plan_of("run", str(folder), ModelSettings())
    assert plan.base == find_weights("bundled:search-tiny")
    assert {"base", "weights"} <= plan.identity().keys()
    benched, greedy = _scored_greedily(folder, tmp_path / "run")
    assert len(benched) == len(greedy) == 4
    for each in benched:
        assert list(each.messages) == greedy[each.job.seed].messages[: len(each.messages)]


def test_a_run_is_sampled_as_it_was_unless_told_otherwise(trained: Path) -> None:
    plan = plan_of("run", str(trained), ModelSettings())
    assert (plan.temperature, plan.max_tokens, plan.max_context, plan.weights.name) == (0.8, 40, 320, "step_2")
    other = plan_of("run", str(trained), ModelSettings(temperature=0.0, max_tokens=9, checkpoint="1"))
    assert (other.temperature, other.max_tokens, other.max_context, other.weights.name) == (0.0, 9, 320, "step_1")
    assert plan.identity()["weights"] != other.identity()["weights"]
    assert plan.identity()["checkpoint"] == "step_2"


def test_a_run_that_trains_on_does_not_change_what_is_benched(trained: Path, tmp_path: Path) -> None:
    """What `last` means is looked up once: the weights that play are those that the run says."""
    copy = tmp_path / "copy"
    shutil.copytree(trained, copy)
    (copy / "checkpoints" / "step_2").rename(tmp_path / "later")
    settings = _settings(f"run:{copy}", num_tasks=1, model=ModelSettings(threads=1))

    def go_on(total: int, done: int) -> None:
        (tmp_path / "later").rename(copy / "checkpoints" / "step_2")

    run(settings, tmp_path / "run", on_start=go_on)
    with BenchStore(tmp_path / "run") as store:
        assert store.identity["agent_settings"]["checkpoint"] == "step_1"
        assert store.identity["agent_settings"]["weights"] == digest_of(copy / "checkpoints" / "step_1")
    with pytest.raises(StoreError, match=r'"checkpoint": "step_1".* and is .*"checkpoint": "step_2"'):
        run(settings, tmp_path / "run")
    pinned = replace(settings, model=ModelSettings(threads=1, checkpoint="1"))
    assert run(pinned, tmp_path / "run") == 0


def test_the_best_checkpoint_is_the_one_that_held_out_tasks_say(trained: Path, tmp_path: Path) -> None:
    copy = tmp_path / "copy"
    shutil.copytree(trained, copy)
    summary, metrics = copy / "summary.json", copy / "metrics.jsonl"
    for before, last, best in ((0.5, 0.25, "step_1"), (0.25, 0.5, "step_2"), (0.5, 0.5, "step_2")):
        metrics.write_text(json.dumps({"step": 1, "eval/success": before}) + "\n" + json.dumps({"step": 2}) + "\n")
        summary.write_text(json.dumps({"num_steps": 2, "success_after": last, "reward_after": 1.0}))
        assert plan_of("run", str(copy), ModelSettings(checkpoint="best")).weights.name == best
    metrics.write_text("")
    summary.unlink()
    with pytest.raises(RunFolderError, match=r"none of the checkpoints of .* \(steps 1, 2\) was evaluated"):
        plan_of("run", str(copy), ModelSettings(checkpoint="best"))
    with pytest.raises(RunFolderError, match="has no checkpoint '7'; there are best, last and the steps 1, 2"):
        plan_of("run", str(copy), ModelSettings(checkpoint="7"))
    shutil.rmtree(copy / "checkpoints")
    with pytest.raises(RunFolderError, match=r"has no checkpoint yet; train on with: agentrl train --resume"):
        plan_of("run", str(copy), ModelSettings())


def test_other_weights_are_another_agent(tmp_path: Path) -> None:
    model = tmp_path / "model"
    shutil.copytree(find_weights("bundled:search-tiny"), model)
    assert digest_of(model) == digest_of(find_weights("bundled:search-tiny"))  # a copy is the same model
    settings = _settings(f"hf:{model}", num_tasks=1)
    run(settings, tmp_path / "run")
    weights = model / "model.safetensors"
    changed = bytearray(weights.read_bytes())
    changed[-1] ^= 1
    weights.write_bytes(changed)
    with pytest.raises(StoreError, match=r"begun with other settings: agent_settings was .*weights"):
        run(settings, tmp_path / "run")


def test_an_episode_that_is_as_long_as_it_may_be_is_not_solved(tmp_path: Path) -> None:
    run(_settings(num_tasks=2, model=replace(SAMPLING, max_context=70)), tmp_path / "run")
    for each in _stored(tmp_path / "run"):
        assert (each.failure, each.success, each.truncated) == (None, False, True)
        assert len(each.latencies) == each.num_turns >= 1
        assert each.messages[-1]["role"] != "assistant"


def test_prompts_that_never_fit_are_no_result(tmp_path: Path) -> None:
    with pytest.raises(AgentError, match=r"none of 20 episodes could begin: .*max_context is 8; .*--max-context"):
        run(_settings(num_tasks=40, model=replace(SAMPLING, max_context=8)), tmp_path / "run")


def test_a_dead_engine_ends_the_bench_and_what_was_played_stays(tmp_path: Path) -> None:
    settings = _settings(num_tasks=30, concurrency=2)

    def die(episode: Episode) -> None:
        if len(_stored(tmp_path / "run")) >= 4:
            for name in list(engines):
                engines.pop(name).close()

    from agentrl.trainer.engines.torch import TorchEngine

    engines: dict[str, TorchEngine] = {}
    made = TorchEngine.session

    def session(self: TorchEngine) -> Any:
        engines.setdefault("one", self)
        return made(self)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(TorchEngine, "session", session)
        with pytest.raises(AgentError, match=r"the model's engine is gone: .*closed.*Type the same command to go on"):
            run(settings, tmp_path / "run", on_episode=die)
    num_played = len(_stored(tmp_path / "run"))
    assert 4 <= num_played < 30
    assert run(settings, tmp_path / "run") == 30 - num_played
    assert [each.failure for each in _stored(tmp_path / "run")] == [None] * 30


def test_a_turn_that_was_given_up_is_a_failure_and_the_engine_goes_on(tmp_path: Path) -> None:
    settings = _settings(num_tasks=1, max_retries=0, turn_s=1e-4)
    run(settings, tmp_path / "run")
    (episode,) = _stored(tmp_path / "run")
    assert episode.failure is not None
    assert (episode.failure["kind"], episode.failure["boundary"]) == ("timeout", "agent")


def test_everything_is_given_back(tmp_path: Path) -> None:
    before = torch.get_num_threads(), torch.are_deterministic_algorithms_enabled()
    with open_agent(TINY, model=replace(SAMPLING, threads=1)) as agent:
        player = agent.player(Job(env_id=SEARCH, level=2, seed=0, sample=0))
        assert callable(player)
        assert isinstance(player("Who?", {}), str)
        player.close()  # type: ignore[attr-defined]
        player.close()  # type: ignore[attr-defined]
    agent.close()
    assert before == (torch.get_num_threads(), torch.are_deterministic_algorithms_enabled())
    stop = time.monotonic() + 10
    while (left := {each.name for each in threading.enumerate()} & {"agentrl-engine", "bench-agent"}) and (
        time.monotonic() < stop
    ):
        time.sleep(0.01)
    assert not left
    with pytest.raises(AgentError, match="engine is gone"):
        agent.player(Job(env_id=SEARCH, level=2, seed=1, sample=0))("Who?", {})  # type: ignore[operator]


@pytest.mark.parametrize(
    ("agent", "told"),
    [
        ("hf:./nowhere", "model './nowhere' does not exist; give a folder"),
        ("hf:bundled:search-tyni", "is not bundled; there is bundled:search-tiny"),
        ("hf:{tmp}", "is a path without config.json; give what save_pretrained wrote"),
        ("run:{tmp}", "is no training run: it has no config.toml"),
        ("run:{model}", r"it has no config.toml \(a model's folder is named hf:PATH\)"),
        ("hf:{run}", r"is a path without config.json \(a training run is named run:DIR\)"),
        ("hf:{broken}", "is no configuration of a model"),
    ],
)
def test_a_model_that_is_not_there_is_told(agent: str, told: str, tmp_path: Path) -> None:
    (tmp_path / "broken").mkdir()
    (tmp_path / "broken" / "config.json").write_text("{")
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "config.toml").write_text("")
    (tmp_path / "tmp").mkdir()
    places = {name: tmp_path / name for name in ("broken", "run", "tmp")}
    named = agent.format(model=find_weights("bundled:search-tiny"), **places)
    with pytest.raises(UsageError, match=told):
        open_agent(named)


def test_a_damaged_checkpoint_is_told(tmp_path: Path) -> None:
    model = tmp_path / "model"
    shutil.copytree(find_weights("bundled:search-tiny"), model)
    (model / "model.safetensors").write_bytes(b"\0" * 100)
    with pytest.raises(ConfigError, match="could not be loaded"):
        open_agent(f"hf:{model}")


@pytest.mark.parametrize(
    ("wrong", "told"),
    [
        ({"max_tokens": 0}, "max_tokens=0 must be 1 or more"),
        ({"temperature": -1.0}, "temperature=-1.0 must be 0"),
        ({"threads": -1}, "threads=-1 must be 0"),
    ],
)
def test_settings_that_cannot_work_are_told(wrong: dict[str, Any], told: str) -> None:
    with pytest.raises(UsageError, match=told):
        ModelSettings(**wrong)
    with pytest.raises(UsageError, match=r"max_context=99999 is more than the 4096 tokens"):
        plan_of("hf", "bundled:search-tiny", ModelSettings(max_context=99999))
    with pytest.raises(UsageError, match=r"checkpoint='best' has no effect on hf:bundled:search-tiny; it is of run:"):
        plan_of("hf", "bundled:search-tiny", ModelSettings(checkpoint="best"))
    with pytest.raises(UsageError, match="is no model in this process"):
        open_agent("oracle", model=ModelSettings())


HUB = """
import sys
from pathlib import Path
from agentrl.bench.weights import digest_of, find_weights
from agentrl.cli.main import main
folder = find_weights("someone/tiny")
print(folder.name, digest_of(folder))
try:
    find_weights("someone/nothing")
except Exception as error:
    print(type(error).__name__, error)
"""


def test_a_name_of_the_hub_is_found_in_its_cache(tmp_path: Path) -> None:
    cache = tmp_path / "hub" / "models--someone--tiny"
    shutil.copytree(find_weights("bundled:search-tiny"), cache / "snapshots" / "0123abcd")
    (cache / "refs").mkdir()
    (cache / "refs" / "main").write_text("0123abcd")
    environment = {"HF_HUB_OFFLINE": "1", "HF_HUB_CACHE": str(tmp_path / "hub"), "HOME": str(tmp_path)}
    done = subprocess.run(
        [sys.executable, "-c", HUB], env=environment, capture_output=True, text=True, check=True, timeout=60
    )
    found, missing = done.stdout.splitlines()
    assert found.split() == ["0123abcd", digest_of(find_weights("bundled:search-tiny"))]
    assert missing.startswith("UsageError model 'someone/nothing' is no folder and could not be fetched")


def test_an_engine_error_that_is_no_death_is_a_failure(tmp_path: Path) -> None:
    """One turn that the engine refuses costs its episode, no more."""
    with open_agent(TINY, model=SAMPLING) as agent:
        player = agent.player(Job(env_id=SEARCH, level=2, seed=0, sample=0))
        assert callable(player)
        player("Who?", {})
        player._session.close()  # type: ignore[attr-defined]
        with pytest.raises(EngineError, match="the session is closed"):
            player("Who?", {})
        other = agent.player(Job(env_id=SEARCH, level=2, seed=1, sample=0))
        assert callable(other)
        assert isinstance(other("Who?", {}), str)
