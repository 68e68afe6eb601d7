"""A rubric on an environment: its reward is the rubric's, turn by turn and in sum, and failures stay failures."""

from __future__ import annotations

import copy
import pickle
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import gymnasium
import pytest
from gymnasium.utils.env_checker import check_env

import agentrl.envs  # noqa: F401  # registers
from agentrl.envs.errors import InfrastructureError, UsageError
from agentrl.envs.rubrics import Component, Rubric, RubricReward, Transcript, load_rubric
from agentrl.envs.spaces import Unicode

MATH = "AgentRL/Math-v0"
SEARCH = "AgentRL/Search-v0"


class Scripted(gymnasium.Env[str, str]):
    """Plays back steps: (reward, done, info)."""

    action_space = observation_space = Unicode()

    def __init__(self, *steps: tuple[float, bool, Mapping[str, Any]]) -> None:
        self._steps, self._at = steps, 0

    def reset(self, *, seed: int | None = None, options: Any = None) -> tuple[str, dict[str, Any]]:
        super().reset(seed=seed)
        self._at = 0
        return "What?", {"system": "Be kind.", "task": {"id": "t", "split": "train", "level": 2}}

    def step(self, action: str) -> tuple[str, float, bool, bool, dict[str, Any]]:
        reward, done, info = self._steps[self._at]
        self._at += 1
        return f"reply {self._at}", reward, done, False, dict(info)


def _plays(env: gymnasium.Env[str, str], *actions: str) -> list[tuple[float, dict[str, Any]]]:
    env.reset(seed=3)
    return [(float(reward), info) for _, reward, _, _, info in (env.step(action) for action in actions)]


def _rubric(**scorers: Any) -> Rubric:
    parts = [Component(name=n, use=s) if callable(s) else Component(name=n, **s) for n, s in scorers.items()]
    return Rubric(components=tuple(parts))


@pytest.mark.parametrize("env_id", [MATH, SEARCH])
@pytest.mark.parametrize("player", ["oracle", "noop"])
def test_the_reward_of_our_environments_is_the_rubrics(env_id: str, player: str) -> None:
    rubric = _rubric(right={"use": "exact_match", "weight": 2.0}, turns={"use": lambda e: e.num_turns, "weight": -0.1})
    env = RubricReward(gymnasium.make(env_id), rubric)
    try:
        observation, info = env.reset(seed=5)
        policy = getattr(env.unwrapped, player)()
        total, num_turns, done = 0.0, 0, False
        while not done:
            observation, reward, terminated, truncated, info = env.step(policy(observation, info))
            total, num_turns, done = total + float(reward), num_turns + 1, terminated or truncated
        assert info["success"] is (player == "oracle")
        assert info["rewards"] == {"right": float(player == "oracle"), "turns": float(num_turns)}
        assert total == pytest.approx(2.0 * (player == "oracle") - 0.1 * num_turns)
    finally:
        env.close()


def test_it_is_an_environment_like_others(tmp_path: Path) -> None:
    path = tmp_path / "rubric.toml"
    path.write_text("[[component]]\nuse = 'exact_match'")
    env = RubricReward(gymnasium.make(MATH), path)
    with pytest.warns(UserWarning, match="different from the unwrapped version"):  # it is: that is what is checked
        check_env(env, skip_render_check=True)
    spec = copy.deepcopy(gymnasium.spec(MATH))  # the registered one is everybody's
    spec.additional_wrappers = (
        gymnasium.envs.registration.WrapperSpec(
            "RubricReward", "agentrl.envs.rubrics:RubricReward", {"rubric": path.read_text()}
        ),
    )
    made = gymnasium.make(pickle.loads(pickle.dumps(spec)))
    assert made.has_wrapper_attr("rubric")
    assert made.get_wrapper_attr("rubric") == load_rubric(path)
    vector = gymnasium.make_vec(MATH, num_envs=2, vectorization_mode="sync", wrappers=[lambda e: RubricReward(e, path)])
    vector.reset(seed=0)
    _, rewards, *_ = vector.step(["<answer>1</answer>", "nothing"])
    assert list(rewards) == [0.0, 0.0]
    vector.close()


