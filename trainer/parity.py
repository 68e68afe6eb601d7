"""The parity gate: after each update, do engine and trainer mean the same by a probability?

A probe of fixed prompts, drawn from the run's seed, is sampled by the engine in two turns, just as episodes are (by
each part of it that holds weights of its own), and computed once more by the trainer. Where they differ by more than a
bound the run stops, and the gate looks for the reason by trying what would explain the engine's numbers: the weights of
the last update, another temperature, a cache that older weights have filled, another precision. It is a diagnosis, not
a proof: an explanation is named when it fits.

Legend: R rows (episodes of the probe), N sampled tokens of all rows, V vocabulary.
"""

from __future__ import annotations

import asyncio
import copy
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from transformers import PreTrainedModel

from agentrl.trainer.engines.base import Engine, Probe, Request
from agentrl.trainer.errors import ParityError, PartLost
from agentrl.trainer.model import Head
from agentrl.trainer.spread import compute_dtype, inside, is_sharded

__all__ = ["ParityGate", "default_bound"]

# A prompt fills a block of a prefix cache, which is 32 tokens long in vLLM on a CPU.
_ROWS, _PROMPT, _TURN, _REPLY = 16, 40, 4, 4  # 128 sampled tokens in 8 decoding steps
_UNCHANGED = 0.05  # of the difference: answers that moved by less were made by the weights of the answers before
_TRIES = 10  # where all parts are lost while they are asked
_LIKE = 4.0  # a difference within this factor of rounding's looks like rounding


def default_bound(dtype: torch.dtype) -> float:
    """Return the mean difference that a precision explains, with room: 1e-4 in float32, else 0.1."""
    return 1e-4 if dtype == torch.float32 else 0.1


@dataclass(frozen=True, kw_only=True)
class _Answers:
    """What the engine sampled on a probe."""

    ids: list[list[int]]  # each row whole
    places: list[list[int]]  # where in a row the sampled tokens are
    logprobs_N: Tensor  # the engine's, row after row


