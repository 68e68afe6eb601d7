"""Cold start: teach a model the form of an environment before reinforcement learning, as DeepSeek-R1 had one.

A model is fine-tuned on demonstrations. A tiny model made from nothing first practises on random sequences
(`exercises.py`). Everything random comes from the seed, and the command prints a hash of the weights.
"""

from __future__ import annotations

import dataclasses
import hashlib
import itertools
import math
import re
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import torch
from torch.nn import functional
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from agentrl.trainer.chat import Chat
from agentrl.trainer.coldstart_config import ColdstartConfig
from agentrl.trainer.demonstrations import Conversation, played, read_conversations, tokenized
from agentrl.trainer.errors import ConfigError
from agentrl.trainer.exercises import Batch, copying
from agentrl.trainer.model import Head, load_model, load_tokenizer, pick_device
from agentrl.trainer.progress import Progress
from agentrl.trainer.rundir import RunDir
from agentrl.trainer.textualize import Textualized, make_text_env
from agentrl.trainer.tiny import make_tiny_model, train_tokenizer

__all__ = ["coldstart", "weights_hash"]


def coldstart(config: ColdstartConfig, *, progress: Progress | None = None) -> Path:
    """Train, write `<run>/model` (a Hugging Face folder) and `<run>/coldstart.json`; return the model's folder.

    Raises:
        ConfigError: The environment, model or demonstrations do not fit, or the hash is not the one to verify.
        RunFolderError: The run folder cannot be written.
        TrainerError: Infrastructure failed in a demonstration.
    """
    device = pick_device(config.device)
    own = read_conversations(Path(config.demonstrations)) if config.demonstrations else None
    # What cannot work is refused before anything is made.
    if own is None:
        _check_level(config)
    next(_conversations(config, own))
    if config.model != "tiny":
        Chat(load_tokenizer(config.model))
    run = RunDir.create(Path(config.out), config.name, default="coldstart")
    if config.threads:
        torch.set_num_threads(config.threads)
    began = time.monotonic()
    with progress or Progress() as shown:
        if config.num_demonstrations:
            own = list(itertools.islice(_conversations(config, None), config.num_demonstrations))
            shown.note(f"{config.num_demonstrations} demonstrations were played")
        tokenizer, model = _start(config, own, device)
        if config.model == "tiny":
            rng = np.random.default_rng([config.seed, 7])
            random = copying(rng, len(tokenizer))
            _learn(model, random, what="copying", num_steps=config.copy_steps, final=1.0, config=config, shown=shown)
        batches = _ahead(_batches(config, _conversations(config, own), Chat(tokenizer)))
        accuracy = _learn(
            model, batches, what="demonstrations", num_steps=config.num_steps, final=0.1, config=config, shown=shown
        )
    target = run.path / "model"
    model.save_pretrained(target)
    tokenizer.save_pretrained(target)
    digest = weights_hash(model)
    record = {
        "config": dataclasses.asdict(config),
        "weights_sha256": digest,
        "token_accuracy": round(accuracy, 4),
        "parameters": model.num_parameters(),
        "seconds": round(time.monotonic() - began, 1),
        "torch": torch.__version__,
        "threads": torch.get_num_threads(),
    }
    run.write_json("coldstart.json", record)
    if config.verify and config.verify != digest:
        raise ConfigError(
            f"the weights have the hash {digest}, not {config.verify}: another version of torch, CPU or thread count "
            "rounds differently"
        )
    return target


def weights_hash(model: PreTrainedModel) -> str:
    """Return the SHA-256 of names and values of all parameters, whatever the file format."""
    digest = hashlib.sha256()
    for name, value in sorted(model.state_dict().items()):
        digest.update(name.encode())
        digest.update(value.detach().cpu().contiguous().view(torch.uint8).numpy().tobytes())
    return digest.hexdigest()


