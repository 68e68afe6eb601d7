"""A rubric is accepted for what it pays on real episodes, and each way to fail is told with its figures."""

from __future__ import annotations

import dataclasses
from contextlib import closing

import gymnasium
import pytest

from agentrl.envs.errors import InfrastructureError, UsageError
from agentrl.envs.rubrics import Component, Rubric, RubricReward, Transcript, from_toml
from agentrl.envs.rubrics.design import Played, Trial, play_all, try_rubric
from agentrl.envs.spaces import Unicode

Tasks = list[list[Played]]


def component(use: str, weight: float = 1.0, more: str = "") -> str:
    return f'[[component]]\nuse = "{use}"\nweight = {weight}\n{more}\n'


EXACT = component("exact_match")
FORM = component("format_tags", 0.2, 'with = {tags = ["answer"]}')
ENVIRONMENT = component("environment")


def tried(text: str, tasks: Tasks, **given: object) -> Trial:
    return try_rubric(from_toml(text), tasks, **given)  # type: ignore[arg-type]  # by name


def test_everybody_plays_each_task_and_is_seen_as_in_training(math: Tasks) -> None:
    for at, task in enumerate(math):
        assert [each.role for each in task[:2]] == ["oracle", "floor"]
        assert len({each.name for each in task if each.role == "cheat"}) == 29
        assert sum(each.role == "common cheat" for each in task) > 40
        assert {(each.episode.seed, each.episode.done) for each in task} == {(at, True)}
        assert task[0].episode.success
        assert not any(each.episode.success for each in task[1:])
        assert len({each.episode.references for each in task}) == 1
    assert math[0][0].episode.references != math[1][0].episode.references


def test_a_trial_pays_what_training_would(search: Tasks) -> None:
    rubric = from_toml(EXACT + component("num_turns", 0.3, "with = {soft = 1, hard = 9}"))
    trial = try_rubric(rubric, search)
    with closing(gymnasium.make("agentrl.envs:AgentRL/Search-v0", disable_env_checker=True)) as inner:
        env = RubricReward(inner, rubric)
        observation, info = env.reset(seed=1)
        policy = inner.unwrapped.oracle()  # type: ignore[attr-defined]
        total, over = 0.0, False
        while not over:
            observation, reward, terminated, truncated, info = env.step(policy(observation, info))
            total, over = total + float(reward), terminated or truncated
    assert trial.tallies[0].rewards[1] == pytest.approx(total)


@pytest.mark.parametrize("use", ["exact_match", "numeric"])
def test_a_rubric_that_pays_for_the_right_answer_is_accepted(math: Tasks, use: str) -> None:
    trial = tried(component(use), math)
    assert trial.accepted
    assert (trial.tallies[0].mean, trial.tallies[1].mean) == (1.0, 0.0)
    assert {trial.share(each) for each in trial.tallies[2:]} == {0.0}


def test_a_rubric_that_a_cheat_beats_is_rejected_with_its_components(math: Tasks) -> None:
    trial = tried(EXACT + component("format_tags", 1.0, 'with = {tags = ["answer"]}'), math)
    assert not trial.accepted
    assert (
        "the cheat 'every number of the question', which must not pay, earns 1.000, 50% of the way from the floor "
        "(0.000) to the oracle (2.000); at most 10% is allowed. By component: format_tags 1.00 against 0.00."
    ) in trial.reasons
    assert trial.reasons[-1].endswith("more cheats earn too much")


def test_a_gate_keeps_cheats_from_what_form_pays(math: Tasks) -> None:
    assert tried(component("exact_match", 1.0, "gate = 1.0") + FORM, math).accepted


def test_what_is_at_the_floor_is_a_matter_of_the_tolerance(math: Tasks) -> None:
    assert not tried(EXACT + FORM, math).accepted  # a sixth of the way
    assert tried(EXACT + FORM, math, tolerance=0.2).accepted


def test_a_rubric_that_ranks_the_floor_above_the_oracle_is_rejected(math: Tasks) -> None:
    trial = tried(component("length", 1.0, "with = {soft = 0, hard = 40}"), math)
    (reason,) = trial.reasons
    assert reason.startswith("it does not rank the oracle, which solves the task, above the floor")
    assert "By component: length 0." in reason