class ParityGate:
    """Compares `engine` with `model` after each update.

    Args:
        model: The trainer's, in evaluation mode.
        engine: Samples from a copy of its weights, or from them.
        seed: Decides the prompts and the draws.
        temperature: Of training.
        max_tokens: Of an episode.
        bound: Of the mean difference in nats; none: `default_bound` of the model's precision.
    """

    def __init__(
        self,
        model: PreTrainedModel,
        engine: Engine,
        *,
        seed: int,
        temperature: float,
        max_tokens: int,
        bound: float | None = None,
    ) -> None:
        self._model, self._engine, self._seed, self._temperature = model, engine, seed, temperature
        self._head = Head(model)
        self.bound = default_bound(compute_dtype(model)) if bound is None else bound
        self._prompt = max(1, min(_PROMPT, max_tokens - 2 * _TURN - _REPLY))
        self._two_turns = max_tokens >= 1 + 2 * _TURN + _REPLY
        self._max_tokens = max_tokens
        self._last: dict[str, tuple[int, _Answers]] = {}  # by part

    def check(self, version: int) -> dict[str, float]:
        """Return `sampling/logp_difference`, the mean over the probe in nats, and `sampling/logp_difference_max`.

        Raises:
            ParityError: The mean is above the bound; says what would explain it.
            EngineError: The engine failed.
        """
        asked = self._ask_all()
        owns_N = self._score_each([answers for _, answers in asked])
        means, most = list[float](), 0.0
        for (probe, answers), own_N in zip(asked, owns_N, strict=True):
            apart_N = (answers.logprobs_N - own_N).abs()
            means.append(float(apart_N.mean()))
            most = max(most, float(apart_N.max()))
            if not means[-1] <= self.bound:  # NaN is no agreement either
                raise ParityError(
                    f"after the update to version {version} {probe.name or 'the engine'}'s log-probabilities differ "
                    f"from the trainer's by {means[-1]:.3g} on average and {float(apart_N.max()):.3g} at most over "
                    f"{len(apart_N)} tokens of the probe, more than max_probe_difference={self.bound:g}: "
                    f"{self._explain(answers, means[-1], probe)}"
                )
            self._last[probe.name] = version, answers
        kept, kept_N = asked[0][1], owns_N[0]
        self._engine.keep_proof(lambda probe: self._prove(probe, kept, kept_N, version))
        return {"sampling/logp_difference": max(means), "sampling/logp_difference_max": most}

    # -- both sides ----------------------------------------------------------------------------------------------

    def _ask_all(self) -> list[tuple[Probe, _Answers]]:
        """Ask all parts at once; one that is lost meanwhile is left out."""

        async def ask(probe: Probe) -> _Answers | PartLost:
            try:
                return await self._ask(self._seed, probe)
            except PartLost as error:
                return error

        async def ask_each(probes: Sequence[Probe]) -> list[_Answers | PartLost]:
            return await asyncio.gather(*map(ask, probes))

        lost: list[PartLost] = []
        for _ in range(_TRIES):
            probes = self._engine.probes()
            said = asyncio.run(ask_each(probes))
            lost += [each for each in said if isinstance(each, PartLost)]
            answered = [(part, one) for part, one in zip(probes, said, strict=True) if isinstance(one, _Answers)]
            if answered:
                return answered
        raise lost[-1]

    def _prove(self, probe: Probe, kept: _Answers, own_N: Tensor, version: int) -> None:
        """Ask one part what all were asked; the model may have moved on, so what it said then is compared.

        Tokens that are drawn differently, since sums round otherwise, and those behind them are left out.
        """
        said, at, apart = asyncio.run(self._ask(self._seed, probe)), 0, list[float]()
        for ids, others, places in zip(said.ids, kept.ids, kept.places, strict=True):
            same = next((i for i, (one, other) in enumerate(zip(ids, others, strict=False)) if one != other), len(ids))
            for place in places:
                if place < same:
                    apart.append(abs(float(said.logprobs_N[at]) - float(own_N[at])))
                at += 1
        mean = sum(apart) / max(1, len(apart))
        if not mean <= self.bound or 2 * len(apart) < len(own_N) or len(said.logprobs_N) != len(own_N):
            raise ParityError(
                f"{probe.name} came back and does not answer as version {version} did: of {len(own_N)} tokens of the "
                f"probe {len(apart)} are the same, and their log-probabilities differ by {mean:.3g} on average"
            )

    async def _ask(self, seed: int, probe: Probe) -> _Answers:
        draw = np.random.Generator(np.random.PCG64(np.random.SeedSequence([seed, 0x9A41])))
        vocabulary = self._model.config.get_text_config().vocab_size
        prompts = draw.integers(0, vocabulary, (_ROWS, self._prompt)).tolist()
        replies = draw.integers(0, vocabulary, (_ROWS, _REPLY)).tolist()
        seeds = draw.integers(0, 2**62, (_ROWS, 2)).tolist()

        async def talk(row: int) -> tuple[list[int], list[int], list[float]]:
            session, ids, places, logprobs = sessions[row], list(prompts[row]), list[int](), list[float]()
            for turn in range(1 + self._two_turns):
                completion = await session.generate(
                    Request(
                        prompt_ids=list(ids),
                        max_new_tokens=min(_TURN, self._max_tokens - len(ids)),
                        temperature=self._temperature,
                        seed=seeds[row][turn],
                        stop_ids=frozenset(),
                        order=(row,),
                    )
                )
                places += range(len(ids), len(ids) + len(completion.token_ids))
                logprobs += completion.logprobs
                ids += completion.token_ids + (replies[row] if turn == 0 and self._two_turns else [])
            session.close()
            return ids, places, logprobs

        sessions = [probe.session() for _ in range(_ROWS)]
        try:
            said = await asyncio.gather(*map(talk, range(_ROWS)))
        finally:
            for session in sessions:
                session.close()
        logprobs_N = torch.tensor([each for _, _, logprobs in said for each in logprobs])
        return _Answers(
            ids=[ids for ids, _, _ in said], places=[places for _, places, _ in said], logprobs_N=logprobs_N
        )

    def _score_each(self, asked: Sequence[_Answers]) -> Sequence[Tensor]:
        """Return the trainer's log-probabilities (N,) of what each part sampled, by one pass over all of it."""
        together = _Answers(
            ids=[ids for answers in asked for ids in answers.ids],
            places=[places for answers in asked for places in answers.places],
            logprobs_N=torch.cat([answers.logprobs_N for answers in asked]),
        )
        return torch.split(self._score(together, self._model), [len(answers.logprobs_N) for answers in asked])

    def _score(self, answers: _Answers, model: PreTrainedModel) -> Tensor:
        """Return the model's log-probabilities (N,) of what the engine sampled."""
        return self._pick(answers, self._logits(answers, model), self._temperature)

    @torch.no_grad()
    def _logits(self, answers: _Answers, model: PreTrainedModel) -> Tensor:
        """Return logits (N, V) in float32, on the model's device."""
        head, device = self._head if model is self._model else Head(model), model.device

        def computed() -> Tensor:
            ids = torch.tensor(answers.ids, device=device)
            hidden = model.base_model(input_ids=ids, use_cache=False).last_hidden_state
            found: Tensor = head(hidden[rows, places - 1]).float()
            return found

        rows = torch.tensor([row for row, places in enumerate(answers.places) for _ in places], device=device)
        places = torch.tensor([place for places in answers.places for place in places], device=device)
        return inside(model, computed)

    def _pick(self, answers: _Answers, logits_NV: Tensor, temperature: float) -> Tensor:
        chosen = [ids[place] for ids, places in zip(answers.ids, answers.places, strict=True) for place in places]
        all_NV = torch.log_softmax(logits_NV / temperature, dim=-1)
        return all_NV.gather(1, torch.tensor(chosen, device=logits_NV.device)[:, None])[:, 0].cpu()

    # -- why they differ -----------------------------------------------------------------------------------------

    def _explain(self, answers: _Answers, difference: float, probe: Probe) -> str:
        if is_sharded(self._model):  # a try more would need all ranks, and the others see no difference
            return (
                "the weights are spread over ranks, where no reason is looked for; the same recipe in one process "
                "says more"
            )
        found = (
            self._missed_update(answers, difference, probe)
            or self._other_temperature(answers)
            or self._stale_cache(probe)
            or self._other_precision(answers, difference)
        )
        return found or (
            "none of a missed update, another temperature, a stale prefix cache and another precision explains it; the "
            "engine has other weights, or only some of them (look at tied and renamed ones first)"
        )

    def _missed_update(self, answers: _Answers, difference: float, probe: Probe) -> str:
        version, last = self._last.get(probe.name, (0, None))
        if last is None or last.ids != answers.ids:
            return ""
        if float((last.logprobs_N - answers.logprobs_N).abs().mean()) > _UNCHANGED * difference:
            return ""
        return (
            f"stale weights: the engine answers as it did with the weights of version {version}, so the update did "
            "not reach it"
        )

    def _other_temperature(self, answers: _Answers) -> str:
        logits_NV = self._logits(answers, self._model)

        def apart(temperature: float) -> float:
            return float((self._pick(answers, logits_NV, temperature) - answers.logprobs_N).abs().mean())

        grid = [float(each) for each in np.geomspace(0.05, 20, 61)]
        for _ in range(3):  # finer around the best
            best = min(grid, key=apart)
            grid = [float(each) for each in np.geomspace(best / 1.1, best * 1.1, 21)]
            grid.append(round(best, 1) or best)  # what people write
        best = min(grid, key=apart)
        if apart(best) > max(self.bound, 0.1 * apart(self._temperature)) or abs(best / self._temperature - 1) < 0.01:
            return ""
        return (
            f"wrong temperature: the engine's numbers are those of temperature {best:.3g} (to {apart(best):.2g}), and "
            f"training is at {self._temperature:g}; an engine must report processed log-probabilities"
        )

    def _stale_cache(self, probe: Probe) -> str:
        fresh = asyncio.run(self._ask(self._seed + 1, probe))
        apart = float((fresh.logprobs_N - self._score(fresh, self._model)).abs().mean())
        if not apart <= self.bound:
            return ""
        return (
            f"stale prefix cache: on prompts that the engine had not seen it agrees to {apart:.2g}, so for those it "
            "has seen it reuses what older weights computed; its cache must be emptied with every update"
        )

    def _other_precision(self, answers: _Answers, difference: float) -> str:
        own_N = self._score(answers, self._model)
        for dtype in (torch.float32, torch.bfloat16, torch.float16):
            if dtype == self._model.dtype:
                continue
            other_N = self._score(answers, copy.deepcopy(self._model).to(dtype=dtype))
            rounding = float((own_N - other_N).abs().mean())
            exact = dtype == torch.float32 and float((other_N - answers.logprobs_N).abs().mean()) < 1e-3
            if exact or rounding / _LIKE <= difference <= rounding * _LIKE:
                name = str(dtype).removeprefix("torch.")
                own = str(self._model.dtype).removeprefix("torch.")
                return (
                    f"another precision: the difference is that of {name} (the trainer's own model in it differs by "
                    f"{rounding:.2g}), and the trainer works in {own}; set dtype to what the engine runs in"
                )
        return ""
