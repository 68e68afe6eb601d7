"""What a job's process does between its fork and the program: become the lane's user, take its limits, start.

Its request comes first on its standard input: `spawner.HEAD` and the body of START. The rest of that is its own.
"""

from __future__ import annotations

import errno
import json
import os
import resource
import signal
import struct

from agentrl.sandboxes.worker.spawner import HEAD

TYPE_CHECKING = False  # not from typing, whose import would take milliseconds of every start
if TYPE_CHECKING:
    from typing import Any, NoReturn

__all__ = ["candidates", "complain", "failure", "limits", "prepare", "run", "settle", "take"]

PR_SET_DUMPABLE, PR_SET_NO_NEW_PRIVS = 4, 38
CAPABILITY_VERSION_3 = 0x20080522
LANDLOCK_CREATE_RULESET, LANDLOCK_RESTRICT_SELF = 444, 446
LANDLOCK_SCOPES = 3  # signals and abstract sockets
PATH = "/usr/local/bin:/usr/bin:/bin"
FILE_MODES = ("write", "read", "list")

_libc: Any = None
_settled = False


def prepare(config: dict[str, Any]) -> None:
    """Load, in the spawner, what every job needs, and give up the right to gain privileges."""
    global _libc
    import traceback  # noqa: F401

    from agentrl.sandboxes.worker import call, files, program, session  # noqa: F401

    program.prepare()
    try:
        import ctypes

        # With the interpreter's lock held: calls into it are short, and `exit` must not let other threads go on.
        _libc = ctypes.PyDLL(None, use_errno=True)
    except (ImportError, OSError):
        return  # a Python without ctypes: the engine has set no_new_privs, and a job's own /proc is root's
    _libc.prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)
    _libc.prctl(PR_SET_DUMPABLE, 0, 0, 0, 0)
    if config["split"]:
        _keep_nothing_inheritable()


def run(fds: list[int], config: dict[str, Any]) -> None:
    """Become the job whose descriptors these are. Returns, or raises SystemExit, where the job is Python."""
    settle()
    for target, fd in enumerate(fds):
        os.dup2(fd, target)
    os.closerange(len(fds), 64)
    uid, gid, size = HEAD.unpack(take(HEAD.size))
    request = json.loads(take(size))
    mode = request["mode"]
    try:
        _become(uid, gid, request, config)
    except OSError as error:
        complain(f"cannot become user {uid}", error)
    if mode in FILE_MODES:
        from agentrl.sandboxes.worker import files

        files.run(request)
    if _libc:
        _libc.prctl(PR_SET_DUMPABLE, 1, 0, 0, 0)
    try:
        os.chdir(request["cwd"])
    except (OSError, ValueError) as error:
        complain("cannot enter {!r}".format(request["cwd"]), error)
    if mode == "exec":
        execute(request["argv"], request["env"])
    import gc

    gc.enable()
    from agentrl.sandboxes.worker import program

    program.run(request, _libc.exit if _libc else os._exit)


def settle() -> None:
    """Undo what the spawner alone needs; what can be done before there is a job."""
    global _settled
    if not _settled:
        signal.set_wakeup_fd(-1)
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        os.setsid()
        _settled = True


def execute(argv: list[str], env: dict[str, str]) -> NoReturn:
    """Replace this process by a program, or exit as a shell would: 127 when it is not found, else 126."""
    # Not os.execvpe: it makes a warnings filter on its way, which costs as much as the fork.
    worst: Exception = FileNotFoundError(errno.ENOENT, "")
    for path in candidates(argv[0], env):
        try:
            os.execve(path, argv, env)
        except (FileNotFoundError, NotADirectoryError):
            continue
        except (OSError, ValueError) as error:
            worst = error
    complain(f"cannot run {argv[0]!r}", worst)


def candidates(name: str, env: dict[str, str]) -> list[str]:
    """Return the paths at which a program may be, in the order to try them."""
    if "/" in name or not name:
        return [name] if name else []
    return [os.path.join(each, name) for each in env.get("PATH", PATH).split(":")]


def complain(what: str, error: Exception) -> NoReturn:
    """Say on standard error what kept the job from starting, and exit."""
    words, code = failure(what, error)
    try:
        os.write(2, words)
    finally:
        os._exit(code)


