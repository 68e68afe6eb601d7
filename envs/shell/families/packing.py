"""Levels 2 to 4: archives, compression and checksums. Archives are read on the host, member by member."""

from __future__ import annotations

import hashlib
import io
import re
import struct
import tarfile
import zlib
from collections.abc import Mapping

from agentrl.envs.shell.families.find import tree
from agentrl.envs.shell.family import Case, Check, Goal, family
from agentrl.envs.shell.words import Draw, text

__all__ = ["FAMILIES"]

_MOST = 1 << 20  # bytes that an archive may hold
_TAGGED = re.compile(r"SHA256 \((.*)\) = (\w+)")


def packed(files: Mapping[str, bytes], *, compressed: bool = True) -> bytes:
    """Write a tar archive that is the same for the same files."""
    raw = io.BytesIO()
    with tarfile.open(fileobj=raw, mode="w", format=tarfile.USTAR_FORMAT) as archive:
        for path, content in files.items():
            member = tarfile.TarInfo(path)
            member.size, member.mtime = len(content), 1_704_067_200
            archive.addfile(member, io.BytesIO(content))
    return zipped(raw.getvalue()) if compressed else raw.getvalue()


def zipped(content: bytes) -> bytes:
    """Write a gzip file of blocks that are stored as they are: what a compressor makes differs by its version."""
    pieces = [content[at : at + 65_535] for at in range(0, len(content), 65_535)] or [b""]
    blocks = b"".join(
        struct.pack("<BHH", number == len(pieces) - 1, len(piece), len(piece) ^ 0xFFFF) + piece
        for number, piece in enumerate(pieces)
    )
    head = b"\x1f\x8b\x08\x00\x00\x00\x00\x00\x00\xff"
    return head + blocks + struct.pack("<II", zlib.crc32(content), len(content) & 0xFFFFFFFF)


def holds(wanted: Mapping[str, bytes], *, compressed: bool = True) -> Check:
    """Return a check that a tar archive has just these regular files, with folders as it likes."""

    def check(found: bytes) -> bool:
        raw = unzipped(found) if compressed else found
        if raw is None:
            return False
        members: dict[str, bytes] = {}
        try:
            with tarfile.open(fileobj=io.BytesIO(raw), mode="r:") as archive:
                for member in archive:
                    if member.isdir():
                        continue
                    name = member.name.removeprefix("./")
                    file = archive.extractfile(member) if member.isreg() and member.size <= _MOST else None
                    if file is None or name in members:
                        return False
                    members[name] = file.read(_MOST)
        except (tarfile.TarError, OSError, ValueError, EOFError):
            return False
        return members == wanted

    return check


def unzipped(found: bytes) -> bytes | None:
    """Return what a gzip file holds; None where it is none, or holds too much."""
    try:
        worker = zlib.decompressobj(31)
        raw = worker.decompress(found, _MOST)
    except zlib.error:
        return None
    return raw if worker.eof and not worker.unused_data else None


@family(
    "pack-folder",
    2,
    3,
    train=(
        "Pack the folder $top into $to, a tar archive compressed with gzip. Keep the folder.",
        "Make $to of the folder $top: tar and gzip. The folder itself stays.",
    ),
    test=("Let there be a compressed archive $to (tar, gzip) of all that is in $top; its paths begin with $top/.",),
)
def pack(draw: Draw) -> Case:
    top, files = tree(draw, 5 * draw.level)
    to = draw.file("tar.gz")
    return Case(
        params={"top": top, "to": to},
        files=files,
        goal=Goal(checks={to: holds(files)}),
        oracle=(f"tar -czf {to} {top}",),
        wrong=(f"tar -cf {to} {top}", f"tar -czf {to} {top}/*.txt", f"touch {to}", f"tar -czf {to} -C {top} ."),
    )