def _start(
    config: ColdstartConfig, own: list[Conversation] | None, device: torch.device
) -> tuple[PreTrainedTokenizerBase, PreTrainedModel]:
    if config.model != "tiny":
        return load_tokenizer(config.model), load_model(config.model, device=device, dtype="float32")
    sample = itertools.islice(_conversations(dataclasses.replace(config, seed=config.seed + 1), own), 1500)
    tags = re.compile(r"</?(?:tool_call|answer)>")
    texts = (
        piece
        for each in sample
        for message in each.messages
        if message["role"] != "system"
        for piece in tags.split(str(message["content"]))
    )
    tokenizer = train_tokenizer(texts, vocab_size=config.vocab_size)
    return tokenizer, make_tiny_model(tokenizer, seed=config.seed).to(device)


def _check_level(config: ColdstartConfig) -> None:
    env = make_text_env(config.env, config.env_kwargs)
    spoken_for = isinstance(env, Textualized)
    env.close()
    if spoken_for and config.level is not None:
        raise ConfigError(f"level is {config.level}, but {config.env} knows no levels; type --level None")


def _conversations(config: ColdstartConfig, own: list[Conversation] | None) -> Iterator[Conversation]:
    if own is None:
        return played(config.env, config.env_kwargs, level=config.level, seed=config.seed)
    order = np.random.default_rng(config.seed)
    return (own[index] for _ in itertools.count() for index in order.permutation(len(own)))


def _ahead(batches: Iterator[Batch]) -> Iterator[Batch]:
    """Make the next batch in a thread while this one is learnt; the order stays the same."""
    with ThreadPoolExecutor(1) as thread:
        upcoming = thread.submit(next, batches)
        while True:
            batch = upcoming.result()
            upcoming = thread.submit(next, batches)
            yield batch


def _batches(config: ColdstartConfig, conversations: Iterator[Conversation], chat: Chat) -> Iterator[Batch]:
    while True:
        pairs = [tokenized(each, chat) for each in itertools.islice(conversations, config.batch_size)]
        longest = max(len(ids) for ids, _ in pairs)
        if longest > config.max_tokens:
            raise ConfigError(
                f"a conversation has {longest} tokens, more than max_tokens={config.max_tokens}; raise it, or leave "
                "that conversation out"
            )
        yield [ids for ids, _ in pairs], [mask for _, mask in pairs]


def _learn(
    model: PreTrainedModel,
    batches: Iterator[Batch],
    *,
    what: str,
    num_steps: int,
    final: float,
    config: ColdstartConfig,
    shown: Progress,
) -> float:
    """Minimise cross-entropy where masked; return the token accuracy of the last 50 steps.

    The rate rises, then follows a cosine down to the share `final`.
    """
    head = Head(model)
    model.train()
    optimizer = torch.optim.AdamW(model.parameters(), lr=config.lr, betas=(0.9, 0.98), weight_decay=0.01)
    warmup = min(100, num_steps // 10 + 1)
    recent: list[float] = []
    for step in range(num_steps):
        ids, masks = next(batches)
        decay = final + (1 - final) * 0.5 * (1 + math.cos(math.pi * step / num_steps))
        optimizer.param_groups[0]["lr"] = config.lr * min(1.0, (step + 1) / warmup) * decay
        loss, accuracy = _loss(model, head, ids, masks)
        optimizer.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        recent = [*recent[-49:], accuracy]
        if (step + 1) % 50 == 0 or step + 1 == num_steps:
            shown.note(
                f"{what}: step {step + 1} of {num_steps}, loss {float(loss.detach()):.3f}, token accuracy "
                f"{sum(recent) / len(recent):.1%}"
            )
    return sum(recent) / max(1, len(recent))


def _loss(
    model: PreTrainedModel, head: Head, ids: Sequence[list[int]], masks: Sequence[list[bool]]
) -> tuple[torch.Tensor, float]:
    width = max(map(len, ids))
    ids_BT = torch.tensor([row + [0] * (width - len(row)) for row in ids], device=model.device)
    mask_BT = torch.tensor([row + [False] * (width - len(row)) for row in masks], device=model.device)
    hidden_BTH = model.base_model(input_ids=ids_BT, use_cache=False).last_hidden_state
    wanted_BT = mask_BT[:, 1:]
    logits_NV = head(hidden_BTH[:, :-1][wanted_BT])
    target_N = ids_BT[:, 1:][wanted_BT]
    accuracy = float((logits_NV.argmax(-1) == target_N).float().mean())
    return functional.cross_entropy(logits_NV.float(), target_N), accuracy
