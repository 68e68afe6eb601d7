"""The text of single tokens, for people who look at an episode: read from the run's own tokenizer, without torch.

A token may hold a part of a character only; it is then shown as U+FFFD, and its neighbours hold the rest.
"""

from __future__ import annotations

import functools
from collections.abc import Iterable, Iterator
from importlib import resources
from pathlib import Path
from typing import Any

__all__ = ["token_texts"]

_FILE = "tokenizer.json"
_WORD = "▁"  # begins a word in vocabularies of SentencePiece; alone, such a token loses its blank


def token_texts(run: Path, model: str, token_ids: Iterable[int]) -> list[str] | None:
    """Return the text of each token.

    Args:
        run: A run's folder; the tokenizer beside its newest checkpoint is taken.
        model: The model of its configuration, a folder or "bundled:NAME", for a run without a checkpoint.
        token_ids: Of an episode.

    Returns:
        A text for each, empty for an unknown one; None where no tokenizer is on this disk.
    """
    for path in _places(run, model):
        tokenizer = _load(path, path.stat().st_mtime_ns) if path.is_file() else None
        if tokenizer is not None:
            known: dict[int, str] = {}
            return [known.setdefault(each, _text(tokenizer, each)) for each in token_ids]
    return None


def _places(run: Path, model: str) -> Iterator[Path]:
    yield from sorted((run / "checkpoints").glob(f"*/{_FILE}"), reverse=True)[:3]
    kind, _, name = model.partition(":")
    if kind == "bundled" and name and Path(name).name == name:
        yield Path(str(resources.files("agentrl.trainer") / "bundled" / name / _FILE))
    elif model:
        yield Path(model) / _FILE


@functools.lru_cache(maxsize=4)
def _load(path: Path, _changed: int) -> Any:
    """Return a tokenizer, None where the library or a readable file is missing."""
    try:
        from tokenizers import Tokenizer

        return Tokenizer.from_file(str(path))
    except Exception:  # the library raises this very class for whatever a file lacks
        return None


def _text(tokenizer: Any, token_id: int) -> str:
    if not 0 <= token_id < 1 << 31 or (piece := tokenizer.id_to_token(token_id)) is None:
        return ""
    text = str(tokenizer.decode([token_id], skip_special_tokens=False))
    return f" {text}" if piece.startswith(_WORD) and not text.startswith(" ") else text
