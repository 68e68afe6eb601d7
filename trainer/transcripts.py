"""Episodes before and after training as HTML: the same tasks side by side, turns in the colours of their roles.

All text of an episode comes from a model or an environment and may be hostile: it is escaped, and characters that are
invisible or change the direction of writing are shown as their escapes.
"""

from __future__ import annotations

import html
import json
import unicodedata
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from agentrl.trainer.scales import format_value
from agentrl.trainer.types import Episode

__all__ = ["Pair", "draw_pairs", "escape", "pick_pairs", "visible"]

NUM_TASKS = 8  # tasks whose episodes are shown
MAX_CHARS = 6000  # of one message; head and tail are kept

Pair = tuple[Episode | None, Episode | None]
"""The episodes of one task before and after training; None where it was not played."""


def escape(text: object) -> str:
    r"""Return text that is inert in HTML, in elements and attributes alike, and shows every character it holds.

    >>> escape("<b>" + chr(0x202E))
    '&lt;b&gt;<span class="ctl">\\u202e</span>'
    """
    shown = (f'<span class="ctl">{_code(char)}</span>' if _hidden(char) else html.escape(char) for char in str(text))
    return "".join(shown)


def visible(text: object) -> str:
    """Return text with invisible characters as their escapes, not yet escaped for HTML."""
    return "".join(_code(char) if _hidden(char) else char for char in str(text))


def pick_pairs(before: Iterable[Episode], after: Iterable[Episode]) -> list[Pair]:
    """Pick tasks to show: mostly newly solved ones, and of every other outcome some, so that no failure is hidden."""
    befores, afters = _by_task(before), _by_task(after)
    pairs: list[Pair] = [(befores.get(task), afters.get(task)) for task in dict.fromkeys([*befores, *afters])]
    whole = [pair for pair in pairs if None not in pair] or pairs
    kinds: dict[tuple[bool | None, ...], list[Pair]] = {}
    for pair in whole:
        kinds.setdefault(tuple(episode.success if episode else None for episode in pair), []).append(pair)
    gained = kinds.pop((False, True), [])
    others = [pair for rank in range(NUM_TASKS) for kind in kinds.values() for pair in kind[rank : rank + 1]]
    num_gained = max(NUM_TASKS - len(others), NUM_TASKS * 5 // 8)
    return (gained[:num_gained] + others)[:NUM_TASKS]


def draw_pairs(pairs: Sequence[Pair]) -> Iterator[str]:
    """Yield a `<details>` element for each task: the shared question, then both episodes side by side."""
    for number, (before, after) in enumerate(pairs):
        one = before or after
        if one is None:
            continue
        shared = _num_shared([episode.messages for episode in (before, after) if episode is not None])
        about = f'<span class="muted">{escape(f"{one.split}, level {one.level}")}</span>'
        head = f"<code>{escape(one.task_id)}</code>{about}{_badge(before, 'before: ')}→{_badge(after, 'after: ')}"
        turns = "".join(map(_turn, one.messages[:shared]))
        sides = "".join(_side(when, each, shared) for when, each in (("Before", before), ("After", after)))
        yield (
            f'<details class="task"{" open" if number == 0 else ""}><summary>{head}</summary>'
            f'<div>{turns}<div class="sides">{sides}</div></div></details>'
        )


def _hidden(char: str) -> bool:
    """Control, format (bidi marks, zero width, tags), surrogate, unassigned, line and paragraph separators."""
    return char not in "\n\t" and unicodedata.category(char) in ("Cc", "Cf", "Cs", "Cn", "Zl", "Zp")


def _code(char: str) -> str:
    number = ord(char)
    return f"\\x{number:02x}" if number < 256 else f"\\u{number:04x}" if number < 65536 else f"\\U{number:08x}"


def _by_task(episodes: Iterable[Episode]) -> dict[tuple[object, ...], Episode]:
    found: dict[tuple[object, ...], Episode] = {}
    for one in episodes:
        found.setdefault((one.env_id, one.split, one.level, one.seed, one.task_id), one)
    return found


def _num_shared(told: Sequence[Sequence[Mapping[str, Any]]]) -> int:
    """How many messages all begin with alike, up to the first turn of the model."""
    number = 0
    for message in told[0]:
        alike = all(len(messages) > number and messages[number] == message for messages in told)
        if not alike or message.get("role") == "assistant":
            break
        number += 1
    return number


def _side(when: str, episode: Episode | None, skip: int) -> str:
    if episode is None:
        return f'<div class="side"><h3>{when}</h3><p class="muted">not played</p></div>'
    chips = [f"reward {format_value(episode.reward)}"]
    chips += [f"{name} {format_value(value)}" for name, value in episode.rewards.items()]
    plural = "" if episode.num_turns == 1 else "s"
    chips += [f"{episode.num_turns} turn{plural}", f"{sum(episode.mask)} tokens sampled"]
    if episode.truncated_by:
        chips.append(f"cut by {episode.truncated_by}")
    if episode.failure is not None:
        chips.append(f"failure: {episode.failure.get('kind')}, {episode.failure.get('message')}")
    shown = "".join(f'<span class="badge plain">{escape(chip)}</span>' for chip in chips)
    turns = "".join(map(_turn, episode.messages[skip:]))
    return f'<div class="side"><h3>{when}{_badge(episode)}</h3><div class="chips">{shown}</div>{turns}</div>'


def _badge(episode: Episode | None, words: str = "") -> str:
    if episode is None or episode.success is None:
        return f'<span class="badge plain">{words}unknown</span>'
    kind, outcome = ("good", "solved") if episode.success else ("bad", "not solved")
    return f'<span class="badge {kind}">{words}{outcome}</span>'


def _turn(message: Mapping[str, Any]) -> str:
    role = str(message.get("role", ""))
    known = role if role in ("system", "user", "assistant", "tool") else "other"
    label = escape(" · ".join(str(part) for part in (role, message.get("name")) if part))
    content = message.get("content")
    texts = [] if content is None else [content if isinstance(content, str) else json.dumps(content)]
    if message.get("tool_calls"):
        texts.append(json.dumps(message["tool_calls"]))
    body = f"<pre>{escape(_capped(chr(10).join(texts)))}</pre>"
    if role == "system":
        return f'<div class="turn {known}"><details><summary>{label}</summary>{body}</details></div>'
    return f'<div class="turn {known}"><b>{label}</b>{body}</div>'


def _capped(text: str) -> str:
    cut, half = len(text) - MAX_CHARS, MAX_CHARS // 2
    return text if cut <= 0 else f"{text[:half]}\n[… {cut} characters left out here …]\n{text[-half:]}"
