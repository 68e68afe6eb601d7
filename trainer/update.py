"""One training step on finished episodes: log-probabilities, loss, gradient, optimizer.

Only episodes with an advantage are computed where the loss has neither a KL term nor an entropy bonus: the others add
exactly nothing to the gradient, and still count in every normaliser.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING

import torch
from torch import Tensor
from transformers import PreTrainedModel

from agentrl.trainer.batching import MicroBatch, micro_batches
from agentrl.trainer.compiled import CompiledPasses
from agentrl.trainer.config import TrainConfig
from agentrl.trainer.errors import TrainerError
from agentrl.trainer.logprobs import token_logprobs
from agentrl.trainer.loss import drop_overlong, policy_loss, token_weights
from agentrl.trainer.model import Head, forget_activations
from agentrl.trainer.objectives import importance_weights
from agentrl.trainer.optimizer import Optimizer
from agentrl.trainer.prefixes import Costs
from agentrl.trainer.types import Episode

if TYPE_CHECKING:
    from agentrl.trainer.distributed.share import Share

__all__ = ["Updater"]


class Updater:
    """Owns the optimizer; `step` improves the model on a batch of episodes.

    Args:
        model: Trained in place.
        reference: Frozen copy for the KL; needed when `config.loss.beta > 0`.
        config: The run.
        share: Of several ranks, this one's part of the work; None: all of it. Both models are spread over the ranks.
    """

    def __init__(
        self,
        model: PreTrainedModel,
        reference: PreTrainedModel | None,
        config: TrainConfig,
        share: Share | None = None,
    ) -> None:
        self._model, self._reference, self._config = model.eval(), reference, config  # dropout would blur the ratio
        if config.gradient_checkpointing:
            forget_activations(model)
        self._head = Head(model)
        self._costs = Costs.of(model)
        self._compiled = CompiledPasses(model, config.compile if share is None else False)
        self._reference_head = Head(reference) if reference is not None else None
        self._share = share
        if share is not None:  # what was made of the models above was tried on them as a whole
            share.spread(model, reference)
        self.optimizer = Optimizer(model, config.optim)
        self.micro_batch_tokens = config.micro_batch_tokens
        """Halved whenever memory runs out, and left there."""
        self.trouble = ""
        """What was not finite in the update that was skipped last."""

    def step(self, episodes: Sequence[Episode], step: int) -> dict[str, float]:
        """Train on a step's episodes; return metrics.

        An update whose loss or gradient is not finite is skipped and counted (`skipped_updates`): the weights stay as
        they were, and nothing of it is in the other metrics.

        Raises:
            TrainerError: Memory does not suffice for a single episode.
        """
        usable = [episode for episode in episodes if episode.failure is None and any(episode.mask)]
        groups = sorted({episode.group for episode in usable})
        share = -(-len(groups) // self._config.optim.updates_per_step) or 1
        # With several updates the weights have moved when the later episodes are trained on.
        corrects = self._config.loss.correction != "none" and len(groups) > share
        starts = self._logprobs(self._model, self._head, usable) if corrects else None
        sums: dict[str, float] = {}
        for first in range(0, len(groups), share):
            chosen = set(groups[first : first + share])
            part = [episode for episode in usable if episode.group in chosen]
            for name, value in self._update(part, step, fresh=first == 0, starts=starts).items():
                sums[name] = sums.get(name, 0.0) + value
        more = {"learning_rate": self._rate(step), "perf/micro_batch_tokens": float(self.micro_batch_tokens)}
        return _means(sums) | more

    def kl_to_reference(self, episodes: Sequence[Episode]) -> dict[tuple[int, int], Tensor]:
        """Return log-probability as sampled minus that of the reference, by group and member, 0 where not sampled.

        Over samples of the policy its mean is the KL to the reference (k1 of http://joschu.net/blog/kl-approx.html).
        """
        if self._reference is None or self._reference_head is None:
            raise ValueError("there is no reference model; pass one, or set loss.beta to 0")
        usable = [episode for episode in episodes if episode.failure is None and any(episode.mask)]
        found = self._logprobs(self._reference, self._reference_head, usable)
        return {
            (episode.group, episode.member): torch.tensor(episode.logprobs) - found[episode.group, episode.member]
            for episode in usable
        }

    def _logprobs(
        self, model: PreTrainedModel, head: Head, episodes: Sequence[Episode]
    ) -> dict[tuple[int, int], Tensor]:
        """Return the log-probability of each token on the CPU, by group and member; 0 where not sampled."""
        found = {(episode.group, episode.member): torch.zeros(len(episode.token_ids)) for episode in episodes}
        with torch.no_grad():
            for batch in self._batches(episodes, self._config.micro_batch_tokens):
                logprobs_BT, _ = token_logprobs(model, head, batch, self._config.temperature)
                for (group, member, start), row_T in zip(batch.places, logprobs_BT.cpu(), strict=True):
                    room_T = found[group, member][start:]  # a row is padded to the longest of its batch
                    room_T[: len(row_T)] += row_T[: len(room_T)]
        return found if self._share is None else self._share.exchanged(found)

    def _batches(self, episodes: Sequence[Episode], max_tokens: int) -> Iterator[MicroBatch]:
        """Yield the micro-batches that are computed here."""
        if self._share is not None:
            max_tokens = self._share.width(episodes, max_tokens)
        batches = micro_batches(episodes, max_tokens=max_tokens, device=self._model.device, costs=self._costs)
        return batches if self._share is None else self._share.of(batches)

    def _update(
        self, episodes: Sequence[Episode], step: int, *, fresh: bool, starts: Mapping[tuple[int, int], Tensor] | None
    ) -> dict[str, float]:
        config = self._config
        num_tokens = sum(
            sum(episode.mask) for episode in episodes if not (config.loss.drops_overlong and episode.overlong)
        )
        trained = [episode for episode in episodes if episode.teaches or config.loss.trains_all]
        # Agreement with the engine is measured even where nothing is to be learnt.
        trained = trained or list(episodes[: config.group_size])
        counts = {"num_sequences": len(episodes), "num_tokens": num_tokens}
        sums = self._gradient(trained, step, lambda batch: self._loss(batch, **counts, fresh=fresh, starts=starts))
        norm = self.optimizer.clip()
        # A NaN may stop at a clamp on its way back: the gradient alone would not show it.
        what, figure = ("gradient", norm) if math.isfinite(sums["loss_sum"]) else ("loss", sums["loss_sum"])
        if not math.isfinite(figure):
            self.optimizer.forget()
            self.trouble = f"the {what} of step {step} is {figure}"
            return {"skipped_updates": 1.0}
        self.optimizer.step(self._rate(step))
        return sums | {"grad_norm_sum": norm, "num_updates": 1.0}

    def _gradient(
        self,
        episodes: Sequence[Episode],
        step: int,
        loss_of: Callable[[MicroBatch], tuple[Tensor, dict[str, Tensor]]],
    ) -> dict[str, float]:
        """Add up the gradient of some episodes, with smaller micro-batches where memory runs out; return the sums."""
        longest = max(episode.longest for episode in episodes)
        while True:
            self.optimizer.forget()
            sums: dict[str, float] = {}
            try:
                # Transformers forgets activations in training mode only.
                self._model.train(self._config.gradient_checkpointing)
                with self._compiled.layers():
                    for batch in self._batches(episodes, self.micro_batch_tokens):
                        loss, measured = loss_of(batch)
                        loss.backward()  # type: ignore[no-untyped-call]
                        for name, value in measured.items():
                            sums[name] = sums.get(name, 0.0) + float(value)
                return sums if self._share is None else self._share.summed(sums)
            except RuntimeError as error:
                if self._share is not None:  # the other ranks wait in the middle of a pass
                    raise
                if not _is_out_of_memory(error):
                    if not self._compiled.active:
                        raise
                    self._compiled.give_up(error)  # an error of another cause comes again
                    continue
                if self.micro_batch_tokens <= longest:
                    raise TrainerError(
                        f"step {step}: memory does not suffice for an episode of {longest} tokens alone; start again "
                        f"with rollout.max_episode_tokens below {longest}, or with gradient_checkpointing = true"
                    ) from error
            finally:
                self._model.eval()
            # Out of the handler: the error holds on to the tensors of the pass that failed.
            self.micro_batch_tokens = max(longest, min(self.micro_batch_tokens, _width(episodes)) // 2)
            if self._model.device.type == "cuda":
                torch.cuda.empty_cache()

    def _loss(
        self,
        batch: MicroBatch,
        *,
        num_sequences: int,
        num_tokens: int,
        fresh: bool,
        starts: Mapping[tuple[int, int], Tensor] | None,
    ) -> tuple[Tensor, dict[str, Tensor]]:
        config, chosen = self._config, self._config.loss
        logprobs_BT, entropy_BT = token_logprobs(
            self._model,
            self._head,
            batch,
            config.temperature,
            entropy_grad=chosen.entropy_bonus > 0,
            chunk=self._compiled.chunk,
        )
        reference_BT = None
        if self._reference is not None and self._reference_head is not None and chosen.kl_weight > 0:
            with torch.no_grad():
                reference_BT, _ = token_logprobs(self._reference, self._reference_head, batch, config.temperature)
        mask_BT = drop_overlong(batch.mask_BT, batch.overlong_B) if chosen.drops_overlong else batch.mask_BT
        weights_BT = token_weights(
            mask_BT,
            chosen.kind,
            num_sequences=num_sequences,
            num_tokens=num_tokens,
            max_completion=config.rollout.max_episode_tokens,
            sampled_B=batch.sampled_B,
        )
        old_BT, correction_BT = batch.old_logprobs_BT, None
        sums: dict[str, Tensor] = {}
        if chosen.correction != "none":
            old_BT = logprobs_BT.detach() if fresh or starts is None else _padded(batch, starts)
            correction_BT, sums = importance_weights(
                old_BT, batch.old_logprobs_BT, mask_BT, correction=chosen.correction, maximum=chosen.correction_bound
            )
        loss, measured = policy_loss(
            logprobs_BT=logprobs_BT,
            old_logprobs_BT=old_BT,
            ref_logprobs_BT=reference_BT,
            advantages_BT=batch.advantages_BT,
            mask_BT=mask_BT,
            weights_BT=weights_BT,
            config=chosen,
            correction_BT=correction_BT,
            entropy_BT=entropy_BT,
        )
        sums |= measured
        sums |= {
            "entropy_sum": entropy_BT.detach().sum(),
            "sampled_sum": batch.mask_BT.sum(),
            "computed_sum": torch.tensor(batch.computed),
            "length_sum": torch.tensor(batch.num_tokens),
            "loss_sum": loss.detach(),
        }
        if fresh:  # before this step's first update the weights are still those that sampled
            difference_BT = torch.where(batch.mask_BT, (logprobs_BT.detach() - batch.old_logprobs_BT).abs(), 0.0)
            sums |= {"difference_sum": difference_BT.sum(), "difference_tokens": batch.mask_BT.sum()}
        return loss, sums

    def _rate(self, step: int) -> float:
        optim, last = self._config.optim, self._config.num_steps
        if step <= optim.warmup_steps:
            return optim.lr * step / optim.warmup_steps
        done = (step - optim.warmup_steps) / max(1, last - optim.warmup_steps)
        return optim.lr * (1 + (optim.final_lr_share - 1) * done)


def _padded(batch: MicroBatch, values: Mapping[tuple[int, int], Tensor]) -> Tensor:
    padded_BT = torch.zeros_like(batch.old_logprobs_BT)
    for row_T, (group, member, start) in zip(padded_BT, batch.places, strict=True):
        part_T = values[group, member][start : start + len(row_T)]
        row_T[: len(part_T)] = part_T.to(padded_BT.device)
    return padded_BT


def _width(episodes: Sequence[Episode]) -> int:
    """Return how many tokens all episodes are in one micro-batch, padding included."""
    rows = sum(max(1, len(episode.segments)) for episode in episodes)
    return rows * max(episode.longest for episode in episodes)


def _is_out_of_memory(error: RuntimeError) -> bool:
    # The CPU's allocator has no class of its own for it.
    return isinstance(error, torch.OutOfMemoryError) or "can't allocate memory" in str(error)


def _means(sums: dict[str, float]) -> dict[str, float]:
    def per(name: str, count: str) -> float:
        return sums.get(name, 0.0) / max(1.0, sums.get(count, 0.0))

    means = {
        "loss": per("loss_sum", "num_updates"),
        "entropy": per("entropy_sum", "sampled_sum"),
        "clip_ratio/low_mean": per("clip_low_sum", "num_tokens"),
        "clip_ratio/high_mean": per("clip_high_sum", "num_tokens"),
        "clip_ratio/region_mean": per("clip_region_sum", "num_tokens"),
        "sampling/sampling_logp_difference/mean": per("difference_sum", "difference_tokens"),
        "sampling/importance_sampling_ratio/mean": per("ratio_sum", "num_tokens"),
        "perf/computed_share": per("computed_sum", "length_sum"),
        "grad_norm": per("grad_norm_sum", "num_updates"),
        "skipped_updates": sums.get("skipped_updates", 0.0),
    }
    if "kl_sum" in sums:
        means["kl"] = per("kl_sum", "num_tokens")
    if "correction_sum" in sums:  # as in TRL, the ratio is then that between engine and trainer, after its bound
        means["sampling/importance_sampling_ratio/mean"] = per("correction_sum", "num_tokens")
        means["sampling/importance_sampling_ratio/bound_ratio"] = per("correction_bound_sum", "num_tokens")
    return means
