"""`Unicode`: the space of the texts that a language model and an environment exchange.

Gymnasium's `Text` wants a finite character set and looks every character up in it. `Unicode` accepts any `str` up to a
length (NUL, astral characters, lone surrogates) at the cost of one comparison, and registers its own functions wherever
Gymnasium dispatches on the type of a space: flattening, and the shared memory of `AsyncVectorEnv`, where a text takes
four bytes a character, of which the operating system provides only what is written.
"""

import functools
import multiprocessing
from collections.abc import Iterator
from typing import Any, SupportsIndex

import numpy as np
from gymnasium.spaces import Box, Text
from gymnasium.spaces.utils import flatten, flatten_space, is_space_dtype_shape_equiv, unflatten
from gymnasium.vector.utils import (
    create_empty_array,
    create_shared_memory,
    read_from_shared_memory,
    write_to_shared_memory,
)
from gymnasium.wrappers.utils import create_zero_array
from numpy.typing import NDArray

__all__ = ["MAX_LENGTH", "Unicode"]

MAX_LENGTH = 1 << 16
NUM_CODE_POINTS = 0x110000
PADDING = -1  # fills a flattened text behind its end; no code point is negative


class Unicode(Text):
    """Any text of at most `max_length` characters, the empty one included.

    Args:
        max_length: The largest number of characters (code points).
        seed: The seed for sampling from the space.

    >>> "\\ud800 <answer>42</answer>" in Unicode()
    True
    >>> "four" in Unicode(3)
    False
    """

    def __init__(self, max_length: int = MAX_LENGTH, *, seed: int | np.random.Generator | None = None) -> None:
        super().__init__(max_length, min_length=0, charset="", seed=seed)

    def contains(self, x: Any) -> bool:
        """Return whether `x` is a text that is not too long."""
        return isinstance(x, str) and len(x) <= self.max_length

    def sample(self, mask: Any = None, probability: Any = None) -> str:
        """Draw a text: prose, other scripts, tags, calls whole and broken, any code points, rarely a very long one.

        Args:
            mask: Not used, since characters are not drawn one by one; `(length, None)` asks for a length.
            probability: Not used, as `mask`.

        Raises:
            ValueError: A mask over characters was given.
        """
        length = None
        for each in (mask, probability):
            if each is not None:
                length, characters = each
                if characters is not None:
                    raise ValueError(f"{self!r} has no mask over characters; pass (length, None)")
        random = self.np_random
        pieces = [self._piece(random) for _ in range(int(random.integers(0, 9)))]
        text = "".join(pieces)
        if length is not None:
            return str(((text or " ") * (1 + length // max(len(text), 1)))[:length])
        if random.integers(64) == 0:
            text *= int(random.integers(1, 2 + self.max_length // max(len(text), 1)))
        return text[: self.max_length]

    @staticmethod
    def _piece(random: np.random.Generator) -> str:
        kind = int(random.integers(8))
        if kind < 4:
            return _FRAGMENTS[int(random.integers(len(_FRAGMENTS)))]
        if kind < 7:
            start, num = _SCRIPTS[int(random.integers(len(_SCRIPTS)))]
            codes = start + random.integers(0, num, int(random.integers(1, 24)))
        else:
            codes = random.integers(0, NUM_CODE_POINTS, int(random.integers(1, 12)))
        return _decode(codes.astype(np.int32))

    @property
    def character_set(self) -> frozenset[str]:
        """Every character; made on first use, about 150 MB with `character_list`."""
        return frozenset(_all_characters())

    @property
    def character_list(self) -> tuple[str, ...]:
        """Every character in the order of the code points; made on first use."""
        return _all_characters()

    @property
    def characters(self) -> str:
        """Every character as one text; made on first use."""
        return "".join(_all_characters())

    def character_index(self, char: str) -> np.int32:
        """Return the code point of a character."""
        return np.int32(ord(char))

    def __repr__(self) -> str:
        return f"Unicode({self.max_length})"

    def __eq__(self, other: object, /) -> bool:
        return isinstance(other, Unicode) and self.max_length == other.max_length

    __hash__ = None  # type: ignore[assignment]  # as every Gymnasium space that defines equality


class _SharedTexts(tuple[str, ...]):
    """The texts that lie in shared memory now, as Gymnasium's arrays over shared memory are views.

    `AsyncVectorEnv` reads its observations once, when it is made, and then expects them to follow what the workers
    write. A tuple of strings would stay as it was at the start (Gymnasium's `Text` does); this one reads when it is
    looked at, and a copy of it is a plain tuple.
    """

    memory: NDArray[np.int32]

    @classmethod
    def over(cls, memory: NDArray[np.int32]) -> "_SharedTexts":
        texts = cls("" for _ in range(len(memory)))
        texts.memory = memory
        return texts

    def __iter__(self) -> Iterator[str]:
        return (_decode(row[1 : 1 + row[0]]) for row in self.memory)

    def __getitem__(self, index: SupportsIndex | slice) -> Any:
        return tuple(self)[index]

    def __deepcopy__(self, memo: object) -> tuple[str, ...]:
        return tuple(self)

    def __copy__(self) -> tuple[str, ...]:
        return tuple(self)

    def __reduce__(self) -> tuple[Any, ...]:
        return tuple, (list(self),)

    def __eq__(self, other: object) -> bool:
        return tuple(self) == (tuple(other) if isinstance(other, tuple) else other)

    def __hash__(self) -> int:
        return hash(tuple(self))

    def __contains__(self, item: object) -> bool:
        return item in tuple(self)

    def __repr__(self) -> str:
        return repr(tuple(self))


@functools.cache
def _all_characters() -> tuple[str, ...]:
    return tuple(map(chr, range(NUM_CODE_POINTS)))


def _encode(text: str) -> NDArray[np.int32]:
    return np.frombuffer(text.encode("utf-32-le", "surrogatepass"), dtype="<i4")


def _decode(codes: NDArray[np.int32]) -> str:
    return codes.astype("<i4", copy=False).tobytes().decode("utf-32-le", "surrogatepass")


def _checked(space: Unicode, text: str) -> NDArray[np.int32]:
    if text not in space:
        got = f"one of {len(text)} characters" if isinstance(text, str) else f"a {type(text).__name__}"
        raise ValueError(f"{space!r} takes a text of at most {space.max_length} characters, got {got}")
    return _encode(text)


# mypy takes the type variable of a fallback for a bound.
@flatten.register(Unicode)
def _flatten(space: Unicode, x: str) -> NDArray[np.int32]:  # type: ignore[misc]
    codes = _checked(space, x)
    flat = np.full(space.max_length, PADDING, dtype=np.int32)
    flat[: len(codes)] = codes
    return flat


@unflatten.register(Unicode)
def _unflatten(space: Unicode, x: NDArray[np.int32]) -> str:  # type: ignore[misc]
    return _decode(x[x != PADDING])


@flatten_space.register(Unicode)
def _flatten_space(space: Unicode) -> Box:
    return Box(low=PADDING, high=NUM_CODE_POINTS - 1, shape=(space.max_length,), dtype=np.int32)


@is_space_dtype_shape_equiv.register(Unicode)
def _is_equivalent(space_1: Unicode, space_2: object) -> bool:
    return space_1 == space_2


@create_empty_array.register(Unicode)
def _create_empty_array(space: Unicode, n: int = 1, fn: Any = np.zeros) -> tuple[str, ...]:
    return ("",) * n


@create_zero_array.register(Unicode)
def _create_zero_array(space: Unicode) -> str:  # type: ignore[misc]
    return ""


@create_shared_memory.register(Unicode)
def _create_shared_memory(space: Unicode, n: int = 1, ctx: Any = multiprocessing) -> Any:
    # Each row is the length of the text, then its code points; ctypes arrays start as zero pages that take no memory.
    return ctx.Array("i", n * (1 + space.max_length))


@read_from_shared_memory.register(Unicode)
def _read_from_shared_memory(space: Unicode, shared_memory: Any, n: int = 1) -> tuple[str, ...]:
    return _SharedTexts.over(_rows(space, shared_memory))


@write_to_shared_memory.register(Unicode)
def _write_to_shared_memory(space: Unicode, index: int, value: str, shared_memory: Any) -> None:
    codes = _checked(space, value)
    row = _rows(space, shared_memory)[index]
    row[1 : 1 + len(codes)] = codes
    row[0] = len(codes)


def _rows(space: Unicode, shared_memory: Any) -> NDArray[np.int32]:
    return np.frombuffer(shared_memory.get_obj(), dtype=np.int32).reshape(-1, 1 + space.max_length)


# First code point and number of code points: ASCII, controls, Latin, Greek and Cyrillic, Hebrew and Arabic (right to
# left), combining marks, Devanagari, CJK, Hangul, private use, lone surrogates, emoji, variation selectors and tags.
_SCRIPTS = (
    *((32, 95), (32, 95), (0, 32), (0xA0, 0x160), (0x370, 0x190), (0x5D0, 0x130), (0x300, 0x70), (0x900, 0x80)),
    *((0x4E00, 0x5000), (0xAC00, 0x2B00), (0xE000, 0x100), (0xD800, 0x800), (0x1F300, 0x300), (0xE0000, 0x200)),
)
_FRAGMENTS = (
    *"""\
<tool_call>
</tool_call>
<tool_call>{"name": "search", "arguments": {"query": "x"}}</tool_call>
<tool_call>{"name": "open", "arguments": {"doc_id": ["
{"name": "open", "parameters": {"doc_id": 1}}
{"name": "
", "arguments": {"query":
}}
<|python_tag|>
[TOOL_CALLS]
[TOOL_CALLS]search[ARGS]{"query": "
[search(query="a
", k=3)]
[open()]
<tool_call><function=search><parameter=query>
</parameter></function></tool_call>
<tool_response>
</tool_response>
<answer>
</answer>
<answer></answer>
<answer>42</answer>
<ANSWER>unknown</ANSWER>
<think>
</think>
<|im_end|>
<|im_start|>system
<|eot_id|>
</s>
I will search for it.
The answer is
Let me think step by step.
1e999
-0
½ of 1,000
NaN
٣
null
%s{0}$x""".splitlines(),
    *("{" * 40, "[" * 400, '"', "\\", "\n", "\r\n", "\t", " ", "\0", "\u2028"),
)
