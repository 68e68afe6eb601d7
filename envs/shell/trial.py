"""A fresh box in which what an agent made is tried: the files that are needed go there, and inputs that it never saw.

What comes out is bytes, compared on the host. A program that fails, hangs or floods has failed; a box that fails is an
InfrastructureError. Of a git repository only objects and references are copied, into a repository made there: its
configuration, hooks, alternates and index could run or hide something.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from agentrl.envs.shell.remains import Remains
from agentrl.envs.tools.host import infrastructure
from agentrl.sandboxes import Backend, SandboxSpec

__all__ = ["ENVIRONMENT", "Run", "Trial", "git_files"]

ENVIRONMENT: Mapping[str, str] = {
    "GIT_AUTHOR_NAME": "Agent",
    "GIT_AUTHOR_EMAIL": "agent@example.org",
    "GIT_COMMITTER_NAME": "Agent",
    "GIT_COMMITTER_EMAIL": "agent@example.org",
    "GIT_EDITOR": "true",
    "PAGER": "cat",
    "TZ": "UTC",
}
"""Variables of the boxes; git opens no editor and no pager."""

_OBJECT = re.compile(r"[0-9a-f]{2}/[0-9a-f]{38}|pack/pack-[0-9a-f]{40}\.(pack|idx)")
_REF = re.compile(r"(heads|tags)/[A-Za-z0-9][A-Za-z0-9._/-]*")
_HASH = re.compile(rb"[0-9a-f]{40}\n?")
_SYMBOLIC = re.compile(rb"ref: refs/heads/(?!.*\.\.)[^\0- ~^:?*\[\\\x7f]+\n?")
_PACKED = re.compile(rb"([0-9a-f]{40}) refs/((heads|tags)/[A-Za-z0-9][A-Za-z0-9._/-]*)")


@dataclass(frozen=True, kw_only=True)
class Run:
    """What came of a command in the fresh box."""

    ok: bool  # ended by itself with 0
    status: int | None
    stdout: bytes


class Trial:
    """Where the judge runs things.

    Args:
        backend: Where boxes are leased.
        before: Called before a box is leased, such as to give the episode's own one back; what is read of that box must
            have been read by then.
    """

    def __init__(self, backend: Backend, before: Callable[[], None] = lambda: None) -> None:
        self._backend = backend
        self._before = before

    def run(
        self,
        files: Mapping[str, bytes],
        commands: Sequence[str],
        *,
        first: str | None = None,
        service: str | None = None,
        timeout_s: float = 10.0,
    ) -> list[Run]:
        """Run commands one after another in a box that holds these files.

        Args:
            files: By their paths below /work.
            commands: For `sh`, each in a process of its own.
            first: A command that is run before all else, whatever comes of it.
            service: A command that runs beside them, in the background.
            timeout_s: Seconds for each.

        Raises:
            InfrastructureError: The box failed, or none could be had.
        """
        self._before()
        found: list[Run] = []
        with infrastructure(), self._backend.lease(SandboxSpec(files=files, environment=ENVIRONMENT)) as box:
            if first is not None:
                box.exec(["sh", "-c", first], timeout_s=timeout_s)
            if service is not None:
                box.start(service, timeout_s=60.0)
            for command in commands:
                result = box.exec(["sh", "-c", command], timeout_s=timeout_s)
                found.append(Run(ok=result.ok, status=result.exit_code, stdout=result.stdout))
                # After "oom" the kernel may have taken the worker along; and one that hangs would hang every time.
                if result.exit_code is None or result.status == "oom":
                    break
        return found + [Run(ok=False, status=None, stdout=b"")] * (len(commands) - len(found))

    def git(self, remains: Remains, repository: str, commands: Sequence[str]) -> list[Run] | None:
        """Run git commands over an agent's objects and references; None where its repository is none.

        Args:
            remains: What the agent left.
            repository: The folder that has `.git` in it.
            commands: For `sh`, in a bare repository of the same history.

        Raises:
            InfrastructureError: The box failed, or none could be had.
        """
        files = git_files(remains, repository)
        if files is None:
            return None
        first = "git init -q --bare r 2>/dev/null && cp -r o/. r/ && cd r && git fsck --no-dangling >/dev/null 2>&1"
        results = self.run({f"o/{path}": content for path, content in files.items()}, [first, *_inside(commands)])
        return results[1:] if results[0].ok else None


def git_files(remains: Remains, repository: str) -> dict[str, bytes] | None:
    """Return the objects and references of a repository by their paths in it; None where it is none.

    Raises:
        InfrastructureError: The box failed.
    """
    root = f"{repository}/.git"
    head = remains.read(f"{root}/HEAD")
    tree, refs = remains.tree(f"{root}/objects"), remains.tree(f"{root}/refs")
    if head is None or tree is None or refs is None or not (_HASH.fullmatch(head) or _SYMBOLIC.fullmatch(head)):
        return None
    found = {"HEAD": b"ref: refs/heads/main\n"}  # the branch that is checked out may have any name
    wanted = [f"objects/{path}" for path in tree if _OBJECT.fullmatch(path)]
    wanted += [f"refs/{path}" for path, entry in refs.items() if entry.kind == "file" and _is_reference(path)]
    for path in wanted:
        content = remains.read(f"{root}/{path}")
        if content is None or (path.startswith("refs/") and not _HASH.fullmatch(content)):
            return None
        found[path] = content
    packed = remains.read(f"{root}/packed-refs")
    if packed is not None:
        # Branches and tags alone: `refs/replace` among them would show other commits than there are.
        lines = [match[0] for line in packed.splitlines() if (match := _PACKED.fullmatch(line))]
        found["packed-refs"] = b"".join(line + b"\n" for line in lines)
    return found


def _is_reference(path: str) -> bool:
    return _REF.fullmatch(path) is not None and not path.endswith(".lock")  # which a git that was stopped leaves


def _inside(commands: Sequence[str]) -> list[str]:
    return [f"cd r && {command}" for command in commands]
