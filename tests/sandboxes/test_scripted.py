"""The scripted backend: what it answers, what it notes, and what it does not let pass."""

from __future__ import annotations

import pytest

from agentrl.sandboxes.errors import SandboxClosed, SandboxDied, SandboxFileError, SpecError
from agentrl.sandboxes.results import CallResult, ExecResult
from agentrl.sandboxes.scripted import Answer, Asked, ScriptedBackend, UnexpectedCall, cell_result, exec_result
from agentrl.sandboxes.spec import SandboxSpec


def test_answers_come_in_order_and_calls_are_noted() -> None:
    backend = ScriptedBackend([exec_result("a"), exec_result(status="timeout"), cell_result("42")])
    with backend, backend.lease(SandboxSpec(memory_mb=64)) as box:
        assert box.exec(["x", "y"], stdin=b"in", cwd="/tmp", environment={"A": "b"}, timeout_s=3.0).stdout == b"a"
        result = box.run_python("pass")
        assert (result.status, result.exit_code, result.signal) == ("timeout", None, 9)
        assert box.python().run("6 * 7").value == "42"
    first, second, third = backend.asked
    assert (first.kind, first.what, first.stdin, first.cwd) == ("exec", ["x", "y"], b"in", "/tmp")
    assert (first.environment, first.timeout_s) == ({"A": "b"}, 3.0)
    assert (second.kind, second.what) == ("run_python", "pass")
    assert (third.kind, third.what) == ("cell", "6 * 7")
    assert backend.left == 0
    assert [spec.memory_mb for spec in backend.leases] == [64]


def test_a_function_answers_and_sees_the_files() -> None:
    def answer(asked: Asked) -> Answer:
        if asked.what == "die":
            return SandboxDied("as written")
        return exec_result(asked.files["/work/a"])

    with ScriptedBackend(answer) as backend, backend.lease(SandboxSpec(files={"a": b"content"})) as box:
        assert box.exec("cat a").stdout == b"content"
        with pytest.raises(SandboxDied, match="as written"):
            box.exec("die")


def test_calls_background_jobs_and_streams() -> None:
    called = CallResult(status="ok", returned=True, value=3, error=None, stdout=b"", stderr=b"", wall_s=0.0, flags=())
    pieces: list[tuple[str, bytes]] = []
    with ScriptedBackend([called, exec_result("o", stderr="e")]) as backend, backend.lease() as box:
        assert box.call("f", [1], {"k": 2}, source="def f(): ...").value == 3
        process = box.start(["x"], on_output=lambda name, data: pieces.append((name, data)))
        assert process.poll() == process.wait() == process.kill()
        assert process.output() == (b"o", b"e")
    assert pieces == [("stdout", b"o"), ("stderr", b"e")]
    assert (backend.asked[0].args, backend.asked[0].kwargs) == ((1,), {"k": 2})


def test_what_was_not_written_down_is_no_sandbox_error() -> None:
    with ScriptedBackend([cell_result("1")]) as backend, backend.lease() as box:
        with pytest.raises(UnexpectedCall, match="takes a ExecResult, and the answer is a CellResult"):
            box.exec("x")
        with pytest.raises(UnexpectedCall, match="no answer is left for call 2: exec 'x'"):
            box.exec("x")
        assert issubclass(UnexpectedCall, AssertionError)


def test_what_a_real_box_refuses_is_refused() -> None:
    with ScriptedBackend(lambda asked: exec_result()) as backend, backend.lease() as box:
        for refused in (
            lambda: box.exec([]),
            lambda: box.exec(["a\0"]),
            lambda: box.exec("x", timeout_s=0),
            lambda: box.exec("x", environment={"A": "\0"}),
            lambda: box.exec("x", cwd=""),
            lambda: box.call("f", [object()], source=""),
            lambda: box.read(""),
        ):
            with pytest.raises(SpecError):
                refused()
    assert backend.asked == []


def test_files_are_kept_for_a_lease() -> None:
    with ScriptedBackend() as backend:
        with backend.lease(SandboxSpec(files={"given": b"1"})) as box:
            box.write("a/b/c.txt", b"abc", mode=0o600)
            assert box.read("/work/a/b/c.txt") == b"abc"
            assert [(entry.name, entry.kind) for entry in box.list()] == [("a", "folder"), ("given", "file")]
            assert [(entry.name, entry.size, entry.mode) for entry in box.list("a/b")] == [("c.txt", 3, 0o600)]
            for refused in (
                lambda: box.read("missing"),
                lambda: box.read("a"),
                lambda: box.read("given", max_bytes=0),
                lambda: box.write("a", b""),
                lambda: box.write("given/below", b""),
                lambda: box.list("given"),
                lambda: box.list("missing"),
                lambda: box.list(max_entries=1),
            ):
                with pytest.raises(SandboxFileError):
                    refused()
        with backend.lease() as other:
            assert other.list() == []


def test_after_closing_nothing_works() -> None:
    backend = ScriptedBackend(lambda asked: exec_result())
    box = backend.lease()
    session = box.python()
    session.close()
    with pytest.raises(SandboxClosed):
        session.run("1")
    other = backend.lease()
    box.close()
    for use in (lambda: box.exec("x"), lambda: box.read("x"), lambda: box.list(), box.python):
        with pytest.raises(SandboxClosed):
            use()
    backend.close()
    with pytest.raises(SandboxDied):
        other.exec("x")
    with pytest.raises(SandboxClosed):
        backend.lease()


def test_it_says_that_it_holds_nothing() -> None:
    found = ScriptedBackend().capabilities()
    assert (found.backend, found.held) == ("scripted", frozenset())


def test_run_leases_a_box_of_its_own() -> None:
    backend = ScriptedBackend([exec_result("x")])
    result = backend.run(["x"])
    assert isinstance(result, ExecResult)
    assert len(backend.leases) == 1
