"""What the checker says of sound environments, of strangers and of what cannot be checked; what it leaves behind."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import gymnasium
import pytest

from agentrl.envs.checker import Report, check
from agentrl.envs.checker.catalogue import CHECKS
from agentrl.envs.errors import UsageError
from tests.envs.checker.broken.envs import env_id
from tests.envs.checker.broken.foreign import Guess

BOXES = [pytest.param("docker", marks=pytest.mark.docker), pytest.param("bwrap", marks=pytest.mark.bwrap)]


def statuses(report: Report) -> dict[str, str]:
    return {each.id: each.status for each in report.results}


def test_a_sound_environment_passes_everything() -> None:
    began: list[tuple[str, int, int]] = []
    report = check(env_id("Sound"), on_event=lambda *event: began.append(event))
    assert {name for name, status in statuses(report).items() if status != "passed"} == {"box-leak", "failure"}
    assert report.ok
    assert report.failed == ()
    assert report.seeds == 3
    assert began == [(name, number, len(CHECKS)) for number, name in enumerate(CHECKS, 1)]
    assert report["oracle"].measured == {"episodes": 8, "reward": 1.0}  # 3 of train and 1 of test, at 2 levels
    floors = report["floor"].measured
    assert (floors["oracle"], floors["noop"], floors["gap"]) == (1.0, 0.0, 1.0 - floors["random"])
    assert report["throughput"].measured["steps a second"] > 0
    assert report["levels"].measured["level 2"]["turns"] == 3.0
    assert json.loads(json.dumps(report.as_dict()))["failed"] == []
    with pytest.raises(KeyError):
        report["no such check"]


@pytest.mark.parametrize("backend", BOXES)
def test_a_sound_environment_with_a_box_passes_everything(backend: str) -> None:
    report = check(env_id("Sums"), backend=backend, skip=["throughput"])
    assert {name: status for name, status in statuses(report).items() if status != "passed"} == {}
    assert report.backend == backend
    assert report["failure"].measured["failures told"] > 0


def test_code_is_not_checked_in_this_process() -> None:
    report = check(env_id("Sums"), backend="local")
    assert set(statuses(report).values()) == {"not applicable"}
    assert "check it with --backend docker,bwrap" in report.results[0].reason


def test_a_stranger_is_checked_as_far_as_it_goes() -> None:
    report = check(env_id("Guess"), backend="docker")  # it takes no backend, so none is asked for
    assert report.ok, [each for each in report.results if each.status == "failed"]
    assert report.backend == "-"
    aside = {each.id: each.reason for each in report.results if each.status == "not applicable"}
    assert set(aside) == {
        *("oracle", "levels", "splits", "protocol", "success", "leak", "box-leak"),
        *("own-cheats", "repetition", "snapshot", "failure"),
    }
    assert aside["oracle"] == "the environment has no oracle()"
    assert aside["protocol"] == "info has none of the protocol's keys"
    for name in ("seed", "determinism", "process", "instances", "threads", "fuzz", "cheats", "vector", "resources"):
        assert report[name].status == "passed"


def test_the_mistake_of_a_stranger_is_found_too() -> None:
    report = check(env_id("SharedGuess"), skip=["throughput"])
    assert report.failed == ("instances",)
    assert report["threads"].status == "not run"
    assert report["threads"].reason == "instances failed, without which this check says nothing"


def test_a_stranger_may_ship_no_cheats_and_ours_may_not() -> None:
    from agentrl.envs.math.env import MathEnv

    for name in ("Guess", "Cheatless"):
        result = check(env_id(name), only=["own-cheats"])["own-cheats"]
        assert result.status == "not applicable"
        assert result.reason.startswith("it ships none; add cheats()")
    ours: Any = type("Cheatless", (MathEnv,), {"cheats": lambda self: {}, "__module__": MathEnv.__module__})
    gymnasium.register(id="Cheatless-v0", entry_point=ours)
    try:
        report = check("Cheatless-v0", only=["own-cheats"])
    finally:
        del gymnasium.registry["Cheatless-v0"]
    assert report.failed == ("own-cheats",)
    assert report["own-cheats"].reason == "cheats() is empty"


def test_an_environment_that_only_this_process_knows() -> None:
    class Here(Guess):
        """Registered by a script, as in a notebook."""

    gymnasium.register(id="Here-v0", entry_point=lambda **kwargs: Here(**kwargs))
    try:
        assert check("Here-v0", only=["process", "vector"]).ok
    finally:
        del gymnasium.registry["Here-v0"]


# Mistakes that an author of Search could make, each in one line.
MUTANTS = {
    "the answer in the question": ("question", lambda self: f"{self._text} {self._answers[0]}!", "leak"),
    "no pages for the oracle": ("_solution", lambda self: ["<answer>unknown</answer>"], "oracle"),
    "a loud question": ("question", lambda self: f"{sys.stdout.write('drawn')}"[:0] + self._text, "quiet"),
}


@pytest.mark.parametrize("name", MUTANTS)
def test_a_mistake_planted_in_search_is_found(name: str) -> None:
    from agentrl.envs.search.env import SearchEnv

    method, mistake, wanted = MUTANTS[name]
    mutant: Any = type("Mutant", (SearchEnv,), {method: mistake})
    gymnasium.register(id="Mutant-v0", entry_point=mutant)
    try:
        assert check("Mutant-v0", only=[wanted], levels=[1, 2]).failed == (wanted,)
    finally:
        del gymnasium.registry["Mutant-v0"]


def test_arguments_reach_the_environment() -> None:
    report = check("AgentRL/Math-v0", only=["oracle"], levels=[2, 3], seeds=2, kwargs={"weights": {"format": 0.5}})
    assert report.ok
    assert report["oracle"].measured == {"episodes": 6, "reward": 1.5}
    assert list(statuses(report)) == ["starts", "oracle"]
    refused = check("AgentRL/Math-v0", only=["oracle"], kwargs={"colour": "red"})
    assert refused.failed == ("starts",)
    assert "unexpected keyword argument 'colour'" in refused["starts"].reason
    assert refused["oracle"].status == "not run"


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ({"profile": "quik"}, "profile='quik' does not exist; did you mean 'quick'?"),
        ({"backend": "dcoker"}, "backend='dcoker' does not exist; did you mean 'docker'?"),
        ({"only": ["orakle"]}, "there is no check 'orakle'; did you mean 'oracle'? Type: agentrl check --list"),
        ({"skip": list(CHECKS)}, "leaves no check to be run"),
        ({"seeds": 0}, "seeds=0 must be a whole number of at least 1"),
        ({"deadline_s": 0}, "deadline_s=0 must be a number of seconds above 0"),
        ({"levels": [9]}, "levels=[9]: level 9 was asked for, which the environment does not have; there are 1, 2"),
        ({"env": "Guess-v7"}, "env 'Guess-v7' is not registered; did you mean 'Broken/Guess-v0'? Type: agentrl envs"),
        ({"env": "Nope-v0"}, "env 'Nope-v0' is not registered. Type: agentrl envs"),
        ({"env": "no_such_module:X-v0"}, "the module 'no_such_module' cannot be imported"),
    ],
)
def test_what_cannot_be_checked_is_told(arguments: dict[str, Any], said: str) -> None:
    with pytest.raises(UsageError) as caught:
        check(**{"env": env_id("Sound"), **arguments})
    assert said in str(caught.value)


def test_nothing_is_left_behind_even_by_one_that_hangs() -> None:
    def left() -> tuple[set[Path], int, int, set[str]]:
        folders = set(Path(tempfile.gettempdir()).glob("agentrl-check-*"))
        return folders, threading.active_count(), len(os.listdir("/proc/self/fd")), _children()

    before = left()
    report = check(env_id("Sleeper"), only=["fuzz"], deadline_s=0.3)
    assert report.failed == ("fuzz",)
    assert "had not come back after" in report["fuzz"].reason
    assert left() == before


def test_a_check_ends_with_the_process_that_began_it(tmp_path: Path) -> None:
    code = f"from agentrl.envs.checker import check; check({env_id('Sleeper')!r}, only=['fuzz'], deadline_s=60.0)"
    parent = subprocess.Popen([sys.executable, "-c", code], env={**os.environ, "TMPDIR": str(tmp_path)})

    def there() -> bool:
        found = subprocess.run(["pgrep", "-f", str(tmp_path)], capture_output=True, check=False)
        return found.returncode == 0

    _until(there)
    parent.kill()
    parent.wait()
    _until(lambda: not there())


def _until(holds: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 60
    while not holds():
        assert time.monotonic() < deadline
        time.sleep(0.1)


def _children() -> set[str]:
    return {pid for path in Path("/proc/self/task").glob("*/children") for pid in path.read_text().split()}
