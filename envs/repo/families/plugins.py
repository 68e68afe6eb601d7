"""The kind plugins: sends text through plugins that are looked up by name."""

from __future__ import annotations

import random

from agentrl.envs.repo.family import Bug, Kind, Params, Steps

__all__ = ["KIND"]

_REGISTRY = '''
"""Plugins by name."""


class Registry:
    """Plugins with a weight; several names may mean the same one."""

    def __init__(self):
        self.plugins = {}
        self.aliases = {}

    def add(self, name, function, weight=0, aliases=()):
        """Add a plugin."""
        if name in self.plugins or name in self.aliases:
            raise ValueError("taken: " + name)
        self.plugins[name] = (function, weight)
        for each in aliases:
            self.aliases[each] = name

    def resolve(self, name):
        """Return the proper name."""
        name = self.aliases.get(name, name)
        if name not in self.plugins:
            raise KeyError(name)
        return name

    def get(self, name):
        """Return a plugin by one of its names."""
        return self.plugins[self.resolve(name)][0]

    def ordered(self, names):
        """Return the proper names, each once: a high weight first, else as they were given."""
        proper = list(dict.fromkeys(self.resolve(name) for name in names))
        return sorted(proper, key=lambda name: -self.plugins[name][1])
'''

_BUILT_IN = '''
"""The plugins that come along."""

from @registry import Registry

REGISTRY = Registry()


def reverse(text):
    """Turn the text round."""
    return text[::-1]


def double(text):
    """Write the text twice."""
    return text + "$glue" + text


def vowels(text):
    """Leave out the vowels."""
    return "".join(letter for letter in text if letter.lower() not in "aeiou")


def cut(text):
    """Keep the first letters."""
    return text[:$most]


REGISTRY.add("reverse", reverse, 1, ("back",))
REGISTRY.add("double", double, 0, ("twice", "x2"))
REGISTRY.add("vowels", vowels, 2)
REGISTRY.add("cut", cut, -1, ("short",))
'''

_APP = '''
"""Send text through plugins."""

from @builtin import REGISTRY


class $cls:
    """Plugins that are switched on."""

    def __init__(self):
        self.active = []

    def enable(self, *names):
        """Switch plugins on; return all that are on, in the order in which they run."""
        self.active.extend(names)
        self.active = REGISTRY.ordered(self.active)
        return self.active

    def disable(self, name):
        """Switch a plugin off; return whether it was on."""
        proper = REGISTRY.resolve(name)
        if proper not in self.active:
            return False
        self.active.remove(proper)
        return True

    def run(self, text):
        """Return the text after all plugins."""
        for name in self.active:
            text = REGISTRY.get(name)(text)
        return text

    def trace(self, text):
        """Return the text after each plugin."""
        out = []
        for name in self.active:
            text = REGISTRY.get(name)(text)
            out.append((name, text))
        return out
'''


def _plugins(rng: random.Random, params: Params) -> Steps:
    steps: Steps = [(f"pipeline:{params['cls']}=", [])]
    names = ["reverse", "back", "double", "twice", "x2", "vowels", "cut", "short", "gone"]
    for _ in range(rng.randrange(1, 4)):
        steps.append((".enable", [rng.choice(names[:-1]) for _ in range(rng.randrange(1, 3))]))
        if rng.random() < 0.3:
            steps.append((".disable", [rng.choice(names)]))
        if rng.random() < 0.1:
            steps.append((".enable", ["gone"]))
    text = rng.choice(["Orange", "stone", "Ida and Bo", "xyz", "aeIo"])
    return [*steps, (".run", [text]), (".trace", [text])]


KIND = Kind(
    name="plugins",
    about="Sends text through plugins that are looked up by name.",
    modules={"registry": _REGISTRY, "builtin": _BUILT_IN, "pipeline": _APP},
    case=_plugins,
    packages=("textpipe", "plugline", "chain_text"),
    choices={"cls": ("Pipeline", "Chain"), "glue": ("", "-", " "), "most": ("3", "4")},
    bugs=(
        Bug(
            name="alias",
            module="registry",
            old="list(dict.fromkeys(self.resolve(name) for name in names))",
            new="[self.resolve(name) for name in dict.fromkeys(names)]",
            report="A plugin that is switched on by two of its names runs twice.",
        ),
        Bug(
            name="weight",
            module="registry",
            old="key=lambda name: -self.plugins[name][1])",
            new="key=lambda name: self.plugins[name][1])",
            report="Plugins run in the wrong order.",
        ),
        Bug(
            name="capital",
            module="builtin",
            old="letter.lower() not in",
            new="letter not in",
            report="Some vowels are left in the text.",
        ),
        Bug(
            name="alias-off",
            module="pipeline",
            old="        proper = REGISTRY.resolve(name)\n",
            new="        proper = name\n",
            report="A plugin cannot be switched off by another of its names, and unknown names are no error.",
        ),
        Bug(
            name="x2",
            module="builtin",
            old='("twice", "x2")',
            new='("twice",)',
            report="`double` should also be known as `x2`.",
            feature=True,
        ),
    ),
)
"""Sends text through plugins that are looked up by name."""
