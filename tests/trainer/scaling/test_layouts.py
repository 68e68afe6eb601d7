"""Layouts: what a step is short of is found where it was planted, and what does not fit is not offered."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest

from agentrl.trainer.errors import ConfigError
from agentrl.trainer.scaling.costs import Costs, Size, find_device
from agentrl.trainer.scaling.layouts import Cluster, Layout, Part, ScalingModel, Step
from agentrl.trainer.scaling.workload import Workload

MakeCosts = Callable[..., Costs]
STEP = Step(
    groups=16, group_size=8, micro_batch_tokens=4096, max_episode_tokens=4096, keeps_activations=True, exact=False
)
CLUSTER = Cluster(devices=8, per_host=8, processors=16, inside=100e9, network=100e9)


def work(env_s: float = 0.1, env_cpu_s: float = 0.01) -> Workload:
    return Workload.described(
        turns=3, prompt_tokens=300, sampled_tokens=100, reply_tokens=50, env_s=env_s, env_cpu_s=env_cpu_s
    )


@pytest.mark.parametrize(
    ("part", "work_of", "costs_of", "cluster"),
    [
        ("sampling", {}, {"step_s": 0.1}, {}),
        ("environments", {"env_s": 60.0}, {}, {}),
        ("processors", {"env_s": 10.0, "env_cpu_s": 9.9}, {}, {"processors": 2.0}),
        ("training", {}, {"trained_s": 0.01}, {}),
        ("weights", {}, {}, {"inside": 1e8}),
    ],
)
def test_a_planted_bottleneck_is_found(
    part: Part,
    work_of: dict[str, float],
    costs_of: dict[str, float],
    cluster: dict[str, float],
    size: Size,
    make_costs: MakeCosts,
) -> None:
    costs = make_costs(**{"step_s": 0.001, "turn_s": 1e-5, "trained_s": 1e-5, **costs_of})
    model = ScalingModel(
        workload=work(**work_of),
        costs={1: costs},
        size=size,
        step=STEP,
        cluster=replace(CLUSTER, **cluster),  # type: ignore[arg-type]
    )
    found = model.predict(Layout(trainers=4, servers=4, tensor_parallel=1, environments=128))
    gains = model.gains(found)
    assert max(gains, key=gains.__getitem__) == part
    assert gains[part] > 0.3
    assert all(-0.05 < gain < 0.55 for gain in gains.values())


def test_devices_go_where_the_work_is(size: Size, make_costs: MakeCosts) -> None:
    def servers(**costs: float) -> int:
        made = make_costs(**costs)
        model = ScalingModel(workload=work(), costs={1: made}, size=size, step=STEP, cluster=CLUSTER, together=False)
        return model.best()[0].layout.servers

    assert servers(turn_s=0.01, trained_s=1e-6) == 7
    assert servers(turn_s=1e-6, trained_s=0.01) <= 2  # passes are shared out in whole ones
    assert 1 < servers(turn_s=0.0006, trained_s=0.001) < 7


def test_running_ahead_hides_the_shorter_part(size: Size, make_costs: MakeCosts) -> None:
    costs = make_costs(turn_s=0.001, trained_s=1e-4)
    model = ScalingModel(workload=work(), costs={1: costs}, size=size, step=STEP, cluster=CLUSTER)
    layout = Layout(trainers=4, servers=4, tensor_parallel=1, environments=128)
    in_turn, ahead = model.predict(layout), model.predict(replace(layout, asynchronous=True))
    assert in_turn.step_s == pytest.approx(in_turn.rollout.seconds + in_turn.update_s + in_turn.push_s)
    assert ahead.step_s == pytest.approx(max(in_turn.rollout.seconds, in_turn.update_s) + in_turn.push_s)
    assert not any(each.layout.asynchronous for each in model.best())
    free = replace(model, step=replace(STEP, may_run_ahead=True), together=False)
    assert free.best()[0].layout.asynchronous


def test_no_more_is_used_than_does_as_well(size: Size, make_costs: MakeCosts) -> None:
    # One processor is the limit, so that one device and one episode at once are as good as more of them.
    model = ScalingModel(
        workload=work(env_s=1.0, env_cpu_s=1.0),
        costs={1: make_costs(step_s=1e-5)},
        size=size,
        step=STEP,
        cluster=replace(CLUSTER, processors=1),
    )
    best, *others = model.best()
    assert (best.layout.devices, best.layout.environments) == (1, 1)
    assert {each.layout.devices for each in others} == {2, 4, 8}
    assert all(best.step_s <= 1.03 * each.step_s for each in others)


def test_several_ranks_share_groups(size: Size, make_costs: MakeCosts) -> None:
    costs = make_costs(turn_s=0.001)
    alike = Workload.described(turns=1, prompt_tokens=1, sampled_tokens=100, spread=0)
    model = ScalingModel(workload=alike, costs={1: costs}, size=size, step=STEP, cluster=CLUSTER)
    one = model.predict(Layout(trainers=1, servers=0, tensor_parallel=1, environments=128))
    four = model.predict(Layout(trainers=4, servers=0, tensor_parallel=1, environments=128))
    assert one.rollout.seconds == pytest.approx(4 * four.rollout.seconds)
    assert one.rollout.sampled == four.rollout.sampled


def test_what_does_not_fit_is_not_offered() -> None:
    size = Size(parameters=32 * 10**9, weight_bytes=64 * 10**9, kv_bytes=262_144, hidden=5120, layers=64)
    device = find_device("H100")
    costs = {width: Costs.of(device, size, tensor_parallel=width) for width in (1, 2, 4)}
    step = replace(STEP, keeps_activations=False)
    model = ScalingModel(workload=work(), costs=costs, size=size, step=step, cluster=replace(CLUSTER, devices=32))
    found = model.best()
    assert found
    for each in found:  # 16 bytes a weight, 72 GB of a device
        assert each.layout.trainers >= 8
    with pytest.raises(ConfigError, match="does not fit: to train it takes 1"):
        replace(model, cluster=replace(CLUSTER, devices=4)).best()


def test_costs_of_one_device_are_needed(size: Size, make_costs: MakeCosts) -> None:
    with pytest.raises(ConfigError, match="give those of 1"):
        ScalingModel(workload=work(), costs={2: make_costs()}, size=size, step=STEP, cluster=CLUSTER)


def test_ranks_share_the_processors(size: Size, make_costs: MakeCosts) -> None:
    model = ScalingModel(
        workload=work(env_s=0.1, env_cpu_s=0.1),
        costs={1: make_costs(step_s=1e-6)},
        size=size,
        step=STEP,
        cluster=replace(CLUSTER, processors=1.5),
    )
    for trainers in (1, 8):
        found = model.predict(Layout(trainers=trainers, servers=0, tensor_parallel=1, environments=128))
        assert found.rollout.seconds == pytest.approx(128 * 3 * 0.1 / 1.5, rel=0.02)
        assert found.processors == pytest.approx(1.5, rel=0.02)


def test_first_passes_are_the_torch_engines(size: Size, make_costs: MakeCosts) -> None:
    def seconds(begin_s: float, servers: int) -> float:
        costs = make_costs(step_s=0.01, begin_s=begin_s)
        model = ScalingModel(workload=work(), costs={1: costs}, size=size, step=STEP, cluster=CLUSTER)
        layout = Layout(trainers=4, servers=servers, tensor_parallel=1, environments=128)
        return model.predict(layout).rollout.seconds

    assert seconds(1.0, servers=4) == seconds(0.0, servers=4)
    assert seconds(1.0, servers=0) > seconds(0.0, servers=0) + 1.0