def test_a_rubric_that_fails_on_one_task_of_several_is_rejected(math: Tasks) -> None:
    right = math[0][0].episode.references[0]
    trial = tried(component("exact_match", 1.0, f'with = {{reference = "{right}"}}'), math)  # of the first task alone
    assert any("on 1 of 2 tasks the oracle earns no more than the floor" in reason for reason in trial.reasons)


def test_a_constant_rubric_teaches_nothing(math: Tasks) -> None:
    (reason,) = tried(component("tools_valid"), math).reasons
    assert reason == "it is constant: everybody earns 1.000, whatever is done, so there is nothing to learn"


@pytest.mark.parametrize(
    "text",
    [component("success"), ENVIRONMENT, ENVIRONMENT + component("num_turns", 0.1, "with = {soft = 6, hard = 20}")],
)
def test_the_environments_own_verdict_is_no_rubric_unless_allowed(tooluse: Tasks, text: str) -> None:
    (reason,) = tried(text, tooluse).reasons
    assert reason.startswith("it leans on the environment's own verdict (")
    assert tried(text, tooluse, allow_success=True).accepted


def test_the_verdict_may_stand_beside_what_sees_by_itself(math: Tasks) -> None:
    assert tried(ENVIRONMENT + EXACT, math).accepted


def test_an_answer_that_was_never_given_can_be_caught_by_a_gate(search: Tasks) -> None:
    """An answer inside a tool call is none; the citation is only of what was read."""
    cited = component("citation", 0.0, "gate = 1.0")
    assert tried(EXACT + cited, search).accepted


def test_a_rubric_that_cannot_score_is_rejected_and_a_dead_judge_is_not_its_fault(math: Tasks) -> None:
    trial = tried(component("environment_component", 1.0, 'with = {name = "nothing"}'), math)
    assert trial.reasons[0].startswith("it cannot score an episode: ")
    assert trial.tallies == ()

    def broken(episode: Transcript) -> float:
        return 1 / 0

    async def judge(episode: Transcript) -> float:
        raise InfrastructureError("the judge is gone", kind="unreachable", boundary="judge")

    (reason,) = try_rubric(Rubric(components=(Component(name="broken", use=broken),)), math).reasons
    assert reason == "it cannot score an episode: component 'broken' raised ZeroDivisionError: division by zero"
    with pytest.raises(InfrastructureError, match="the judge is gone"):
        try_rubric(Rubric(components=(Component(name="judge", use=judge),)), math)


@pytest.mark.parametrize(
    ("weight", "told"),
    [
        ("1e308", "it cannot score an episode: the weighted sum"),
        ("1e12", "it pays more than can be counted: lower its"),
    ],
)
def test_a_reward_beyond_counting_is_no_way_past_the_trial(math: Tasks, weight: str, told: str) -> None:
    """With an infinite reward no share of the way can be told, and no cheat would be seen."""
    (reason,) = tried(EXACT.replace("1.0", weight) + FORM.replace("0.2", weight), math).reasons
    assert reason.startswith(told)


def test_whoever_touched_a_trap_gains_nothing(math: Tasks) -> None:
    caught = dataclasses.replace(math[0][0], episode=dataclasses.replace(math[0][0].episode, tamper=("answers.txt",)))
    trial = tried(EXACT, [[caught, *math[0][1:]]])
    assert trial.tallies[0].rewards == (0.0,)


def test_stored_episodes_are_ordered_within_their_task(math: Tasks) -> None:
    right, wrong = math[0][0].episode, math[0][2].episode
    groups = [[right, wrong, wrong], [dataclasses.replace(right, success=None)]]
    good = tried(EXACT, math, stored=groups)
    assert (good.stored_share, good.num_pairs, good.accepted) == (1.0, 2, True)
    liar = dataclasses.replace(wrong, success=True)
    bad = tried(EXACT, math, stored=[[liar, dataclasses.replace(right, success=False)]] * 12)
    assert (bad.stored_share, bad.num_pairs) == (0.0, 12)
    assert bad.reasons[0].startswith("of 12 pairs of stored episodes")
    apart = tried(EXACT, math, stored=[[right], [wrong]])  # no task has both: any two
    assert (apart.stored_share, apart.num_pairs) == (1.0, 1)


def test_an_environment_without_an_oracle_is_refused() -> None:
    class Bare(gymnasium.Env[str, str]):
        action_space = observation_space = Unicode()

    with closing(Bare()) as env, pytest.raises(UsageError, match="ships no oracle, above which nothing can be ranked"):
        play_all(env, num_tasks=1)
