"""The command as a user meets it: what is right works, what is wrong is said in a line, and nothing is left on disk."""

from __future__ import annotations

import dataclasses
import json
import os
import re
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

import gymnasium
import pytest
from gymnasium.spaces import Text

from agentrl.cli.main import COMMANDS, main
from agentrl.cli.recipe import parsed
from agentrl.cli.registry import find_env, our_envs
from agentrl.envs.errors import UsageError
from agentrl.trainer.config import load_recipe, recipes, to_toml
from agentrl.trainer.engines.options import EngineConfig
from agentrl.trainer.mixture import weights_of


@dataclass(frozen=True, kw_only=True)
class Result:
    """What a command left behind."""

    status: int
    out: str
    err: str


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Result]:
    """Run a command in an empty folder, in this process."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "200")

    def call(*words: str) -> Result:
        try:
            status = main(words)
        except SystemExit as exit:
            status = exit.code if isinstance(exit.code, int) else int(exit.code is not None)
        told = capsys.readouterr()
        return Result(status=status, out=told.out, err=told.err)

    return call


def agentrl(*words: str, stdin: str = "", folder: Path | None = None) -> subprocess.CompletedProcess[str]:
    """Run the installed command."""
    command = [str(Path(sys.executable).with_name("agentrl")), *words]
    return subprocess.run(command, input=stdin, capture_output=True, text=True, cwd=folder, timeout=120, check=False)


def test_the_installed_command() -> None:
    done = agentrl("--version")
    assert (done.returncode, done.stdout, done.stderr) == (0, f"agentrl {version('agentrl-gym')}\n", "")


def test_a_reader_that_stops_early_is_no_error() -> None:
    command = [str(Path(sys.executable).with_name("agentrl")), "envs", "--json"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.close()
        assert process.stderr.read() == ""
        assert process.wait(timeout=60) == 0


@pytest.mark.parametrize("words", [(), ("--help",), ("-h",), ("help",)])
def test_help(run: Callable[..., Result], words: tuple[str, ...]) -> None:
    result = run(*words)
    assert result.status == 0
    for name, (_, what) in COMMANDS.items():
        assert f"  {name} " in result.out
        assert what in result.out
    assert "agentrl train quickstart" in result.out


@pytest.mark.parametrize("command", COMMANDS)
def test_help_of_a_command(run: Callable[..., Result], command: str) -> None:
    result = run(command, "--help")
    assert result.status == 0
    assert f"agentrl {command}" in result.out


def test_help_of_a_recipe_shows_its_values(run: Callable[..., Result]) -> None:
    result = run("train", "quickstart", "--help")
    assert result.status == 0
    for option in ("--optim.lr", "--rollout.concurrency", "--loss.kind", "--env", "--eval.num-episodes"):
        assert option in result.out
    assert f"(default: {load_recipe('quickstart').optim.lr})" in result.out  # the recipe's own, not ours


def test_help_of_coldstart(run: Callable[..., Result]) -> None:
    result = run("coldstart", "--help")
    for option in ("--demonstrations", "--env", "--num-steps", "--verify"):
        assert option in result.out


def test_envs(run: Callable[..., Result]) -> None:
    table = run("envs")
    assert table.status == 0
    rows = json.loads(run("envs", "--json").out)
    assert [row["id"] for row in rows] == our_envs()
    for row in rows:
        assert row["id"] in table.out
        assert row["tests"]
        assert row["turns"] >= 1
        assert row["levels"] in table.out
    search = next(row for row in rows if row["id"] == "AgentRL/Search-v0")
    assert search["tools"] == ["search", "open"]
    assert "search, open" in table.out


@pytest.mark.parametrize("env", our_envs())
def test_the_oracle_can_be_watched(run: Callable[..., Result], env: str) -> None:
    result = run("play", env, "--oracle", "--seed", "3")
    assert result.status == 0
    assert "success: reward 1" in result.out
    assert result.out == run("play", env.removeprefix("AgentRL/"), "--oracle", "--seed", "3").out


def test_a_person_plays(tmp_path: Path) -> None:
    call = '<tool_call>{"name": "search", "arguments": {"query": "a"}}</tool_call>'
    done = agentrl(
        "play", "Search-v0", "--seed", "3", stdin=f"{call}\n\nI say\n<answer>x</answer>\n\n", folder=tmp_path
    )
    assert done.returncode == 0, done.stderr
    assert "tool> " in done.stdout
    assert "no success: reward 0" in done.stdout
    left = agentrl("play", "Search-v0", "--seed", "3", folder=tmp_path)
    assert (left.returncode, left.stderr) == (0, "")
    assert "left before the end" in left.stdout


class Unruly(gymnasium.Env[str, str]):
    """Writes to the terminal what it should not; ships no oracle."""

    def __init__(self, fails: bool = False) -> None:
        self.action_space = self.observation_space = Text(100)

    def reset(self, *, seed: int | None = None, options: object = None) -> tuple[str, dict[str, object]]:
        super().reset(seed=seed)
        return "\x1b[2J[bold]hello[/bold]", {}

    def step(self, action: str) -> tuple[str, float, bool, bool, dict[str, object]]:
        return "", 0.0, False, True, {"failure": {"kind": "k", "boundary": "b", "message": "no route to host"}}


gymnasium.register(id="Toy/Unruly-v0", entry_point=Unruly, disable_env_checker=True)  # type: ignore[arg-type]


def test_an_environment_cannot_move_the_terminal(run: Callable[..., Result], monkeypatch: pytest.MonkeyPatch) -> None:
    import io

    monkeypatch.setattr(sys, "stdin", io.StringIO("hello\n\n"))
    result = run("play", "Toy/Unruly-v0")
    assert "\x1b" not in result.out
    assert "\\x1b[2J[bold]hello[/bold]" in result.out
    assert result.status == 1
    assert "no result: no route to host" in result.out


# words -> parts of the message; whatever is wrong, the next thing to type is in it
REFUSED: dict[tuple[str, ...], tuple[str, ...]] = {
    ("trian",): ("no command 'trian'", "did you mean 'train'", "agentrl --help"),
    ("xyz",): ("no command 'xyz'.", "agentrl --help"),
    ("play", "Serach-v0"): ("'Serach-v0' is not registered", "did you mean 'AgentRL/Search-v0'?", "agentrl envs"),
    ("play", "qqqqq"): ("'qqqqq' is not registered.", "agentrl envs"),
    ("play", "nomodule:Search-v0"): ("'nomodule' cannot be imported",),
    ("play", "Search-v0", "--level", "9"): ("level=9 does not exist", "1, 2, 3"),
    ("play", "Search-v0", "--split", "tset"): ("split='tset'", "did you mean 'test'?"),
    ("play", "Toy/Unruly-v0", "--oracle"): ("Toy/Unruly-v0 ships no oracle", "agentrl play Toy/Unruly-v0"),
    ("train", "quickstrat"): ("'quickstrat' does not exist", "did you mean 'quickstart'?"),
    ("train", "--level", "1"): ("a recipe comes first", "agentrl train quickstart --level 1"),
    ("train", "--env"): ("--env has no value", "--env FrozenLake-v1"),
    ("train", "--env", "FrozenLake-v1", "--env", "FrozenLake-v1:2"): ("'FrozenLake-v1' was given twice",),
    ("train", "--env", "FrozenLake-v1:0"): ("has the weight 0.0", "FrozenLake-v1:0.5"),
    ("train", "--env", "FrozenLaek-v1"): ("'FrozenLaek-v1' is not registered", "FrozenLake-v1"),
    ("train", "--env=FrozenLake-v1", "--level", "2"): ("knows no levels", "--level None"),
    ("train", "quickstart", "--env", "Blackjack-v1"): ("level is 2, but Blackjack-v1", "train --env Blackjack-v1"),
    ("train", "quickstart", "--env", "AgentRL/Serach-v0"): ("did you mean 'AgentRL/Search-v0'?", "agentrl envs"),
    ("train", "quickstart", "--optim.learning-rate", "1"): ("--optim.learning-rate",),
    ("train", "quickstart", "--num-stesp", "3"): ("--num-stesp", "--num-steps"),
    ("train", "quickstart", "--num-steps", "many"): ("--num-steps", "many"),
    ("train", "quickstart", "--num-steps", "0"): ("num_steps is 0",),
    ("train", "quickstart", "--loss.beta", "-1"): ("loss.beta is -1.0",),
    ("train", "quickstart", "--loss.kind", "grpo", "--loss.mask-overlong", "True"): ("changes nothing under",),
    ("train", "quickstart", "--model", "bundled:serach"): ("'bundled:serach' is not bundled", "bundled:search-tiny"),
    ("train", "quickstart", "--model", "./nothing/here"): ("'./nothing/here' does not exist", "Qwen/Qwen3-0.6B"),
    ("train", "quickstart", "--model", "no/such-model"): ("'no/such-model' could not be loaded", "Qwen/Qwen3-0.6B"),
    ("train", "quickstart", "--device", "gpu"): ("device='gpu' is no device", "auto, cpu or cuda"),
    ("train", "quickstart", "--out", "/proc/agentrl"): ("--out FOLDER",),
    ("train", "--resume"): ("agentrl train --resume runs/NAME",),
    ("train", "--resume", "runs/none"): ("runs/none is no run",),
    ("train", "--resume", "runs/none", "--seed", "2"): ("configuration is fixed",),
    ("coldstart", "--env", "Serach-v0"): ("did you mean 'AgentRL/Search-v0'?",),
    ("coldstart", "--env", "Toy/Unruly-v0"): ("ships neither demonstrator() nor oracle()", "--demonstrations"),
    ("coldstart", "--demonstrations", "none.jsonl"): ("'none.jsonl' cannot be read",),
    ("coldstart", "--num-steps", "0"): ("num_steps is 0",),
    ("coldstart", "--env", "FrozenLake-v1"): ("level is 2, but FrozenLake-v1 knows no levels", "--level None"),
    ("envs", "--jsno"): ("--jsno",),
}


@pytest.mark.parametrize("words", REFUSED, ids=" ".join)
def test_what_is_wrong_is_said_and_leaves_nothing(
    run: Callable[..., Result], tmp_path: Path, words: tuple[str, ...]
) -> None:
    result = run(*words)
    assert result.status == 2
    for part in REFUSED[words]:
        assert part in result.err
    assert "Traceback" not in result.err
    assert list(tmp_path.iterdir()) == []


def test_truth_values_as_people_type_them(run: Callable[..., Result]) -> None:
    short = "--num-steps 1 --copy-steps 0 --batch-size 2 --vocab-size 320 --threads 1 --name cold".split()
    slippery = ["--env-kwargs", "is_slippery", "false", "map_name", "4x4"]
    done = run("coldstart", "--env", "FrozenLake-v1", "--level", "None", *slippery, *short)
    assert done.status == 0, done.err
    told = json.loads(Path("runs/cold/coldstart.json").read_text())["config"]
    assert told["env_kwargs"] == {"is_slippery": False, "map_name": "4x4"}
    typed = ["--env-kwargs", "a", "true", "b", "False", "c", "truth", "d", "1"]
    assert repr(parsed(load_recipe("gymnasium"), ["gymnasium", *typed]).env_kwargs) == (
        "{'a': True, 'b': False, 'c': 'truth', 'd': 1}"
    )
    Path("mine.toml").write_text('[env_kwargs]\nword = "true"\n')  # a recipe says what it means
    assert parsed(load_recipe("mine.toml"), ["mine.toml"]).env_kwargs == {"word": "true"}


def test_a_run_folder_that_is_there_is_refused(run: Callable[..., Result], tmp_path: Path, model_path: Path) -> None:
    (tmp_path / "runs" / "mine").mkdir(parents=True)
    result = run("train", "quickstart", "--model", str(model_path), "--name", "mine")
    assert result.status == 2
    assert "runs/mine exists" in result.err
    assert "--resume runs/mine" in result.err
    assert "--name mine-2" in result.err
    assert list((tmp_path / "runs" / "mine").iterdir()) == []


@pytest.fixture(scope="module")
def model_path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny random model."""
    from agentrl.trainer.tiny import make_tiny_model, train_tokenizer

    folder = tmp_path_factory.mktemp("model")
    tokenizer = train_tokenizer(["search open answer"], vocab_size=280)
    tokenizer.save_pretrained(folder)
    make_tiny_model(tokenizer, seed=0, hidden=32, layers=1).save_pretrained(folder)
    return folder


