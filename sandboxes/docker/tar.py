"""Take one regular file out of a tar stream that a hostile box writes: in memory, capped, never on the host's disk.

Names in the stream are not looked at, so there is nothing for `../` or an absolute name to do. Links, devices, FIFOs
and folders end the reading by their type; a size past the cap ends it before a byte of content is taken.
"""

from __future__ import annotations

__all__ = ["BadTar", "FileTooLarge", "NotRegular", "OneFile"]

BLOCK = 512
# Long names and pax records that may come before the file itself; PATH_MAX is 4096.
MOST_EXTRA, LARGEST_EXTRA = 8, 65_536
KINDS = {
    b"1": "a hard link",
    b"2": "a symbolic link",
    b"3": "a device",
    b"4": "a device",
    b"5": "a folder",
    b"6": "a FIFO",
}


class BadTar(Exception):
    """The stream is no tar, or none that a file's copy would make."""


class NotRegular(BadTar):
    """The member is something else than a regular file; the text says what."""


class FileTooLarge(BadTar):
    """The member is longer than the cap."""


class OneFile:
    """Fed with a stream in pieces of any length; holds at most one header, and the content up to the cap."""

    def __init__(self, max_bytes: int) -> None:
        """Accept a file of at most `max_bytes`."""
        self.done = False
        """Whether the file is whole; what is fed after that is dropped."""
        self._max_bytes = max_bytes
        self._head = bytearray()
        self._content = bytearray()
        self._left = 0
        self._skip = 0
        self._in_file = False
        self._num_extra = 0

    @property
    def content(self) -> bytes:
        """What has come of the file."""
        return bytes(self._content)

    def feed(self, data: bytes) -> None:
        """Take the next piece.

        Raises:
            NotRegular, FileTooLarge, BadTar: It is not what was asked for; feed no more.
        """
        at = 0
        while at < len(data) and not self.done:
            if self._in_file:
                piece = data[at : at + self._left]
                self._content += piece
                self._left -= len(piece)
                self.done = not self._left
                at += len(piece)
            elif self._skip:
                step = min(self._skip, len(data) - at)
                self._skip -= step
                at += step
            else:
                piece = data[at : at + BLOCK - len(self._head)]
                self._head += piece
                at += len(piece)
                if len(self._head) == BLOCK:
                    self._open(bytes(self._head))
                    self._head.clear()

    def _open(self, head: bytes) -> None:
        total = sum(head[:148]) + 8 * 32 + sum(head[156:])
        if _number(head[148:156]) != total:
            raise BadTar("a header whose sum is wrong")
        size, kind = _number(head[124:136]), head[156:157]
        if kind in b"xgLK":
            self._num_extra += 1
            if size > LARGEST_EXTRA or self._num_extra > MOST_EXTRA:
                raise BadTar("too much before the file")
            self._skip = -(-size // BLOCK) * BLOCK
        elif kind in (b"0", b"\0", b"7"):
            if size > self._max_bytes:
                raise FileTooLarge(f"{size} bytes, more than {self._max_bytes}")
            self._in_file, self._left, self.done = True, size, not size
        else:
            raise NotRegular(KINDS.get(kind, "something else"))


def _number(field: bytes) -> int:
    """Return a number of a header: octal digits, or GNU's base 256 where the first bit is set."""
    if field[0] & 0x80:
        return int.from_bytes(bytes([field[0] & 0x7F]) + field[1:], "big")
    digits = field.strip(b" \0")
    if digits.strip(b"01234567"):
        raise BadTar("a number that is not one")
    return int(digits or b"0", 8)
