"""The kind form-checks: checks what is typed into a form."""

from __future__ import annotations

import random

from agentrl.envs.repo.family import Bug, Kind, Params, Steps

__all__ = ["KIND"]

_FIELDS = '''
"""Fields of a form."""

from dataclasses import dataclass, field


@dataclass
class Field:
    """A field with its kind and its rules."""

    name: str
    kind: str = "text"
    is_needed: bool = True
    rules: list = field(default_factory=list)

    def read(self, text):
        """Return the value of what was typed."""
        text = text.strip()
        if self.kind == "whole":
            return int(text)
        if self.kind == "yes":
            if text.lower() not in ("$yes", "$no"):
                raise ValueError("neither $yes nor $no")
            return text.lower() == "$yes"
        return text
'''

_RULES = '''
"""Rules that values have to keep; each returns a message, or None."""


def at_least(least):
    """A number of at least some size."""
    def check(value):
        return None if value >= least else "at least %d" % least
    return check


def length(least, most):
    """A text of some length."""
    def check(value):
        return None if least <= len(value) <= most else "from %d to %d letters" % (least, most)
    return check


def one_of(*values):
    """One of a few texts."""
    def check(value):
        return None if value in values else "one of " + ", ".join(values)
    return check


def mail(value):
    """An address of mail."""
    name, mark, host = value.partition("@")
    if not name or "." not in host or "@" in host or host.startswith(".") or host.endswith("."):
        return "no address"
    return None
'''

_FORM = '''
"""A form of a member."""

from @fields import Field
from @rules import at_least, length, mail, one_of


class $cls:
    """Checks what a new member typed."""

    def __init__(self):
        self.fields = [
            Field("name", rules=[length(2, $most)]),
            Field("age", "whole", rules=[at_least($age)]),
            Field("mail", is_needed=False, rules=[mail]),
            Field("plan", is_needed=False, rules=[one_of("small", "$large")]),
            Field("news", "yes", is_needed=False),
        ]

    def check(self, typed):
        """Return values and messages by field; what is not needed may be left empty."""
        values, messages = {}, {}
        for field in self.fields:
            text = typed.get(field.name, "")
            if not text.strip():
                if field.is_needed:
                    messages[field.name] = "missing"
                continue
            try:
                value = field.read(text)
            except ValueError:
                messages[field.name] = "not understood"
                continue
            for rule in field.rules:
                message = rule(value)
                if message:
                    messages[field.name] = message
                    break
            else:
                values[field.name] = value
        for name in sorted(set(typed) - {field.name for field in self.fields}):
            messages[name] = "unknown"
        return values, messages

    def is_ok(self, typed):
        """Return whether there is nothing to complain about."""
        return not self.check(typed)[1]
'''


def _form(rng: random.Random, params: Params) -> Steps:
    age, most = int(params["age"]), int(params["most"])
    typed = {
        "name": rng.choice(["Ada", " Bo ", "X", "", "y" * most, "z" * (most + 1), "Ida May"]),
        "age": rng.choice([str(age), str(age - 1), " 40", "old", "", "33"]),
        "mail": rng.choice(["a@b.org", "", "ab.org", "a@b@c.org", "a@b", "@b.org", "a@.org", "a@b.", " c@d.e "]),
        "plan": rng.choice(["small", params["large"], "huge", "", "Small"]),
        "news": rng.choice([params["yes"], params["no"].upper(), "maybe", "", params["yes"].title()]),
        "note": "hello",
    }
    for name in rng.sample(sorted(typed), rng.randrange(1, 4)):
        del typed[name]
    return [(f"form:{params['cls']}=", []), (".check", [typed]), (".is_ok", [typed])]


KIND = Kind(
    name="form-checks",
    about="Checks what is typed into a form.",
    modules={"fields": _FIELDS, "rules": _RULES, "form": _FORM},
    case=_form,
    packages=("signup", "members", "intake"),
    choices={
        "cls": ("Form", "Signup"),
        "yes": ("yes", "on"),
        "no": ("no", "off"),
        "most": ("10", "12"),
        "age": ("16", "18"),
        "large": ("large", "full"),
    },
    bugs=(
        Bug(
            name="blank",
            module="fields",
            old="        text = text.strip()\n",
            new="",
            report="Blanks around what somebody typed end up in the values, or spoil them.",
        ),
        Bug(
            name="yes",
            module="fields",
            old='return text.lower() == "$yes"',
            new='return text == "$yes"',
            report="A yes in capital letters is taken for a no.",
        ),
        Bug(
            name="edge",
            module="rules",
            old="if least <= len(value) <= most",
            new="if least <= len(value) < most",
            report="Names that have exactly the longest length are refused.",
        ),
        Bug(
            name="two-marks",
            module="rules",
            old=' or "@" in host or',
            new=" or",
            report="Addresses with two @ are accepted.",
        ),
        Bug(
            name="age",
            module="rules",
            old="if value >= least",
            new="if value > least",
            report="Who is exactly $age years old cannot become a member.",
        ),
        Bug(
            name="unknown",
            module="form",
            old="        for name in sorted(set(typed) - {field.name for field in self.fields}):\n            "
            'messages[name] = "unknown"\n',
            new="",
            report="A field that the form does not have is to get the message `unknown`; now it is ignored.",
            feature=True,
        ),
    ),
)
"""Checks what is typed into a form."""
