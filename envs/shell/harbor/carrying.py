"""Carry what an agent left over to a fresh box: the writable folders as a tar stream, rewritten here member by member.

Nothing of the agent runs by then, and the programs that pack are the image's own. What is carried is regular files,
folders, and links that lead to the same folders or to the system's. Left out and flagged is what would act when Python,
a shell or a test runner starts, and what stands in the place of a module of Python's own; where the image has such a
file, the image's is carried.
"""

from __future__ import annotations

import io
import posixpath
import sys
import tarfile
from collections.abc import Callable
from dataclasses import dataclass

from agentrl.envs.shell.harbor.images import BASE, PROGRAMS, ROOT, Prepared, is_in
from agentrl.envs.startup import is_startup
from agentrl.envs.tools.codebox import CodeBox
from agentrl.sandboxes.errors import SandboxFileError

__all__ = ["MOST_BYTES", "Carried", "carry", "rewritten"]

MOST_BYTES = 128 << 20
"""Of all that is carried."""
MOST_MEMBERS = 50_000
PACK_S = 120.0
_PACKED = "/tmp/.carried.tar"
_MOST_ORIGINAL = 4 << 20
_LEADS = ("/usr", "/bin", "/sbin", "/lib", "/lib64", "/etc", "/opt", "/dev/null")  # where a link may lead, below them
_RUNNERS = frozenset({"pytest", "_pytest", "pluggy", "iniconfig", "py", "nose", "hypothesis"})
_SHELLS = frozenset({".bashrc", ".bash_profile", ".bash_login", ".profile", ".zshenv", ".zshrc", ".inputrc"})
_REPAIRED = 77  # exit status: all was packed, once its owner had the right to read it
# The agent's folder is packed from inside it, so that a folder that became a link packs as what it is. What is in /tmp
# is lost with the box anyway, and would take the room. What may not be read is not gone, and must not pass for it.
_PACK = f"""{PROGRAMS}
rm -rf /tmp/* /tmp/.[!.]* 2>/dev/null
cd {ROOT} || exit 9
tar -cf {_PACKED} "$@" && exit 0
chmod -R u+rwX "$@"
tar -cf {_PACKED} "$@" && exit {_REPAIRED}
exit 1
"""


@dataclass(frozen=True, kw_only=True)
class Carried:
    """What goes into the fresh box, and what was seen on the way."""

    packed: bytes | None  # None: it cannot be carried, and the episode is lost
    flags: tuple[str, ...]  # sorted


def carry(box: CodeBox, image: Prepared) -> Carried:
    """Read the writable folders out of an episode's box.

    Args:
        box: The episode's; what is in its /tmp is lost.
        image: What the box was made of.

    Raises:
        InfrastructureError: The box failed.
    """
    names = [folder.lstrip("/") for folder in image.folders]
    flags: set[str] = set()
    result = box.exec(["/bin/sh", "-c", _PACK, "sh", *(f"./{name}" for name in names)], timeout_s=PACK_S)
    if result.exit_code == _REPAIRED:
        flags.add("unreadable")
    elif not result.ok:  # a stream that breaks off may do so between two files, and the rest would pass for gone
        return Carried(packed=None, flags=("unreadable" if result.status == "nonzero" else result.status,))
    try:
        packed = box.read(_PACKED, max_bytes=MOST_BYTES)
    except SandboxFileError:
        return Carried(packed=None, flags=tuple(sorted({*flags, "too_much"})))

    def original(path: str) -> bytes | None:
        try:
            return box.read(f"{BASE}/{path}", max_bytes=_MOST_ORIGINAL)
        except SandboxFileError:
            return None

    try:
        clean, seen = rewritten(packed, tuple(names), image.place.lstrip("/"), original=original)
    except tarfile.TarError:
        return Carried(packed=None, flags=tuple(sorted({*flags, "too_much"})))
    return Carried(packed=clean, flags=tuple(sorted({*flags, *seen})))


