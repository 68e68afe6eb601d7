"""The tokens of a stored episode: whether each was sampled, how likely it was, its advantage, and by which weights.

The page's HTML is made here, from escaped text alone; a tip is an attribute that the style sheet shows as text.
"""

from __future__ import annotations

import html
import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import numpy as np

from agentrl.bench.viewer.files import problem
from agentrl.bench.viewer.runs import Run, number, read_toml
from agentrl.bench.viewer.talk import Talk

__all__ = ["MOST_TOKENS", "Token", "draw_tokens", "read_tokens"]

MOST_TOKENS = 6000  # shown at once
_Value = TypeVar("_Value", float | None, int | None)
_MOST_BYTES = 64 << 20  # of a tokenizer
_RARE = -6.0  # log-probability that is tinted fully


@dataclass(frozen=True, kw_only=True)
class Token:
    """One token of an episode."""

    token_id: int
    text: str
    sampled: bool
    logprob: float | None = None  # the others were read, not sampled
    turn: int | None = None
    advantage: float | None = None
    version: int | None = None


def read_tokens(run: Run, talk: Talk) -> list[Token]:
    """Return the tokens of an episode, none where none are stored; texts are ids where the tokenizer is not here."""
    from agentrl.trainer.pieces import token_texts

    stored = talk.tokens
    if not stored:
        return []
    ids: list[int] = _array(stored["token_ids"], "<i4").tolist()
    bits = np.unpackbits(np.frombuffer(stored["mask"], dtype=np.uint8))[: len(ids)].astype(bool).tolist()
    mask = [*bits, *[False] * (len(ids) - len(bits))]
    logprobs: list[float] = _array(stored["logprobs"], "<f4").astype(float).tolist()
    model = str(read_toml(run, "config.toml").get("model", ""))
    texts = (token_texts(run.path, model, ids) if _may_read(run, model) else None) or [f"[{each}]" for each in ids]
    lengths = talk.turn_lengths
    turns = iter([turn for turn in talk.turn_order for _ in range(min(lengths[turn], len(ids)))])
    found = []
    for place, (token_id, sampled) in enumerate(zip(ids, mask, strict=True)):
        if not sampled:
            found.append(Token(token_id=token_id, text=texts[place], sampled=False))
            continue
        turn = next(turns, None)
        found.append(
            Token(
                token_id=token_id,
                text=texts[place],
                sampled=True,
                logprob=logprobs[place] if place < len(logprobs) else None,
                turn=turn,
                advantage=_at(talk.advantages, turn, number(talk.row.get("advantage"))),
                version=_at(talk.versions, turn, None),
            )
        )
    return found


def draw_tokens(tokens: Sequence[Token]) -> str:
    """Return the HTML of tokens."""
    known = [each.advantage for each in tokens if each.advantage is not None]
    most = max((abs(advantage) for advantage in known if math.isfinite(advantage)), default=0.0)
    return "".join(_span(token, place, most) for place, token in enumerate(tokens[:MOST_TOKENS]))


def _span(token: Token, place: int, most: float) -> str:
    from agentrl.trainer.transcripts import escape, visible

    # A token is shown with its line breaks; a tip stands on one line.
    text = escape(token.text.replace("\n", "⏎\n")) or "∅"
    named = visible(token.text).replace("\n", "⏎").replace("\t", "⇥")
    parts = [f"{place}", f"“{named[:60]}”", f"id {token.token_id}"]
    kinds, style = ["tk"], ""
    if token.sampled:
        kinds.append("s")
        parts.append("sampled")
        if token.logprob is not None:
            parts.append(f"log-probability {token.logprob:.3f} ({math.exp(min(0.0, token.logprob)):.1%})")
            style = f"--p:{80 * (1 - math.exp(min(0.0, token.logprob))):.0f}"
        if token.advantage is not None:
            parts.append(f"advantage {token.advantage:+.3f}")
            if token.advantage and math.isfinite(token.advantage):
                kinds.append("pos" if token.advantage > 0 else "neg")
                style += f";--a:{60 * abs(token.advantage) / most:.0f}"
        parts += [f"turn {token.turn + 1}"] if token.turn is not None else []
        parts += [f"weights {token.version}"] if token.version is not None else []
    else:
        kinds.append("r")
        parts.append("read, not trained on")
    tip = html.escape(" · ".join(parts))
    focus = ' tabindex="0"' if token.sampled else ' tabindex="-1"'
    return f'<span class="{" ".join(kinds)}" style="{style}" data-tip="{tip}"{focus}>{text}</span>'


def _may_read(run: Run, model: str) -> bool:
    """Whether every tokenizer that might be taken lies in the viewer's folders, or comes with AgentRL."""
    places = [*(run.path / "checkpoints").glob("*/tokenizer.json")]
    places += [] if model.startswith("bundled:") or not model else [Path(model) / "tokenizer.json"]
    return not any(each.exists() and (problem(each, run.tops) or each.stat().st_size > _MOST_BYTES) for each in places)


def _array(raw: bytes, kind: str) -> np.ndarray:
    return np.frombuffer(raw[: len(raw) // 4 * 4], dtype=kind)


def _at(values: Sequence[_Value], turn: int | None, otherwise: _Value) -> _Value:
    if turn is not None and turn < len(values):
        return values[turn]
    return otherwise