SHORT = "--num-steps 1 --groups-per-step 2 --group-size 2 --eval.num-episodes 2 --rollout.max-turn-tokens 4".split()


def test_train_and_resume(run: Callable[..., Result], tmp_path: Path, model_path: Path) -> None:
    done = run("train", "quickstart", "--model", str(model_path), "--env", "Search-v0", "--level", "1", *SHORT)
    assert done.status == 0, done.err
    folder = Path("runs/quickstart")
    assert f"run folder {folder}" in done.err
    assert "sampled: success 0.000 before, 0.000 after (2 held-out episodes)" in done.out
    assert re.search(rf"4 episodes, 1 steps, \d+ s of training; report: {folder}/report\.html", done.out)
    names = {path.name for path in folder.iterdir()}
    assert {"config.toml", "metrics.jsonl", "rollouts.sqlite", "checkpoints", "report.html", "summary.json"} <= names
    assert json.loads((folder / "summary.json").read_text())["env"] == "AgentRL/Search-v0"
    again = run("train", "--resume", str(folder))
    assert again.status == 0
    assert again.out == done.out
    # What the original model was named does not matter to a run that has a checkpoint.
    text = (folder / "config.toml").read_text()
    (folder / "config.toml").write_text(text.replace(str(model_path), str(tmp_path / "moved")))
    assert run("train", "--resume", str(folder)).status == 0
    second = run("train", "quickstart", "--model", str(model_path), "--level", "1", *SHORT)
    assert "run folder runs/quickstart-2" in second.err


