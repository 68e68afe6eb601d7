"""Python jobs in a process that is warm already, made to look as if `python3 -c` had just started it.

What differs: `sys.flags` are those of the worker (isolated), the hash seed is one for all jobs of a box, and modules
that the spawner has loaded (json, traceback, ctypes among them) are loaded. A job that sets a PYTHON variable which is
read only at start-up gets a real `python3 -c` instead.
"""

from __future__ import annotations

import io
import os
import signal
import sys

TYPE_CHECKING = False  # not from typing, whose import would take milliseconds of every start
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any, NoReturn

__all__ = ["fresh_main", "prepare", "print_error", "run", "run_source"]

# These can be had without a new interpreter.
LATE = ("PYTHONPATH", "PYTHONDONTWRITEBYTECODE", "PYTHONUNBUFFERED")
LONGEST_ARGUMENT = 131_000
PACKAGE = "agentrl"
INTERRUPTED = 0x100 + signal.SIGINT

_loaded: set[str] = set()


def prepare() -> None:
    """Remember, in the spawner, which modules are no program's own."""
    _loaded.update(sys.modules)


def run(request: dict[str, Any], leave: Callable[[int], Any]) -> NoReturn:
    """Be a "python", "session" or "call" job.

    Args:
        leave: Ends the process, after what C has registered for that.
    """
    from agentrl.sandboxes.worker import call, session
    from agentrl.sandboxes.worker.job import take

    mode, env = request["mode"], request["env"]
    if mode == "session":
        _adopt(env)
        _hide()
        session.run(request)
        _finish(0, leave)
    source = take(request["source_bytes"])
    if mode == "call":
        payload = take(request["payload_bytes"])
        _adopt(env)
        _hide()
        call.run(request, source, payload)
    _start_anew(source, env)
    _adopt(env)
    _hide()
    _finish(run_source(source), leave)


def run_source(source: bytes) -> int:
    """Run a program as __main__ and return its exit code; what it raises is printed as Python prints it."""
    sys.argv = ["-c"]
    space = fresh_main()
    try:
        code = compile(source.decode("utf-8", "surrogateescape"), "<string>", "exec", dont_inherit=True)
        del source
        exec(code, space)
    except SystemExit as error:
        return _exit_code(error)
    except BaseException as error:
        sys.last_type, sys.last_value, sys.last_traceback = type(error), error, error.__traceback__
        if error.__traceback__ is not None:
            error.__traceback__ = error.__traceback__.tb_next
        try:
            print_error(error)
        except SystemExit as second:
            return _exit_code(second)
        return INTERRUPTED if isinstance(error, KeyboardInterrupt) else 1
    return 0


def fresh_main() -> dict[str, Any]:
    """Make a new __main__ and return its names."""
    import builtins

    main = type(sys)("__main__")
    main.__dict__.update(__builtins__=builtins, __annotations__={})
    main.__loader__ = sys.modules["_frozen_importlib"].BuiltinImporter
    sys.modules["__main__"] = main
    return main.__dict__


def print_error(error: BaseException) -> None:
    """Hand an exception to `sys.excepthook`, as Python does before it ends."""
    try:
        sys.excepthook(type(error), error, error.__traceback__)
    except SystemExit:
        raise
    except BaseException:
        sys.__excepthook__(type(error), error, error.__traceback__)


def _start_anew(source: bytes, env: dict[str, str]) -> None:
    """Become a real `python3 -c` where the environment asks for what only its start-up can give."""
    from agentrl.sandboxes.worker.job import execute

    odd = [name for name in env if name.startswith("PYTHON") and name not in LATE]
    if odd and len(source) < LONGEST_ARGUMENT:
        execute([sys.executable, "-c", os.fsdecode(source)], env)