@family(
    "unpack",
    2,
    train=("Unpack the archive $a into a new folder $top.", "Extract all of $a below the folder $top, to be made."),
    test=("What the archive $a holds shall lie in a folder $top. Keep the archive.",),
)
def unpack(draw: Draw) -> Case:
    name, top = draw.file("tar.gz"), draw.folder()
    inner = draw.folder()
    files = {f"{inner}/{draw.file()}": text(draw.lines(2)) for _ in range(3)} | {draw.file(): text(draw.lines(3))}
    return Case(
        params={"a": name, "top": top},
        files={name: packed(files)},
        goal=Goal(files={f"{top}/{path}": content for path, content in files.items()}),
        oracle=(f"mkdir {top}", f"tar -xzf {name} -C {top}"),
        wrong=(f"tar -xzf {name}", f"mkdir {top}; cp {name} {top}", f"mkdir {top}; tar -xzf {name} -C {top} {inner}"),
    )


@family(
    "take-one-member",
    2,
    3,
    train=(
        "Write the file $member of the archive $a to $to. Unpack nothing else.",
        "Take just $member out of the archive $a and save it as $to.",
    ),
    test=("The file $to shall be what the archive $a holds as $member; nothing else of it may appear.",),
)
def member_of(draw: Draw) -> Case:
    name, to = draw.file("tar.gz"), draw.file()
    top, files = tree(draw, 6 * draw.level)
    member = draw.pick(list(files))
    return Case(
        params={"a": name, "to": to, "member": member},
        files={name: packed(files)},
        goal=Goal(files={to: files[member]}, gone=(top,)),
        oracle=(f"tar -xzOf {name} {member} > {to}",),
        wrong=(
            f"tar -xzf {name}; cp {member} {to}",
            f"tar -xzOf {name} > {to}",
            f"tar -tzf {name} {member} > {to}",
        ),
    )


@family(
    "nested-archives",
    4,
    train=(
        "Somewhere inside of $a, an archive of archives, is a file $name. Write its content to $to.",
        "Find the file $name in $a, which has archives in archives, and save it as $to.",
    ),
    test=("Within the archives that $a is made of lies $name; let $to hold what it says.",),
)
def nested(draw: Draw) -> Case:
    outer, name, to = draw.file("tar.gz"), draw.file(), draw.file()
    content = text(draw.lines(4))
    decoys = [{draw.file(): text(draw.lines(2))} for _ in range(3)]
    inner = packed({**decoys[0], f"{draw.folder()}/{name}": content}, compressed=False)
    names = draw.some("stems", 4)
    middle = {f"{names[0]}.tar": inner, f"{names[1]}.tar": packed(decoys[1], compressed=False)}
    files = {outer: packed({f"{names[2]}.tgz": packed(middle), f"{names[3]}.tgz": packed(decoys[2])})}
    return Case(
        params={"a": outer, "name": name, "to": to},
        files=files,
        goal=Goal(files={to: content}),
        oracle=(
            "mkdir .x",
            f"tar -xzf {outer} -C .x",
            "cd .x; for f in *.tgz; do tar -xzf $f; done; for f in *.tar; do tar -xf $f; done; cd /work",
            f"cp $(find .x -name {name}) {to}",
        ),
        wrong=(f"tar -xzf {outer}; cp *.tgz {to}", f"echo {name} > {to}", f"touch {to}"),
    )


@family(
    "compress-each",
    2,
    3,
    train=(
        "Compress each .log file in $top with gzip, so that NAME.log becomes NAME.log.gz.",
        "Turn every .log file of the folder $top into a .log.gz by gzip; the plain files go.",
    ),
    test=("The logs of $top shall be stored by gzip, each by itself as NAME.log.gz and no longer as it is.",),
)
def compress(draw: Draw) -> Case:
    top = draw.folder()
    files = {f"{top}/{draw.file('log')}": text(draw.lines(5)) for _ in range(2 * draw.level)}
    others = {f"{top}/{draw.file()}": text(draw.lines(2)) for _ in range(2)}

    def is_packed(content: bytes) -> Check:
        return lambda found: unzipped(found) == content

    return Case(
        params={"top": top},
        files=files | others,
        goal=Goal(checks={f"{path}.gz": is_packed(content) for path, content in files.items()}, gone=list(files)),
        oracle=(f"gzip {top}/*.log",),
        wrong=(f"gzip -k {top}/*.log", f"gzip {top}/*", f"cd {top}; for f in *.log; do mv $f $f.gz; done"),
    )


