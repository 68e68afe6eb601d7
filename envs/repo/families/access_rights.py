"""The kind access-rights: who may do what."""

from __future__ import annotations

import random

from agentrl.envs.repo.family import Bug, Kind, Params, Steps

__all__ = ["KIND"]

_ROLES = '''
"""Roles, which may stand for others."""


class Roles:
    """Who has which role; a role may bring others along."""

    def __init__(self):
        self.brings = {}
        self.members = {}

    def define(self, role, *others):
        """Let a role bring others along."""
        self.brings.setdefault(role, []).extend(others)

    def give(self, user, role):
        """Give a user a role."""
        self.members.setdefault(user, []).append(role)

    def of(self, user):
        """Return all roles of a user, those that come along too."""
        found = []
        waiting = list(self.members.get(user, []))
        while waiting:
            role = waiting.pop(0)
            if role not in found:
                found.append(role)
                waiting.extend(self.brings.get(role, []))
        return sorted(found)
'''

_POLICIES = '''
"""Policies: what a role may do with what."""


def covers(pattern, path):
    """Return whether a pattern stands for a path: itself, or all below it where it ends with /*."""
    if pattern.endswith("/*"):
        return path.startswith(pattern[:-1])
    return pattern == path


class Policy:
    """Allows, or forbids, a role some actions below a path."""

    def __init__(self, role, actions, pattern, is_allowed=True):
        self.role = role
        self.actions = actions.split("|")
        self.pattern = pattern
        self.is_allowed = is_allowed

    def applies(self, roles, action, path):
        """Return whether the policy says something."""
        return self.role in roles and (action in self.actions or "any" in self.actions) and covers(self.pattern, path)
'''

_ACCESS = '''
"""Who may do what."""

from @policies import Policy
from @roles import Roles


class $cls:
    """Roles and policies: what is forbidden once stays so, what nobody allowed is forbidden."""

    def __init__(self):
        self.roles = Roles()
        self.policies = []

    def role(self, name, others=()):
        """Define a role."""
        self.roles.define(name, *others)

    def member(self, user, role):
        """Give a user a role."""
        self.roles.give(user, role)

    def allow(self, role, actions, pattern):
        """Allow actions, separated by bars."""
        self.policies.append(Policy(role, actions, pattern))

    def forbid(self, role, actions, pattern):
        """Forbid actions."""
        self.policies.append(Policy(role, actions, pattern, False))

    def may(self, user, action, path):
        """Return whether a user may do something."""
        roles = self.roles.of(user) + ["$everybody"]
        said = [policy.is_allowed for policy in self.policies if policy.applies(roles, action, path)]
        return bool(said) and all(said)

    def who(self, action, path):
        """Return the members who may do something."""
        return [user for user in sorted(self.roles.members) if self.may(user, action, path)]
'''


def _access(rng: random.Random, params: Params) -> Steps:
    steps: Steps = [(f"access:{params['cls']}=", [])]
    if rng.random() < 0.7:
        steps.append((".role", ["chief", ["editor", "auditor"]]))
        steps.append((".role", ["editor", ["reader"]]))
    if rng.random() < 0.3:
        steps.append((".role", ["reader", ["chief"]]))
    for user in ("ada", "bo"):
        steps.append((".member", [user, rng.choice(["chief", "editor", "reader", "auditor"])]))
    roles = ["editor", "reader", "auditor", "chief", params["everybody"]]
    paths = ["/docs/*", "/docs/a", "/docs", "/logs/*", "/docs/in/*"]
    for _ in range(rng.randrange(2, 5)):
        args = [rng.choice(roles), rng.choice(["read", "read|write", "any", "write"]), rng.choice(paths)]
        steps.append((rng.choice([".allow", ".allow", ".allow", ".forbid"]), args))
    tried = ["/docs/a", "/docs", "/docs/in/b", "/logs/x", "/docsearch"]
    for _ in range(3):
        steps.append(
            (".may", [rng.choice(["ada", "bo", "cy"]), rng.choice(["read", "write", "drop"]), rng.choice(tried)])
        )
    return [*steps, (".who", ["read", rng.choice(tried)])]


KIND = Kind(
    name="access-rights",
    about="Who may do what.",
    modules={"roles": _ROLES, "policies": _POLICIES, "access": _ACCESS},
    case=_access,
    packages=("gatekeeper", "rights", "permits"),
    choices={"cls": ("Access", "Guard"), "everybody": ("everybody", "all")},
    bugs=(
        Bug(
            name="deep",
            module="roles",
            old="                waiting.extend(self.brings.get(role, []))\n",
            new="                found.extend(self.brings.get(role, []))\n",
            report="Some users do not have the rights that their role should bring along.",
        ),
        Bug(
            name="below",
            module="policies",
            old="path.startswith(pattern[:-1])",
            new="path.startswith(pattern[:-2])",
            report="A right for all below a folder is also given for things beside it.",
        ),
        Bug(
            name="any",
            module="policies",
            old='(action in self.actions or "any" in self.actions)',
            new="action in self.actions",
            report="The action `any` should stand for every action.",
        ),
        Bug(
            name="forbid",
            module="access",
            old="bool(said) and all(said)",
            new="any(said)",
            report="What was forbidden is allowed as soon as another policy allows it.",
        ),
        Bug(
            name="everybody",
            module="access",
            old='self.roles.of(user) + ["$everybody"]',
            new='self.roles.of(user) or ["$everybody"]',
            report="Policies for $everybody do not count for users who have a role.",
        ),
    ),
)
"""Who may do what."""