def failure(what: str, error: Exception) -> tuple[bytes, int]:
    """Return what to say of a job that could not start, and the exit code a shell would give it."""
    number = error.errno if isinstance(error, OSError) else None
    text = os.strerror(number) if number else str(error)
    code = 127 if number == errno.ENOENT and what.startswith("cannot run") else 126
    return f"sandbox: {what[:2000]}: {text}\n".encode("utf-8", "replace"), code


def limits(open_files: int, config: dict[str, Any]) -> list[tuple[int, int, int]]:
    """Return the limits of every job, each with its soft and hard bound, that this process does not have already."""
    # Twice what the box can hold: a full disk is ENOSPC, and a file of holes ends somewhere.
    file_size = 2 * config["disk_mb"] << 20
    wanted = [
        (resource.RLIMIT_CORE, 0),
        (resource.RLIMIT_FSIZE, file_size),
        (getattr(resource, "RLIMIT_MSGQUEUE", None), 0),
        (resource.RLIMIT_NOFILE, open_files),
        (resource.RLIMIT_NPROC, config.get("nproc")),
    ]
    bounds = [(which, *_bounds(which, each)) for which, each in wanted if which is not None and each is not None]
    # gVisor refuses to set some limits even to what they are.
    return [(which, soft, hard) for which, soft, hard in bounds if resource.getrlimit(which) != (soft, hard)]


def take(size: int) -> bytes:
    """Return the next bytes of standard input; exit when it ends before."""
    parts = []
    while size:
        part = os.read(0, min(size, 1 << 16))
        if not part:
            os._exit(126)
        parts.append(part)
        size -= len(part)
    return b"".join(parts)


def _become(uid: int, gid: int, request: dict[str, Any], config: dict[str, Any]) -> None:
    os.umask(0o002)
    _prefer_for_oom()
    if config["split"]:
        os.setgroups([])
        os.setresgid(gid, gid, gid)
    if request["mode"] not in FILE_MODES:
        _limit(request, config)
    if config["split"]:
        os.setresuid(uid, uid, uid)
    elif _libc:
        _scope()
        _drop()


def _prefer_for_oom() -> None:
    try:
        fd = os.open("/proc/self/oom_score_adj", os.O_WRONLY)
    except OSError:
        return  # a read-only /proc; the worker is small, and the kernel chooses by size
    try:
        os.write(fd, b"1000")
    finally:
        os.close(fd)


def _limit(request: dict[str, Any], config: dict[str, Any]) -> None:
    for which, soft, hard in limits(request["open_files"], config):
        resource.setrlimit(which, (soft, hard))
    if request.get("cpu_s"):
        seconds = int(-(-request["cpu_s"] // 1))
        resource.setrlimit(resource.RLIMIT_CPU, _bounds(resource.RLIMIT_CPU, seconds, seconds + 1))


def _bounds(which: int, soft: int, hard: int | None = None) -> tuple[int, int]:
    """Return a limit as it can be had: never above what this process has."""
    hard = soft if hard is None else hard
    most = resource.getrlimit(which)[1]
    return (soft, hard) if most == resource.RLIM_INFINITY else (min(soft, most), min(hard, most))


def _keep_nothing_inheritable() -> None:
    """Clear the inheritable capabilities, which alone outlive a change of user."""
    import ctypes

    sets = ctypes.create_string_buffer(24)
    _checked(_libc.capget(struct.pack("Ii", CAPABILITY_VERSION_3, 0), sets), "capget")
    words = list(struct.unpack("6I", sets.raw))
    words[2] = words[5] = 0
    _checked(_libc.capset(struct.pack("Ii", CAPABILITY_VERSION_3, 0), struct.pack("6I", *words)), "capset")


def _drop() -> None:
    """Drop every capability, where the job's user is the worker's own."""
    _checked(_libc.capset(struct.pack("Ii", CAPABILITY_VERSION_3, 0), bytes(24)), "capset")


def _checked(result: int, name: str) -> None:
    if result:
        import ctypes

        raise OSError(ctypes.get_errno(), name)


def _scope() -> None:
    """Have Landlock refuse signals, and connections to abstract sockets, out of this job; nothing where it has none."""
    ruleset = _libc.syscall(LANDLOCK_CREATE_RULESET, struct.pack("QQQ", 0, 0, LANDLOCK_SCOPES), 24, 0)
    if ruleset >= 0:
        _libc.syscall(LANDLOCK_RESTRICT_SELF, ruleset, 0)
        os.close(ruleset)