def test_a_resumed_run_is_told_where_its_servers_are(
    run: Callable[..., Result], tmp_path: Path, model_path: Path
) -> None:
    folder = tmp_path / "mine"
    folder.mkdir()
    engine = EngineConfig(name="vllm", urls=("http://127.0.0.1:9",))
    text = to_toml(dataclasses.replace(load_recipe("quickstart"), model=str(model_path), engine=engine))
    (folder / "config.toml").write_text(text)
    moved = run("train", "--resume", "mine", "--engine.urls", "http://127.0.0.1:7")
    assert moved.status == 2
    assert "http://127.0.0.1:7" in moved.err
    assert "http://127.0.0.1:9" not in moved.err
    assert (folder / "config.toml").read_text() == text  # the next start may be elsewhere again
    assert "127.0.0.1:9" in run("train", "--resume", "mine").err
    refused = run("train", "--resume", "mine", "--engine.name", "torch")
    assert refused.status == 2
    assert "configuration is fixed" in refused.err


def test_a_damaged_configuration_is_said(run: Callable[..., Result], tmp_path: Path) -> None:
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "config.toml").write_text("seed = ")
    result = run("train", "--resume", "mine")
    assert result.status == 2
    assert "mine/config.toml" in result.err


@pytest.mark.parametrize("name", recipes())
def test_every_recipes_environment_is_there(name: str) -> None:
    assert all(find_env(env) for env in weights_of(load_recipe(name).env))


def test_names_of_environments() -> None:
    assert find_env("Search-v0") == find_env("AgentRL/Search-v0") == "AgentRL/Search-v0"
    assert find_env("agentrl.envs:AgentRL/Search-v0") == "agentrl.envs:AgentRL/Search-v0"
    assert find_env("CartPole-v1") == "CartPole-v1"
    with pytest.raises(UsageError, match="did you mean 'CartPole-v1'"):
        find_env("cartpole-v1")


def test_nothing_hidden_is_left_at_home(run: Callable[..., Result], tmp_path: Path) -> None:
    before = set(os.listdir(Path.home()))
    run("play", "Search-v0", "--oracle", "--seed", "1")
    assert set(os.listdir(Path.home())) == before
    assert list(tmp_path.iterdir()) == []
