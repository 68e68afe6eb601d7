"""What several tests of the trainer share: a small tokenizer, and models of a few thousand parameters."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

WORDS = ("the archive of Torvel was founded in 1904", "search open answer", '{"name": "search", "arguments": {"k": 1}}')


@pytest.fixture(scope="session")
def tokenizer() -> Any:
    """A tokenizer of 300 tokens with the tiny model's chat template."""
    from agentrl.trainer.tiny import train_tokenizer

    return train_tokenizer(WORDS * 3, vocab_size=300)


@pytest.fixture(scope="session")
def tiny_model(tokenizer: Any) -> Callable[..., Any]:
    """Return a maker of random models: `tiny_model(seed=…, hidden=…, layers=…, scale=…)`."""
    from agentrl.trainer.tiny import make_tiny_model

    def make(*, seed: int = 0, hidden: int = 32, layers: int = 1, scale: float = 1.0) -> Any:
        """Make one; with matrices larger by `scale`, a wrong token is a large difference."""
        made = make_tiny_model(tokenizer, seed=seed, hidden=hidden, layers=layers).eval()
        for parameter in made.parameters():
            if parameter.ndim > 1:
                parameter.data.mul_(scale)
        return made

    return make


@pytest.fixture(scope="session")
def model_folder(tmp_path_factory: pytest.TempPathFactory, tokenizer: Any, tiny_model: Callable[..., Any]) -> Path:
    """A folder that `--model` takes."""
    folder: Path = tmp_path_factory.mktemp("tiny")
    tiny_model().save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder
