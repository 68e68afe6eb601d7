"""The cheats, over many tasks and both backends: each scores 0, and is flagged where that can be seen."""

from __future__ import annotations

from typing import Any

import pytest

from agentrl.envs.code.env import CodeEnv
from agentrl.envs.scripted import call

Play = Any  # the fixtures of conftest.py

NAMES = sorted(CodeEnv().cheats())
FLAGGED = {
    "sys.exit(0)": "exited",
    "os._exit(0)": "exited",
    "exit while loading": "exited",
    "exec of true": "exited",
    "SIGKILL to itself": "killed",
    "verdict on every descriptor": "several_values",
    "verdict, then exit": "several_values",
}


def test_the_grader_s_list_is_there() -> None:
    assert len(NAMES) >= 30
    assert set(FLAGGED) <= set(NAMES)


@pytest.mark.parametrize("name", NAMES)
def test_a_cheat_scores_nothing(name: str, env: CodeEnv, play: Play) -> None:
    for seed, level in enumerate((1, 2, 3)):
        episode = play(env, env.cheats()[name], seed=seed, level=level)
        assert (episode.reward, episode.info["success"]) == (0.0, False)
        if name in FLAGGED and env._task is not None and env._task.kind == "function":
            assert FLAGGED[name] in episode.info["flags"]


@pytest.mark.slow
@pytest.mark.parametrize("name", NAMES)
def test_a_cheat_scores_nothing_on_programs_either(name: str, backend: str, play: Play) -> None:
    env = CodeEnv(topic="programs", level=3, backend=backend)
    for seed in range(2):
        assert play(env, env.cheats()[name], seed=seed).reward == 0.0
    env.close()


def test_a_cheat_prepares_with_the_tools_where_there_are_any(env: CodeEnv, play: Play) -> None:
    episode = play(env, env.cheats()["daemon"], seed=1, level=3)
    assert episode.observations[0].startswith("The program ended well.")
    assert len(play(env, env.cheats()["daemon"], seed=1, level=1).observations) == 1


def test_the_public_examples_are_all_right_for_the_cheat_that_holds_them(env: CodeEnv, play: Play) -> None:
    """The cheat is a good one: it fails by the hidden inputs, and by nothing else."""
    env.reset(seed=4, options={"level": 3})
    (turn,) = [env.cheats()["public examples"]("", {})]
    source = turn.removeprefix("<answer>").removesuffix("</answer>")
    assert env.step(call("try_examples", code=source))[0].startswith("3 of 3 examples are right.")
    assert env.step(turn)[1] == 0.0
