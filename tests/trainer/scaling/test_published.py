"""The model from data sheets beside what others have measured on many GPUs.

Source: NeMo RL's performance summary, GRPO on OpenMathInstruct-2 with DGX H100s, on policy and in the same GPUs
(https://github.com/NVIDIA-NeMo/RL/blob/main/docs/about/performance-summary.md, versions 0.4 and 0.5). Their lengths
are means, so that a spread was assumed; their training is Megatron's, in one case PyTorch's. A step there computes the
log-probabilities of the old policy too: a third of a training pass.
"""

from __future__ import annotations

from dataclasses import dataclass

import pytest

from agentrl.trainer.scaling.costs import Costs, Size, find_device
from agentrl.trainer.scaling.layouts import Cluster, Layout, ScalingModel, Step
from agentrl.trainer.scaling.workload import Workload

SIZES = {
    "Llama 3.1 8B": Size(
        parameters=8_030_261_248, weight_bytes=16_060_522_496, kv_bytes=131_072, hidden=4096, layers=32
    ),
    "Llama 3.1 70B": Size(
        parameters=70_553_706_496, weight_bytes=141_107_412_992, kv_bytes=327_680, hidden=8192, layers=80
    ),
    "Qwen3 32B": Size(parameters=32_762_123_264, weight_bytes=65_524_246_528, kv_bytes=262_144, hidden=5120, layers=64),
}
PROMPT = 120  # tokens of a problem and the instruction around it
SPREAD = 0.7


@dataclass(frozen=True, kw_only=True)
class Published:
    """A row of the table."""

    model: str
    devices: int
    episodes: int
    tokens: int  # of an episode, on average
    limit: int
    tensor_parallel: int  # of generation
    seconds: float  # a step

    def foretold(self) -> float:
        """Return what the model says."""
        size, device = SIZES[self.model], find_device("H100")
        model = ScalingModel(
            workload=Workload.described(
                turns=1,
                prompt_tokens=PROMPT,
                sampled_tokens=self.tokens - PROMPT,
                spread=SPREAD,
                max_tokens=self.limit,
            ),
            costs={width: Costs.of(device, size, tensor_parallel=width) for width in {1, self.tensor_parallel}},
            size=size,
            step=Step(
                groups=self.episodes // 32,
                group_size=32,
                micro_batch_tokens=16_384,
                max_episode_tokens=self.limit,
                keeps_activations=False,
                exact=False,
                passes=4 / 3,
            ),
            cluster=Cluster(  # 400 gigabits a second for each GPU
                devices=self.devices, per_host=8, processors=1e9, inside=300e9, network=50e9
            ),
        )
        samples = model.predict(
            Layout(
                trainers=1,
                servers=self.devices // self.tensor_parallel,
                tensor_parallel=self.tensor_parallel,
                environments=self.episodes,
            )
        )
        trains = model.predict(Layout(trainers=self.devices, servers=0, tensor_parallel=1, environments=self.episodes))
        return samples.rollout.seconds + trains.update_s + trains.push_s


ROWS = [
    Published(
        model="Llama 3.1 8B",
        devices=16,
        episodes=2048,
        tokens=1060,
        limit=4096,
        tensor_parallel=1,
        seconds=97.7,
    ),
    Published(
        model="Llama 3.1 8B",
        devices=16,
        episodes=2048,
        tokens=1019,
        limit=4096,
        tensor_parallel=1,
        seconds=92.8,
    ),
    Published(
        model="Llama 3.1 70B",
        devices=32,
        episodes=512,
        tokens=675,
        limit=4096,
        tensor_parallel=8,
        seconds=106,
    ),
    Published(
        model="Qwen3 32B",
        devices=32,
        episodes=2048,
        tokens=3206,
        limit=4096,
        tensor_parallel=4,
        seconds=393,
    ),
]


@pytest.mark.parametrize("row", ROWS, ids=lambda row: f"{row.model} {row.tokens} tokens")
def test_a_step_that_others_measured_is_foretold_within_a_factor_of_two(row: Published) -> None:
    assert 0.5 < row.foretold() / row.seconds < 2
