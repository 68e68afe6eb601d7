"""Draw an episode: its messages with calls and rewards by turn, its figures, and its tokens."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from nicegui import ui

from agentrl.bench.viewer.parts import badge, box, figure, heading, note, outcome_badge, points, say
from agentrl.bench.viewer.talk import Call, Message, Talk

__all__ = ["draw_facts", "draw_head", "draw_messages", "draw_rewards", "draw_sides", "num_shared"]


def draw_head(talk: Talk) -> None:
    """Put outcome and reward on one line."""
    row = talk.row
    with box("line"):
        outcome_badge(talk.outcome)
        badge(f"reward {figure(row.get('reward'))}")
        turns = row.get("num_turns")
        badge(f"{figure(turns)} turn{'' if turns == 1 else 's'}")
        if row.get("truncated_by") or row.get("truncated"):
            badge(f"cut off by {row['truncated_by']}" if row.get("truncated_by") else "out of turns", "warn")
    for each in talk.trouble:
        note(each)
    if talk.failure is not None:
        kind = " · ".join(str(talk.failure[name]) for name in ("boundary", "kind") if talk.failure.get(name))
        told = talk.failure.get("message", "")
        note(f"This episode failed for a reason outside the agent, and counts for nothing. {kind}\n{told}")


def draw_messages(talk: Talk, *, skip: int = 0) -> None:
    """Put the conversation."""
    with box("talk"):
        for message in talk.messages[skip:]:
            _message(message)
        if talk.left_out:
            note(f"{talk.left_out:,} more messages are left out here", "hint")
        if not talk.messages:
            say("No message was stored.", "muted")


def draw_facts(talk: Talk) -> None:
    """Put reward components and the other columns beside the conversation."""
    with box("panel"):
        say("Reward", "h3")
        with box("pairs num"):
            for name, value in [*talk.rewards.items(), ("reward", talk.row.get("reward"))]:
                say(name)
                say(points(value))
    with box("panel"):
        say("Episode", "h3")
        with box("pairs num"):
            for words, value in _facts(talk.row).items():
                say(words)
                say(value)


def num_shared(talks: Sequence[Talk]) -> int:
    """Return how many messages all begin with, up to the first turn of the model."""
    number = 0
    for message in talks[0].messages:
        alike = all(number < len(talk.messages) and talk.messages[number] == message for talk in talks)
        if not alike or message.role == "assistant":
            break
        number += 1
    return number


def _message(message: Message) -> None:
    with box(f"turn {message.role}"):
        with box("turn-head"):
            words = [message.role if message.role != "other" else "", message.name]
            say(" · ".join(word for word in words if word) or "message", "who")
            facts = [f"turn {message.turn + 1}"] if message.turn is not None else []
            facts += [f"{name} {points(value)}" for name, value in message.components.items() if value]
            for name, value in (("reward", message.reward), ("advantage", message.advantage)):
                facts += [f"{name} {figure(value)}"] if value is not None else []
            facts += [f"weights {message.version}"] if message.version is not None else []
            facts += [f"{message.seconds:.2f} s"] if message.seconds is not None else []
            if facts:
                with box("facts num"):
                    for fact in facts:
                        say(fact)
        if message.role == "system":
            text = "\n".join(piece.text for piece in message.pieces)
            with ui.expansion(f"system prompt, {len(text):,} characters"):
                _pieces(message)
        else:
            _pieces(message)


def _pieces(message: Message) -> None:
    for piece in message.pieces:
        if piece.call is not None:
            _call(piece.call)
        else:
            say(piece.text.strip("\n"), "said")
    if not message.pieces:
        say("(empty)", "said muted")


def _call(call: Call) -> None:
    with box("call"):
        say(call.name, "call-name")
        for name, value in call.arguments:
            with box("arg"):
                say(name)
                say(value)


_COLUMNS = {
    "env_id": "environment",
    "level": "level",
    "split": "split",
    "seed": "seed",
    "task_id": "task",
    "phase": "phase",
    "step": "step",
    "group_id": "group",
    "member": "member",
    "sample": "sample",
    "attempt": "attempt",
    "num_attempts": "attempts",
    "num_tokens": "tokens",
    "prompt_tokens": "tokens read",
    "completion_tokens": "tokens written",
    "seconds": "seconds",
    "advantage": "advantage",
}


def _facts(row: Mapping[str, Any]) -> dict[str, str]:
    found = {name: row[name] for name in _COLUMNS if row.get(name) is not None}
    return {
        _COLUMNS[name]: figure(value) if name in ("seconds", "advantage") else str(value)[:300]
        for name, value in found.items()
    }


def draw_sides(sides: Sequence[tuple[str, Talk | None]]) -> None:
    """Put episodes of one task side by side: once what all begin with, then each its own.

    Args:
        sides: Words and an episode each; None where it was not played.
    """
    there = [talk for _, talk in sides if talk is not None]
    shared = num_shared(there) if len(there) > 1 else 0
    if shared:
        with box("shared"):
            draw_messages(replace(there[0], messages=there[0].messages[:shared], left_out=0))
    with box("sides"):
        for words, talk in sides:
            with box("side"):
                with box("line side-head"):
                    heading(words)
                if talk is None:
                    say("not played", "muted")
                    continue
                draw_head(talk)
                draw_rewards(talk)
                draw_messages(talk, skip=shared)


def draw_rewards(talk: Talk) -> None:
    """Put the reward components on one line."""
    with box("line rewards"):
        for name, value in talk.rewards.items():
            badge(f"{name} {points(value)}")
