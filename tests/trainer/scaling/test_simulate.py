"""Episodes played against costs, beside what one reckons by hand."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agentrl.trainer.scaling.costs import Costs
from agentrl.trainer.scaling.simulate import Flow, simulate
from agentrl.trainer.scaling.workload import Play, Turn, Workload

FLOW = Flow(servers=1, environments=10**6, processors=math.inf, slots=math.inf)
MakeCosts = Callable[..., Costs]


def play(*turns: tuple[int, int, float, float], reset_s: float = 0.0, reset_cpu_s: float = 0.0) -> Play:
    made = tuple(Turn(read=read, sampled=sampled, env_s=env, env_cpu_s=cpu) for read, sampled, env, cpu in turns)
    return Play(reset_s=reset_s, reset_cpu_s=reset_cpu_s, turns=made)


def test_one_episode_takes_the_sum_of_its_parts(make_costs: MakeCosts) -> None:
    costs = make_costs(step_s=0.01, turn_s=0.002, context_s=1e-5, prompt_s=1e-3, begin_s=0.5, clerk_s=0.25)
    one = play((100, 20, 3.0, 0.0), (10, 40, 2.0, 0.0), reset_s=7.0)
    first = 0.5 + 100 * 1e-3 + 20 * (0.012 + 1e-5 * (100 + 10))  # in the middle of the turn
    second = 0.5 + 10 * 1e-3 + 40 * (0.012 + 1e-5 * (130 + 20))
    found = simulate([one], costs, FLOW)
    assert found.seconds == pytest.approx(7 + first + 0.25 + 3 + second + 0.25 + 2)
    assert found.sampled == 60
    assert found.sampling == pytest.approx((first + second) / found.seconds)
    assert found.clerk == pytest.approx(0.5 / found.seconds)


def test_turns_share_the_steps_of_a_server(make_costs: MakeCosts) -> None:
    costs = make_costs(step_s=0.01, turn_s=0.001)
    # The short ones leave, and the long one goes on alone.
    found = simulate([play((0, 10, 0, 0))] * 3 + [play((0, 30, 0, 0))], costs, FLOW)
    assert found.seconds == pytest.approx(10 * (0.01 + 4 * 0.001) + 20 * (0.01 + 0.001))


def test_a_prompt_is_read_once_a_group(make_costs: MakeCosts) -> None:
    costs = make_costs(prompt_s=0.1)
    plays = [play((10, 1, 0, 0), (5, 1, 0, 0))] * 8
    assert simulate(plays, costs, FLOW, group_size=4).seconds == pytest.approx(2 * 1.0 + 8 * 0.5)
    assert simulate(plays, costs, FLOW).seconds == pytest.approx(8 * 1.5)


def test_environments_that_wait_are_waited_for_at_once(make_costs: MakeCosts) -> None:
    plays = [play((0, 1, 2.0, 0.0))] * 12
    assert simulate(plays, make_costs(), FLOW).seconds == pytest.approx(2)
    assert simulate(plays, make_costs(), replace(FLOW, environments=4)).seconds == pytest.approx(6)


def test_environments_that_compute_queue_for_processors(make_costs: MakeCosts) -> None:
    plays = [play((0, 1, 3.0, 1.0))] * 12
    found = simulate(plays, make_costs(), replace(FLOW, processors=3))
    assert found.seconds == pytest.approx(2 + 12 / 3)
    assert found.computing == pytest.approx(12)


def test_the_trainers_process_is_a_limit(make_costs: MakeCosts) -> None:
    plays = [play((0, 1, 1.0, 0.0), (0, 1, 1.0, 0.0))] * 500
    found = simulate(plays, make_costs(clerk_s=0.01), FLOW)
    assert found.seconds == pytest.approx(1000 * 0.01 + 1, rel=0.01)
    assert found.clerk > 0.9


def test_a_server_has_so_many_slots(make_costs: MakeCosts) -> None:
    plays = [play((0, 10, 0, 0))] * 6
    assert simulate(plays, make_costs(step_s=0.1), replace(FLOW, slots=2)).seconds == pytest.approx(3 * 1.0)


def test_the_exact_schedule_waits_for_those_in_their_environments(make_costs: MakeCosts) -> None:
    costs = make_costs(step_s=0.1)
    # One leaves early, and a quarter is waiting: the others stand still until its environment has answered.
    plays = [play((0, 10, 5.0, 0), (0, 10, 0, 0)), *[play((0, 30, 0, 0))] * 3]
    assert simulate(plays, costs, FLOW).seconds == pytest.approx(1 + 5 + 1)
    assert simulate(plays, costs, replace(FLOW, exact=True)).seconds == pytest.approx(1 + 5 + 2)


@settings(max_examples=40, deadline=None)
@given(
    num=st.integers(1, 60),
    servers=st.integers(1, 4),
    environments=st.integers(1, 60),
    processors=st.integers(1, 8),
    slots=st.integers(1, 20),
    exact=st.booleans(),
    seed=st.integers(0, 9),
)
def test_nothing_is_lost_and_no_bound_is_beaten(
    num: int, servers: int, environments: int, processors: int, slots: int, exact: bool, seed: int
) -> None:
    costs = Costs(
        device="none",
        memory_bytes=0,
        step_s=0.01,
        turn_s=0.001,
        context_s=1e-6,
        prompt_s=1e-4,
        begin_s=0.01,
        update_s=0,
        trained_s=0,
    )
    work = Workload.described(
        turns=3, prompt_tokens=50, sampled_tokens=20, reply_tokens=10, env_s=0.3, env_cpu_s=0.1, reset_s=0.2
    )
    plays = work.draw(num, seed=seed)
    flow = Flow(servers=servers, environments=environments, processors=processors, slots=slots, exact=exact)
    found = simulate(plays, costs, flow)
    assert found.sampled == sum(turn.sampled for each in plays for turn in each.turns)
    assert found.computing == pytest.approx(sum(turn.env_cpu_s for each in plays for turn in each.turns))
    alone = [simulate([each], costs, FLOW).seconds for each in plays]
    assert found.seconds >= max(alone) - 1e-6  # the longest by itself
    assert found.seconds >= found.computing / processors - 1e-6
    assert found.seconds <= sum(alone) + 1e-6  # one after the other
    assert 0 < found.sampling <= 1 + 1e-9
