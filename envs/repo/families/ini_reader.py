"""The kind ini-reader: reads files of settings with sections."""

from __future__ import annotations

import random

from agentrl.envs.repo.family import Bug, Kind, Params, Steps

__all__ = ["KIND"]

_LINES = '''
"""Read the lines of a file of settings."""


def logical(text):
    """Return the lines that say something, those that go on joined to one."""
    out = []
    held = ""
    for line in text.split("\\n"):
        line = line.rstrip()
        if line.endswith("\\\\"):
            held += line[:-1].rstrip() + " "
            continue
        line = held + line.strip()
        held = ""
        if line and not line.startswith(("#", "$comment")):
            out.append(line)
    return out


def pair(line):
    """Return name and value of a line."""
    name, mark, value = line.partition("=")
    if not mark:
        raise ValueError("no value: " + line)
    return name.strip().lower(), value.strip()
'''

_VALUES = '''
"""Turn the text of a setting into a value."""

YES = ("yes", "true", "on")
NO = ("no", "false", "off")


def convert(text):
    """Return a number, a truth value, a list or the text itself."""
    low = text.lower()
    if low in YES:
        return True
    if low in NO:
        return False
    if text[:1] == '"' and text[-1:] == '"' and len(text) > 1:
        return text[1:-1]
    if "," in text:
        return [convert(part.strip()) for part in text.split(",")]
    digits = text[1:] if text[:1] == "-" else text
    if digits.isdigit():
        return int(text)
    if digits.count(".") == 1 and digits.replace(".", "").isdigit():
        return float(text)
    return text
'''

_SETTINGS = '''
"""Settings by section."""

from @lines import logical, pair
from @values import convert


class $cls:
    """The settings of a text."""

    def __init__(self, text):
        self.sections = {"$main": {}}
        current = "$main"
        for line in logical(text):
            if line.startswith("[") and line.endswith("]"):
                current = line[1:-1].strip().lower()
                self.sections.setdefault(current, {})
            else:
                name, value = pair(line)
                self.sections[current][name] = convert(value)

    def get(self, section, name, default=None):
        """Return a setting; what a section does not have is looked up in the main one."""
        name = name.lower()
        for place in (section.lower(), "$main"):
            if name in self.sections.get(place, {}):
                return self.sections[place][name]
        return default

    def names(self, section):
        """Return the names that a section has itself."""
        return sorted(self.sections.get(section.lower(), {}))
'''


def _settings(rng: random.Random, params: Params) -> Steps:
    names = ["port", "Host", "paths"]
    values = ["80", "-4", "-2.5", "yes", "OFF", "a, b", '"7"', '"a, b"', '"1,2"', "0.5", "red blue", '"', "1.2.3"]
    lines: list[str] = []
    for _ in range(rng.randrange(2, 8)):
        lines.append(
            rng.choice(
                [
                    f"{rng.choice(names)} = {rng.choice(values)}",
                    f"{rng.choice(names)}={rng.choice(values)}",
                    f"{rng.choice(names)} = one \\",
                    f"[{rng.choice(['web', 'Web', ' db '])}]",
                    f"{rng.choice(['#', params['comment'], '  #'])} {rng.choice(names)} = 1",
                    "",
                ]
            )
        )
    steps: Steps = [(f"settings:{params['cls']}=", ["\n".join([*lines, "end = 1"])])]
    for _ in range(3):
        steps.append((".get", [rng.choice(["web", "db", "WEB", params["main"]]), rng.choice([*names, "PORT"])]))
    return [*steps, (".names", ["web"])]


KIND = Kind(
    name="ini-reader",
    about="Reads files of settings with sections.",
    modules={"lines": _LINES, "values": _VALUES, "settings": _SETTINGS},
    case=_settings,
    packages=("configs", "prefs", "inifile"),
    choices={
        "cls": ("Settings", "Config", "Options"),
        "main": ("main", "default", "common"),
        "comment": (";", "//"),
    },
    bugs=(
        Bug(
            name="case",
            module="lines",
            old="name.strip().lower()",
            new="name.strip()",
            report="A setting that is written with capitals in the file cannot be read.",
        ),
        Bug(
            name="goes-on",
            module="lines",
            old='        line = held + line.strip()\n        held = ""\n',
            new="        line = held + line.strip()\n",
            report="After a line that goes on in the next one, all that follows is mixed up.",
        ),
        Bug(
            name="quotes",
            module="values",
            old="    if text[:1] == '\"' and text[-1:] == '\"' and len(text) > 1:\n        return text[1:-1]\n"
            '    if "," in text:\n        return [convert(part.strip()) for part in text.split(",")]\n',
            new='    if "," in text:\n        return [convert(part.strip()) for part in text.split(",")]\n'
            "    if text[:1] == '\"' and text[-1:] == '\"' and len(text) > 1:\n        return text[1:-1]\n",
            report="A text in quotes that has a comma in it comes back as a list.",
        ),
        Bug(
            name="negative",
            module="values",
            old='text[1:] if text[:1] == "-" else text',
            new="text",
            report="Some numbers come back as text.",
        ),
        Bug(
            name="fallback",
            module="settings",
            old='for place in (section.lower(), "$main"):',
            new="for place in (section.lower(),):",
            report="What a section does not set itself should come from the `$main` section, but the default is "
            "returned.",
        ),
        Bug(
            name="again",
            module="settings",
            old="self.sections.setdefault(current, {})",
            new="self.sections[current] = {}",
            report="When a section comes twice in a file, settings are lost.",
        ),
    ),
)
"""Reads files of settings with sections."""
