"""The policy of the workspace. A refusal tells the fact that its rule names."""

from __future__ import annotations

from agentrl.envs.tooluse.case import Rule
from agentrl.envs.tooluse.workspace.base import HOME

__all__ = ["ATTACH_MB", "MANY", "RULES"]

ATTACH_MB = 20
MANY = 5

RULES = (
    Rule(
        key="confidential",
        text=f"A confidential file goes to nobody outside (who has no address at {HOME}): refuse, and tell since which "
        "day it is confidential.",
        level=2,
    ),
    Rule(key="hold", text="A file on hold is not deleted: refuse, and tell the code of its hold.", level=2),
    Rule(
        key="owner",
        text="A file is shared or deleted only for its owner: for the file of another refuse, and tell the owner's "
        "phone number.",
        level=2,
    ),
    Rule(
        key="organiser",
        text="An event is moved or cancelled only for its organiser: for the event of another refuse, and tell the "
        "organiser's phone number.",
        level=2,
    ),
    Rule(
        key="seats",
        text="A room is not booked for more guests than it has seats: refuse, and tell the code of the smallest room "
        "that is free then and has enough.",
        level=2,
    ),
    Rule(key="sealed", text="A mail with the label sealed is not forwarded: refuse, and tell its day.", level=2),
    Rule(
        key="hours",
        text="Events lie between 09:00 and 17:00: else refuse, and tell when the event begins now.",
        level=3,
    ),
    Rule(
        key="lunch",
        text="No event is put on the lunch of a guest, which lasts an hour: refuse, and tell the guest's address and "
        "when the lunch begins.",
        level=3,
    ),
    Rule(
        key="busy",
        text="Nobody is invited to an event while they are at another: refuse, and tell the code of the other.",
        level=3,
    ),
    Rule(key="confirm", text="Before files are deleted, say which and have the user confirm.", level=3),
    Rule(
        key="many",
        text=f"Before a mail goes to more than {MANY} people, say to whom and have the user confirm.",
        level=3,
    ),
    Rule(
        key="attach",
        text=f"A file above {ATTACH_MB} MB is not attached to a mail; share it to view instead, without a mail.",
        level=3,
    ),
)