def test_turns_are_paid_at_once_and_the_end_makes_up_the_difference() -> None:
    rubric = Rubric(
        components=(
            Component(name="turn", use=lambda e: 1.0, at="turn", weight=0.5),
            Component(name="ok", use=lambda e: float(bool(e.success)), gate=1.0),
        )
    )
    steps: Any = (0.0, False, {}), (0.0, False, {}), (9.0, True, {"success": False})
    played = _plays(RubricReward(Scripted(*steps), rubric), "a", "b", "c")
    assert [reward for reward, _ in played] == [0.5, 0.5, -1.0]  # the gate stayed closed: nothing was earned
    assert [info["rewards"] for _, info in played] == [{"turn": 1.0}, {"turn": 1.0}, {"turn": 1.0, "ok": 0.0}]
    steps = (0.0, False, {}), (0.0, False, {}), (9.0, True, {"success": True})
    played = _plays(RubricReward(Scripted(*steps), rubric), "a", "b", "c")
    assert [reward for reward, _ in played] == [0.5, 0.5, 1.5]


def test_a_rubric_sees_the_whole_episode() -> None:
    seen: list[Transcript] = []
    steps = (
        (0.25, False, {"rewards": {"part": 0.25}, "replies": [{"role": "tool", "name": "look", "content": "it"}]}),
        (0.5, True, {"rewards": {"part": 0.5}, "success": True, "flags": ["odd"]}),
    )
    env = RubricReward(Scripted(*steps), _rubric(all=lambda e: seen.append(e) or 1.0))  # type: ignore[func-returns-value]
    _plays(env, "one", "<answer>two</answer>")
    (episode,) = seen
    assert [each["role"] for each in episode.messages] == ["system", "user", "assistant", "tool", "assistant", "user"]
    assert (episode.reward, dict(episode.rewards)) == (0.75, {"part": 0.75})
    assert (episode.success, episode.done, episode.flags, episode.answer) == (True, True, ("odd",), "two")
    assert (episode.task_id, episode.level, episode.seed, len(episode.latencies)) == ("t", 2, 3, 2)


def test_a_trap_that_was_touched_leaves_no_gain() -> None:
    rubric = _rubric(good=lambda e: 1.0, long={"use": lambda e: 1.0, "weight": 0.5})
    ((reward, info),) = _plays(RubricReward(Scripted((1.0, True, {"tamper": ["answers.txt"]})), rubric), "a")
    assert (reward, info["rewards"]) == (0.0, {"good": 1.0, "long": 1.0, "tamper": 1.0})
    costly = _rubric(good=lambda e: -1.0)
    ((reward, _),) = _plays(RubricReward(Scripted((1.0, True, {"tamper": ["answers.txt"]})), costly), "a")
    assert reward == -1.0


def _down(episode: Transcript) -> float:
    raise InfrastructureError("the judge is down", kind="unreachable", boundary="judge")


@pytest.mark.parametrize(
    ("scorer", "boundary"), [(_down, "judge"), (lambda e: 1 / 0, "rubric"), (lambda e: None, "rubric")]
)
def test_a_rubric_that_cannot_score_is_a_failure(scorer: Any, boundary: str) -> None:
    env = RubricReward(Scripted((1.0, True, {"success": True})), _rubric(a=scorer))
    env.reset()
    _, reward, terminated, truncated, info = env.step("a")
    assert (reward, terminated, truncated, info["failure"]["boundary"]) == (0.0, False, True, boundary)


def test_a_failure_of_the_environment_stays_its_own() -> None:
    failure = {"kind": "died", "boundary": "sandbox", "message": "gone"}
    asked: list[Transcript] = []
    env = RubricReward(Scripted((1.0, False, {"failure": failure})), _rubric(a=lambda e: float(bool(asked.append(e)))))  # type: ignore[func-returns-value]
    ((reward, info),) = _plays(env, "a")
    assert (reward, info["failure"], asked) == (0.0, failure, [])