def _adopt(env: dict[str, str]) -> None:
    """Take on the environment, fresh standard streams, and what the worker's switches had turned off."""
    os.environ.clear()
    os.environ.update(env)
    signal.signal(signal.SIGPIPE, signal.SIG_IGN)
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    sys.dont_write_bytecode = bool(env.get("PYTHONDONTWRITEBYTECODE"))
    paths: list[str] = env["PYTHONPATH"].split(":") if env.get("PYTHONPATH") else []
    sys.path[:0] = ["", *paths]
    unbuffered = bool(env.get("PYTHONUNBUFFERED"))
    sys.stdin = _stream("stdin", io.BufferedReader(_raw(0, "r")), "strict", False)
    sys.stdout = _stream("stdout", _buffered(1, unbuffered), "strict", unbuffered)
    sys.stderr = _stream("stderr", _buffered(2, unbuffered), "backslashreplace", unbuffered, by_line=True)


def _stream(name: str, buffer: Any, errors: str, unbuffered: bool, by_line: bool = False) -> io.TextIOWrapper:
    stream = io.TextIOWrapper(buffer, "utf-8", errors, line_buffering=by_line or unbuffered, write_through=unbuffered)
    stream.mode = "r" if name == "stdin" else "w"  # type: ignore[misc]
    setattr(sys, f"__{name}__", stream)
    return stream


def _buffered(fd: int, unbuffered: bool) -> Any:
    return _raw(fd, "w") if unbuffered else io.BufferedWriter(_raw(fd, "w"))


def _raw(fd: int, mode: str) -> io.FileIO:
    raw = io.FileIO(fd, mode, closefd=False)
    raw.name = ("<stdin>", "<stdout>", "<stderr>")[fd]
    return raw


def _hide() -> None:
    """Take these modules out of the program's sight: its own `import agentrl` must not find them."""
    for name in [name for name in sys.modules if name == PACKAGE or name.startswith(PACKAGE + ".")]:
        del sys.modules[name]
    del sys.meta_path[0]
    sys.path_importer_cache.clear()


def _exit_code(error: SystemExit) -> int:
    if error.code is None:
        return 0
    if isinstance(error.code, int):
        return error.code & 0xFF
    try:
        sys.stderr.write(str(error.code) + "\n")
    except Exception:
        return 1  # as Python: what cannot be printed is not
    return 1


def _finish(code: int, leave: Callable[[int], Any]) -> NoReturn:
    """End as the interpreter does: threads joined, atexit run, the program's own objects freed, streams flushed.

    A full shutdown would also take apart every module that the spawner has loaded, and so copy its pages: 3.5 ms.
    """
    import atexit
    import gc

    well = True
    try:
        if "threading" in sys.modules:
            sys.modules["threading"]._shutdown()
        atexit._run_exitfuncs()
        well = _flush(say=True)
        sys.last_type = sys.last_value = sys.last_traceback = None
        own = [module for name, module in list(sys.modules.items()) if name not in _loaded or name == "__main__"]
        for module in reversed(own):
            _forget_names(module)
        del own
        gc.collect()
    except BaseException as error:
        sys.__excepthook__(type(error), error, error.__traceback__)
    if not (_flush(say=well) and well) and code == 0:
        code = 120
    if code == INTERRUPTED:
        signal.signal(signal.SIGINT, signal.SIG_DFL)
        os.kill(os.getpid(), signal.SIGINT)
    leave(code & 0xFF)
    os._exit(code & 0xFF)


def _forget_names(module: Any) -> None:
    """Drop what a module holds, in Python's order: what begins with one underscore first, builtins never."""
    names = getattr(module, "__dict__", {})
    if type(names) is not dict:
        return
    for private in (True, False):
        for name in list(names):
            if type(name) is str and name != "__builtins__" and (name[:1] == "_" and name[1:2] != "_") is private:
                names[name] = None


def _flush(say: bool) -> bool:
    """Flush the standard streams and say whether standard output, or standard error, took it all."""
    well = True
    for stream in (sys.stdout, sys.stderr):
        try:
            if stream is not None and not stream.closed:
                stream.flush()
        except Exception as error:
            well = False
            if say and stream is sys.stdout:
                words = f"Exception ignored in: {stream!r}\n{type(error).__name__}: {error}\n"
                os.write(2, words.encode("utf-8", "replace"))
    return well
