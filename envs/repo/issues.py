"""The text of an issue, as a user would file it: what was noticed, what came out and what should have.

What comes out was observed by running the broken sources. Where the cause lies is never said. Wordings belong to one
split each.
"""

from __future__ import annotations

import random
from collections.abc import Sequence

__all__ = ["issue"]

_NAMED = {
    "train": (
        "`{name}` gives a wrong result.",
        "There is a bug in `{name}`.",
        "`{name}` does not do what it should.",
    ),
    "test": ("The result of `{name}` is not right.", "`{name}` is broken.", "I think `{name}` has a defect."),
}
_OPENINGS = {
    "train": (
        "{report} This is what I see:",
        "Since I started to use this I have noticed the following. {report} For example:",
        "{report} It is easy to reproduce:",
    ),
    "test": (
        "We ran into this yesterday. {report} Here is a short session:",
        "{report} The smallest case that I could find:",
        "A colleague reported this. {report} What he did:",
    ),
}
_SECOND = {
    "train": ("There is a second thing. {report}", "Besides, {report}"),
    "test": ("While you are at it: {report}", "Another one that may be related or not: {report}"),
}
_ENDS = {
    "train": ("All else works as before and should stay so.", "Please leave everything else as it is."),
    "test": ("Nothing else seems to be affected.", "The rest is fine, please do not change it."),
}
_UNTESTED = {
    "train": "The tests do not cover this.",
    "test": "All tests pass; none of them looks at this.",
}


def issue(
    rng: random.Random,
    split: str,
    level: int,
    *,
    names: Sequence[str],
    reports: Sequence[str],
    sessions: Sequence[str],
) -> str:
    """Return the text.

    Args:
        rng: Draws the wording.
        split: Which wordings.
        level: 1 names the function and says no more; from 3 on the issue says that no test fails.
        names: What the user called, by bug.
        reports: What was noticed, by bug.
        sessions: A session that shows it, by bug.
    """
    if level == 1:
        return f"{rng.choice(_NAMED[split]).format(name=names[0])}\n\n{_block(sessions[0])}"
    parts = [rng.choice(_OPENINGS[split]).format(report=reports[0]), _block(sessions[0])]
    for report, session in zip(reports[1:], sessions[1:], strict=True):
        parts += [rng.choice(_SECOND[split]).format(report=report), _block(session)]
    last = rng.choice(_ENDS[split])
    parts.append(f"{_UNTESTED[split]} {last}" if level >= 3 else last)
    return "\n\n".join(parts)


def _block(session: str) -> str:
    return f"```\n{session}\n```"