def _best(episodes: Sequence[Transcript]) -> list[float]:
    longest = max(len(episode.turns[-1]) for episode in episodes)
    return [float(len(episode.turns[-1]) == longest) for episode in episodes]


_best.sees_group = True  # type: ignore[attr-defined]


def test_a_group_is_scored_by_whoever_plays_it() -> None:
    rubric = _rubric(good=lambda e: 1.0, best={"use": _best, "weight": 0.5})
    env = RubricReward(Scripted((0.0, True, {"success": True})), rubric)
    told = []
    for action in ("short", "much longer"):
        ((reward, info),) = _plays(env, action)
        assert (reward, info["rewards"]) == (1.0, {"good": 1.0})
        messages = [{"role": "user", "content": "What?"}, {"role": "assistant", "content": action}]
        told.append({"messages": messages, "rewards": info["rewards"], "reward": reward, "carry": info["carry"]})
    scores = env.score_group(told)
    assert scores == [
        {"reward": 1.0, "rewards": {"good": 1.0, "best": 0.0}},
        {"reward": 1.5, "rewards": {"good": 1.0, "best": 1.0}},
    ]
    tampered = [{**each, "carry": {**each["carry"], "tamper": ["answers.txt"]}} for each in told]
    assert [score["reward"] for score in env.score_group(tampered)] == [0.0, 0.0]


def test_a_trap_that_was_touched_counts_where_an_episode_is_cut_short_too() -> None:
    paying = Rubric(components=(Component(name="turn", use=lambda e: 1.0, at="turn"),))
    env = RubricReward(Scripted((0.0, False, {}), (0.0, False, {"tamper": ["verdict"]}), (0.0, True, {})), paying)
    (score,) = env.score_group([_cut(env, "a", "b")])
    assert score == {"reward": 0.0, "rewards": {"turn": 2.0, "tamper": 1.0}}


def test_tools_are_known_where_a_group_is_scored() -> None:
    def answered(episodes: Sequence[Transcript]) -> list[float]:
        return [float(bool(episode.answers)) for episode in episodes]

    answered.sees_group = True  # type: ignore[attr-defined]
    env = RubricReward(gymnasium.make(SEARCH), _rubric(answered=answered))
    said = '{"name": "search", "arguments": {"query": "x"}} <answer>Oslo</answer>'
    ((_, info),) = _plays(env, said)
    told = {"messages": [{"role": "assistant", "content": said}], "reward": 0.0, "rewards": {}, "carry": info["carry"]}
    assert [score["reward"] for score in env.score_group([told])] == [0.0]


def _cut(env: RubricReward, *actions: str) -> dict[str, Any]:
    """Play some turns and leave; return the episode as the trainer tells it."""
    played = _plays(env, *actions)
    rewards: dict[str, float] = {}
    for _, info in played:
        for name, value in info["rewards"].items():
            rewards[name] = rewards.get(name, 0.0) + value
    messages = [{"role": "user", "content": "What?"}, *({"role": "assistant", "content": each} for each in actions)]
    reward = sum(reward for reward, _ in played)
    return {
        "messages": messages,
        "reward": reward,
        "rewards": rewards,
        "carry": played[-1][1]["carry"],
        "success": None,
    }


def test_an_episode_that_was_cut_short_is_scored_as_it_stands() -> None:
    seen: list[Transcript] = []
    rubric = Rubric(
        components=(
            Component(name="turn", use=lambda e: 1.0, at="turn", weight=-0.25),
            Component(name="solved", use="success"),
            Component(name="end", use=lambda e: float(bool(seen.append(e))), weight=-1.0),  # type: ignore[func-returns-value]
        )
    )
    env = RubricReward(Scripted((0.0, False, {}), (0.0, True, {"success": True})), rubric)
    whole, cut = _cut(env, "a", "b"), _cut(env, "a")
    seen.clear()
    assert env.score_group([cut, {**whole, "success": True}]) == [
        {"reward": -0.25, "rewards": {"turn": 1.0, "solved": 0.0, "end": 0.0}},
        {"reward": 0.5, "rewards": {"turn": 2.0, "solved": 1.0, "end": 0.0}},
    ]
    assert [(each.success, each.done) for each in seen] == [(False, False)]
    assert env.score_group([whole]) == [{"reward": 0.5, "rewards": whole["rewards"]}]