def rewritten(
    packed: bytes,
    names: tuple[str, ...],
    place: str,
    *,
    original: Callable[[str], bytes | None],
) -> tuple[bytes | None, set[str]]:
    """Return a tar stream of what may be carried, and the flags of what may not; None where it is too much.

    Args:
        packed: A tar stream from a box, believed in nothing.
        names: The folders that it is of, without the first slash.
        place: The one where Python's modules are found first; it need not be one of them.
        original: Gives the image's file of a path, None where it has none.

    Raises:
        tarfile.TarError: It is no tar stream.
    """
    flags: set[str] = set()
    kept: dict[str, bytes] = {}  # for names that share a file
    links: set[str] = set()
    out = io.BytesIO()
    total = 0
    with (
        tarfile.open(fileobj=io.BytesIO(packed), mode="r:") as source,
        tarfile.open(fileobj=out, mode="w:", format=tarfile.GNU_FORMAT) as target,
    ):
        for number, member in enumerate(source):
            path = posixpath.normpath(member.name)
            if number >= MOST_MEMBERS:
                return None, flags | {"too_much"}
            flag = _left_out(path, member, names, links)
            content = b""
            if flag is None and (member.isreg() or member.islnk()):
                content, flag = _content(source, member, kept)
                acts = flag or _acts(path, place)
                if acts is not None:
                    theirs = original(path)
                    flag = acts if theirs is None or theirs != content else None
                    if theirs is not None and flag == "startup_file":  # the image's own takes its place
                        flags.add(flag)
                        content, flag = theirs, None
                    elif theirs is not None and flag == "shadows_library":  # the task is about this file
                        flag = None
            if flag is not None:
                flags.add(flag)
                continue
            total += len(content)
            if total > MOST_BYTES:
                return None, flags | {"too_much"}
            if member.issym():
                links.add(path)
            elif not member.isdir():
                kept[path] = content
            target.addfile(_header(path, member, len(content)), io.BytesIO(content))
    return out.getvalue(), flags


def _content(source: tarfile.TarFile, member: tarfile.TarInfo, kept: dict[str, bytes]) -> tuple[bytes, str | None]:
    """Return a file's content; of one that shares it with another name, the other's."""
    if member.isreg():
        stream = source.extractfile(member)
        return (stream.read() if stream is not None else b""), None
    shared = kept.get(posixpath.normpath(member.linkname))
    return (b"", "link") if shared is None else (shared, None)


def _header(path: str, member: tarfile.TarInfo, size: int) -> tarfile.TarInfo:
    head = tarfile.TarInfo(path)
    head.mode = member.mode & 0o777
    head.mtime = int(member.mtime) if 0 <= member.mtime < 2**33 else 0
    if member.isdir():
        head.type = tarfile.DIRTYPE
    elif member.issym():
        head.type, head.linkname = tarfile.SYMTYPE, member.linkname
    else:
        head.size = size
    return head


def _left_out(path: str, member: tarfile.TarInfo, names: tuple[str, ...], links: set[str]) -> str | None:
    """Return why a member is not carried, whatever is in it; None where it may be."""
    above = path.split("/")[:-1]
    behind_link = any("/".join(above[:end]) in links for end in range(1, len(above) + 1))
    if path.startswith(("/", "..")) or behind_link or not any(is_in(path, name) for name in names):
        return "odd_name"
    if member.issym():
        return None if _may_lead(path, member.linkname, names) else "link"
    return None if member.isreg() or member.isdir() or member.islnk() else "special_file"


def _acts(path: str, place: str) -> str | None:
    """Return whether a file acts when Python, a shell or a test runner starts, or is found in place of a module."""
    name = path.rpartition("/")[2]
    if is_startup(name) or name in _SHELLS:
        return "startup_file"
    if not path.startswith(f"{place}/"):
        return None
    parts = path.removeprefix(f"{place}/").split("/")
    if not parts[-1].endswith((".py", ".pyc", ".so")) or len(parts) > 2:
        return None
    if len(parts) == 2 and not parts[1].startswith("__init__."):
        return None
    module = parts[0].partition(".")[0]
    is_known = module in _RUNNERS or (module in sys.stdlib_module_names and module != "test")
    return "shadows_library" if is_known else None


def _may_lead(path: str, target: str, names: tuple[str, ...]) -> bool:
    """Say whether a link leads to a carried folder or to the system's, and surely so.

    Behind the first name no `..` may come, since what it goes back from may be a link itself.
    """
    parts = [part for part in target.split("/") if part not in ("", ".")]
    num_up = next((at for at, part in enumerate(parts) if part != ".."), len(parts))
    if not target or ".." in parts[num_up:]:
        return False
    if target.startswith("/"):
        joined = "/" + "/".join(parts[num_up:])
    else:
        joined = posixpath.normpath(f"{ROOT}/{posixpath.dirname(path)}/{target}")
    leads = (*(_LEADS if target.startswith("/") else ()), *(f"/{name}" for name in names))
    return any(is_in(joined, each) for each in (*leads, *(f"{ROOT}/{name}" for name in names)))
