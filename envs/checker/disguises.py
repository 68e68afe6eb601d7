"""Simple disguises in which an answer may stand in a text: what a policy that reads it can take off in its head.

The text is undone, not the answer disguised, so that an answer is found too where it was disguised with words around
it. Digests are left out: nobody reads an answer from one.
"""

from __future__ import annotations

import base64
import binascii
import codecs
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType

__all__ = ["DISGUISES", "Disguise"]

_HEX = re.compile(r"[0-9a-fA-F]{2,}")
_BASE64 = re.compile(r"[A-Za-z0-9+/]{2,}")
_URL_SAFE = re.compile(r"[A-Za-z0-9_-]{2,}")


@dataclass(frozen=True, kw_only=True)
class Disguise:
    """One way to hide a text."""

    undo: Callable[[str], str]  # returns what can be read in a text; other words are left out or become noise
    named: re.Pattern[str]  # a task whose question says this is about the disguise itself


def _rot13(text: str) -> str:
    return codecs.encode(text, "rot13")


def _from_hex(text: str) -> str:
    """Return every run of hexadecimal digits as the characters and as the number that it may stand for."""
    found: list[str] = []
    for run in _HEX.findall(text):
        for start in (0, 1):  # a digit before it may belong to something else
            even = run[start : start + (len(run) - start) // 2 * 2]
            found += [bytes.fromhex(even).decode(errors="replace")] if even else []
        found += [str(int(run, 16))] if len(run) <= 16 else []
    return "\n".join(found)


def _from_base64(text: str) -> str:
    """Return every word as what it may stand for in either alphabet of base64."""
    words = dict.fromkeys([*_BASE64.findall(text), *_URL_SAFE.findall(text)])
    found: list[str] = []
    for word in words:
        padded = word.translate(_PLAIN_ALPHABET) + "=" * (-len(word) % 4)
        try:
            found.append(base64.b64decode(padded).decode(errors="replace"))
        except binascii.Error:  # a length that no text has
            continue
    return "\n".join(found)


_PLAIN_ALPHABET = str.maketrans("-_", "+/")

DISGUISES: Mapping[str, Disguise] = MappingProxyType(
    {
        "reversed": Disguise(undo=lambda text: text[::-1], named=re.compile(r"(?i)revers|backward|mirror|palindrom")),
        "in rot13": Disguise(undo=_rot13, named=re.compile(r"(?i)\brot|cipher|caesar|decod|encod|decrypt")),
        "in hex": Disguise(undo=_from_hex, named=re.compile(r"(?i)hex|\bbase\b|decod|encod|\bbytes?\b")),
        "in base64": Disguise(undo=_from_base64, named=re.compile(r"(?i)base.?64|decod|encod")),
    }
)
"""Every disguise by the words that follow "the answer stands there"."""