def test_cutting_an_episode_short_escapes_neither_bounds_nor_penalties() -> None:
    steps = [(-1.0, False, {"rewards": {"fine": -1.0}})] * 9 + [(-1.0, True, {"rewards": {"fine": -1.0}})]
    bounded = Rubric(components=(Component(name="turn", use=lambda e: 1.0, at="turn"),), clip=(0, 1))
    env = RubricReward(Scripted(*steps), bounded)
    assert sum(reward for reward, _ in _plays(env, *"abcdefghij")) == 1.0
    assert [each["reward"] for each in env.score_group([_cut(env, *"abcdefghi")])] == [1.0]
    costly = _rubric(
        own={"use": "environment"},
        fine={"use": "environment_component", "arguments": {"name": "fine"}},
        quick={"use": "latency", "arguments": {"soft_s": 60, "hard_s": 120}, "weight": 0.5},
    )
    env = RubricReward(Scripted(*steps), costly)
    (score,) = env.score_group([_cut(env, *"abcdefghi")])
    assert score == {"reward": -17.5, "rewards": {"own": -9.0, "fine": -9.0, "quick": 1.0}}


def test_one_cut_episode_that_cannot_be_scored_leaves_the_others_a_group() -> None:
    def picky(episode: Transcript) -> float:
        if not episode.done:
            raise ValueError("not finished")
        return 1.0

    rubric = _rubric(good=picky, best={"use": _best, "weight": 0.5})
    env = RubricReward(Scripted((0.0, False, {}), (0.0, True, {"success": True})), rubric)
    whole, longer, cut = _cut(env, "a", "b"), _cut(env, "a", "longer"), _cut(env, "a")
    scores = env.score_group([whole, cut, longer])
    assert [each.get("reward") for each in scores] == [1.0, None, 1.5]
    assert "not finished" in scores[1]["failure"]["message"]


def test_accepted_answers_of_a_group_are_those_of_its_task() -> None:
    def near(episodes: Sequence[Transcript]) -> list[float]:
        return [float(episode.answer in episode.references) for episode in episodes]

    near.sees_group = near.needs_reference = True  # type: ignore[attr-defined]
    env = RubricReward(gymnasium.make(MATH), _rubric(near=near))
    env.reset(seed=7)
    (right,) = env.get_wrapper_attr("references")()
    env.reset(seed=8)  # another task meanwhile
    said = [{"role": "assistant", "content": f"<answer>{answer}</answer>"} for answer in (right, "no")]
    task = {"seed": 7, "split": "train", "level": 1, "carry": {"done": True}}
    told = [{"messages": [message], "rewards": {}, "reward": 0.0, **task} for message in said]
    assert [score["reward"] for score in env.score_group(told)] == [1.0, 0.0]


def test_what_cannot_work_is_refused_when_it_is_made() -> None:
    with pytest.raises(UsageError, match="CartPole-v1 does not speak text"):
        RubricReward(gymnasium.make("CartPole-v1"), _rubric(a=lambda e: 1.0))
    with pytest.raises(UsageError, match="tells none: give its environment a method references"):
        RubricReward(Scripted(), _rubric(a={"use": "exact_match"}))
    arguments = {"soft": 1, "hard": 2, "unit": "tokens", "of": "turns"}
    with pytest.raises(UsageError, match="counts tokens, which an environment does not see"):
        RubricReward(Scripted(), _rubric(a={"use": "length", "arguments": arguments}))
    with pytest.raises(UsageError, match="cannot be read"):
        RubricReward(Scripted(), "nowhere.toml")