@family(
    "merge-compressed",
    3,
    train=(
        "Put the lines of all .gz files in $top, unpacked, into $to, in the order of the file names.",
        "Unpack what the .gz files of $top hold and chain it, file after file by name, into $to.",
    ),
    test=("The file $to shall hold, one after another by name, what is compressed in $top. Leave the .gz files.",),
)
def merged(draw: Draw) -> Case:
    top, to = draw.folder(), draw.file("log")
    parts = {f"{top}/{stem}.gz": text(draw.lines(4)) for stem in draw.some("stems", 5)}
    return Case(
        params={"top": top, "to": to},
        files={path: zipped(content) for path, content in parts.items()},
        goal=Goal(files={to: b"".join(parts[path] for path in sorted(parts))}),
        oracle=(f"zcat {top}/*.gz > {to}",),
        wrong=(f"cat {top}/*.gz > {to}", f"zcat $(ls -r {top}/*.gz) > {to}", f"gunzip {top}/*.gz; cat {top}/* > {to}"),
    )


def _sum_of(line: str) -> tuple[str, str]:
    """Return the sum and the path from /work of a line as sha256sum prints it, with --tag too."""
    tagged = _TAGGED.fullmatch(line)
    digest, _, path = (tagged[2], "", tagged[1]) if tagged else line.partition(" ")
    path = path[1:] if tagged is None and path[:1] in (" ", "*") else path
    return digest.lower(), path.removeprefix("/work/").removeprefix("./")


@family(
    "write-checksums",
    2,
    3,
    train=(
        "Write the SHA-256 sums of the files in $top to $to, as sha256sum prints them, with paths like $top/x.",
        "Make $to, a list of sha256sum for all files in the folder $top, with paths from /work.",
    ),
    test=("Let `sha256sum -c $to`, called in /work, check all files of the folder $top.",),
)
def checksums(draw: Draw) -> Case:
    top, to = draw.folder(), draw.file("sum")
    files = {f"{top}/{draw.file()}": text(draw.lines(3)) for _ in range(2 * draw.level)}
    wanted = {(hashlib.sha256(content).hexdigest(), path) for path, content in files.items()}

    def check(found: bytes) -> bool:
        lines = [line for line in found.decode("utf-8", "replace").split("\n") if line.strip()]
        said = {_sum_of(line) for line in lines}
        return len(lines) == len(files) and said == wanted

    return Case(
        params={"top": top, "to": to},
        files=files,
        goal=Goal(checks={to: check}),
        oracle=(f"sha256sum {top}/* > {to}",),
        wrong=(f"md5sum {top}/* > {to}", f"cd {top}; sha256sum * > ../{to}", f"ls {top}/* > {to}"),
    )


@family(
    "find-corrupted",
    3,
    4,
    train=(
        "The list $sums holds SHA-256 sums of the files in $top. Write the names of those that do not match to $to, "
        "sorted, one a line.",
    ),
    test=("Some files of $top are not what $sums (SHA-256) says. Let $to list them by name, in order, one a line.",),
)
def corrupted(draw: Draw) -> Case:
    top, sums, to = draw.folder(), draw.file("sha256"), draw.file()
    files = {f"{top}/{draw.file('dat')}": text(draw.lines(4)) for _ in range(5 * draw.level)}
    listed = text([f"{hashlib.sha256(content).hexdigest()}  {path}" for path, content in files.items()])
    bad = sorted(draw.shuffled(list(files))[: draw.level])
    for path in bad:
        files[path] = files[path].replace(b"a", b"e", 1).replace(b"o", b"u", 1) + b"."
    names = text([path.removeprefix(f"{top}/") for path in bad])
    return Case(
        params={"top": top, "sums": sums, "to": to},
        files={**files, sums: listed},
        goal=Goal(checks={to: lambda found: found.replace(f"{top}/".encode(), b"").strip() == names.strip()}),
        oracle=(f"sha256sum -c {sums} 2>/dev/null | grep FAILED | sed 's/: .*//; s/.*\\///' | sort > {to}",),
        wrong=(
            f"sha256sum -c {sums} 2>/dev/null | grep OK | sed 's/: .*//; s/.*\\///' | sort > {to}",
            f"ls {top} > {to}",
            f"sha256sum -c {sums} > {to} 2>&1",
            f"sha256sum {top}/* > {sums}; touch {to}",
        ),
    )


FAMILIES = (pack, unpack, member_of, nested, compress, merged, checksums, corrupted)
