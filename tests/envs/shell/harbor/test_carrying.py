"""What of an agent's folders is carried: streams as no honest tar writes them, and what would act at the other end."""

from __future__ import annotations

import io
import tarfile
from collections.abc import Iterable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agentrl.envs.shell.harbor import carrying
from agentrl.envs.shell.harbor.carrying import rewritten


def packed(*members: tuple[str, bytes, str]) -> bytes:
    """Return a tar stream of (name, kind as tar has it, content or where it leads)."""
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w:") as target:
        for name, kind, text in members:
            head = tarfile.TarInfo(name)
            head.type, head.mode = kind, 0o4777
            head.size = len(text) if kind == tarfile.REGTYPE else 0
            head.linkname = "" if kind == tarfile.REGTYPE else text
            target.addfile(head, io.BytesIO(text.encode()))
    return out.getvalue()


def carried(stream: bytes, *, image: Iterable[tuple[str, bytes]] = ()) -> tuple[dict[str, bytes | str], set[str]]:
    """Return what comes out, by path: a file's content, where a link leads, "folder"."""
    clean, flags = rewritten(stream, ("app", "srv/www"), "app", original=dict(image).get)
    found: dict[str, bytes | str] = {}
    assert clean is not None
    with tarfile.open(fileobj=io.BytesIO(clean)) as source:
        for member in source:
            assert member.mode & ~0o777 == 0  # no setuid, no setgid
            stream_of = source.extractfile(member) if member.isreg() else None
            found[member.name] = stream_of.read() if stream_of else member.linkname if member.issym() else "folder"
    return found, flags


FILE, FOLDER, LINK, HARD = tarfile.REGTYPE, tarfile.DIRTYPE, tarfile.SYMTYPE, tarfile.LNKTYPE


def test_files_folders_and_second_names_are_carried() -> None:
    found, flags = carried(
        packed(("./app", FOLDER, ""), ("./app/a", FILE, "x"), ("./app/b", HARD, "./app/a"), ("./srv/www/c", FILE, "y"))
    )
    assert (found, flags) == ({"app": "folder", "app/a": b"x", "app/b": b"x", "srv/www/c": b"y"}, set())


@pytest.mark.parametrize(
    "name", ["/app/x", "../app/x", "app/../etc/x", "etc/passwd", "apple/x", "./app/../../x", "srv/other", "."]
)
def test_names_outside_of_the_folders_are_not(name: str) -> None:
    assert carried(packed((name, FILE, "x"))) == ({}, {"odd_name"})


def test_nothing_goes_through_a_link() -> None:
    found, flags = carried(packed(("app/l", LINK, "/usr"), ("app/l/x", FILE, "x"), ("app/l/d/x", FILE, "x")))
    assert (found, flags) == ({"app/l": "/usr"}, {"odd_name"})
    assert carried(packed(("app/h", HARD, "../tests/expected.txt"))) == ({}, {"link"})


@pytest.mark.parametrize(
    "target", ["/app/x", "x", "../d", "./d/../..", "/work/.root/app/x", "/usr/bin/python3", "/srv/www/x", "/dev/null"]
)
def test_links_that_stay_are_carried(target: str) -> None:
    found, flags = carried(packed(("app/d/e/l", LINK, target)))
    is_sure = target != "./d/../.."
    assert (found, flags) == (({"app/d/e/l": target}, set()) if is_sure else ({}, {"link"}))


@pytest.mark.parametrize(
    "target",
    [
        "/tests/expected.txt",
        "/",
        "",
        "/work/.grading/tests",
        "../.grading/tests",
        "../../.grading/tests",
        "../../../tests",
        "/proc/self/root/tests",
        "/usr/../tests",
        "/app/a/../../tests",
        "a/../../tests/expected.txt",
        "/dev/null/../../tests",
        "/work/.root/app/../../.grading",
        "/logs/verifier/reward.txt",
        "/solution",
    ],
)
def test_links_that_may_lead_to_the_tests_are_not(target: str) -> None:
    assert carried(packed(("app/l", LINK, target))) == ({}, {"link"})


@pytest.mark.parametrize("kind", [tarfile.FIFOTYPE, tarfile.CHRTYPE, tarfile.BLKTYPE])
def test_what_is_no_file_is_not(kind: bytes) -> None:
    assert carried(packed(("app/x", kind, ""))) == ({}, {"special_file"})


def test_what_acts_at_a_start_is_the_images_or_nothing() -> None:
    stream = packed(*((f"app/{name}", FILE, "theirs") for name in ("conftest.py", "a/b/x.pth", ".bashrc", "tox.ini")))
    assert carried(stream) == ({}, {"startup_file"})
    found, flags = carried(stream, image=[("app/conftest.py", b"own"), ("app/tox.ini", b"theirs")])
    assert (found, flags) == ({"app/conftest.py": b"own", "app/tox.ini": b"theirs"}, {"startup_file"})


def test_modules_in_place_of_pythons_are_left_out_where_python_looks_first() -> None:
    names = ("json.py", "pytest.py", "random.so", "unittest/__init__.py", "_pytest/__init__.pyc")
    assert carried(packed(*((f"app/{name}", FILE, "x") for name in names))) == ({}, {"shadows_library"})
    fine = ("main.py", "json.txt", "queue", "logging/a.log", "deep/json.py", "test.py", "json_tools.py")
    found, flags = carried(packed(*((f"app/{name}", FILE, "x") for name in fine)))
    assert (len(found), flags) == (len(fine), set())
    found, flags = carried(packed(("app/queue.py", FILE, "new")), image=[("app/queue.py", b"old")])
    assert (found, flags) == ({"app/queue.py": b"new"}, set())  # the task is about it


def test_too_much_is_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(carrying, "MOST_BYTES", 5)
    monkeypatch.setattr(carrying, "MOST_MEMBERS", 3)
    small, large = ("app/a", FILE, "abc"), ("app/b", FILE, "abc")
    assert rewritten(packed(small), ("app",), "app", original=lambda path: None)[0] is not None
    assert rewritten(packed(small, large), ("app",), "app", original=lambda path: None) == (None, {"too_much"})
    many = packed(*((f"app/{number}", FOLDER, "") for number in range(4)))
    assert rewritten(many, ("app",), "app", original=lambda path: None) == (None, {"too_much"})


@given(st.binary(max_size=3000), st.integers(0, 2000))
def test_bytes_that_are_no_stream_end_in_one_way(noise: bytes, at: int) -> None:
    stream = packed(("app/a", FILE, "x" * 600), ("app/l", LINK, "/usr"))
    for each in (noise, stream[:at], stream[:at] + noise + stream[at + len(noise) :]):
        try:
            clean, _ = rewritten(each, ("app",), "app", original=lambda path: None)
        except tarfile.TarError:
            continue
        assert clean is not None
        with tarfile.open(fileobj=io.BytesIO(clean)) as source:
            assert all(member.name == "app" or member.name.startswith("app/") for member in source)
