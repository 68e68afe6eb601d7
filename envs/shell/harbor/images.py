"""Images of tasks, made fit for a box, whose root nobody can write: the folders of a task are moved, and linked to.

From a task's image one more is made, once. Each writable folder is at `BASE` there, and in its place is a link to a
folder in memory, which a box fills from `BASE` as an episode begins. All else of the image is as the image has it, for
the agent and for the tests alike: programs, libraries and settings of the system are never the agent's. `/tests`,
`/logs` and `/solution` are links too, to folders that are empty until tests or solution are copied there.
"""

from __future__ import annotations

import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from agentrl.envs.errors import UsageError
from agentrl.envs.images import ENGINE_S, built, derived, engine, existing, failed, inspected
from agentrl.envs.shell.harbor.format import HarborTask
from agentrl.sandboxes.docker.args import PATH

__all__ = [
    "BASE",
    "GRADING",
    "PROGRAMS",
    "ROOT",
    "SOLUTION",
    "Prepared",
    "checked_folders",
    "checked_template",
    "is_in",
    "prepared",
]

REPOSITORY = "agentrl-harbor"
BASE = "/.agentrl-base"
ROOT = "/work/.root"
"""Where the writable folders of the image are in a box: /app is ROOT/app."""
GRADING = "/work/.grading"
SOLUTION = "/work/.solution"
PROGRAMS = f"PATH={PATH}; export PATH"
"""First line of our own scripts in a box: programs are the image's, whatever the task's variables say."""
USER = 1000  # that of a box's jobs; see SandboxSpec.user
_OWN = ("/work", "/tmp", "/proc", "/sys", "/dev", "/run", "/tests", "/logs", "/solution", BASE)
_SYSTEM = (
    *("/bin", "/sbin", "/lib", "/lib32", "/lib64", "/boot", "/usr/bin", "/usr/sbin", "/usr/lib", "/usr/libexec"),
    *("/usr/local/bin", "/usr/local/sbin", "/usr/local/lib"),
)
_FIXED = ("/", "/usr", "/usr/local", "/etc", "/var")  # themselves, not what is below

_lock = threading.Lock()
_images: dict[tuple[object, ...], Prepared] = {}

_SCRIPT = f"""set -e
for program in bash tar cp; do
  command -v $program >/dev/null || {{ echo "it has no $program" >&2; exit 3; }}
done
rm -rf /tests /logs /solution {BASE}
mkdir {BASE}
IFS='
'
for folder in $FOLDERS; do
  if [ -L "$folder" ] || {{ [ -e "$folder" ] && [ ! -d "$folder" ]; }}; then
    echo "$folder is no folder of its own; name folders with writable=" >&2; exit 4
  fi
  mkdir -p "$folder" "{BASE}${{folder%/*}}"
  mv "$folder" "{BASE}$folder"
  ln -s "{ROOT}$folder" "$folder"
done
chown -R {USER}:{USER} {BASE}
ln -s {GRADING}/tests /tests
ln -s {GRADING}/logs /logs
ln -s {SOLUTION} /solution
"""


@dataclass(frozen=True, kw_only=True)
class Prepared:
    """An image that boxes of a task are made of."""

    id: str
    called: str  # the image that it was made of
    place: str  # the working folder, where commands begin
    folders: tuple[str, ...]  # that can be written; sorted
    environment: Mapping[str, str]  # what the image says, with a PATH on which writable folders come last


def checked_folders(writable: Sequence[str] | None) -> tuple[str, ...] | None:
    """Return the folders that an agent may write to, sorted; None where the image is to say.

    Raises:
        UsageError: One of them is no absolute path, or holds what must be the image's own.
    """
    if writable is None:
        return None
    if isinstance(writable, str) or not all(isinstance(each, str) for each in writable) or not writable:
        raise UsageError(f"writable={writable!r} must be a list of folders of the image, such as ['/app', '/root']")
    for folder in writable:
        reason = _unfit(folder)
        if reason is not None:
            raise UsageError(f"writable: {folder!r} {reason}")
    folders = sorted(set(writable))
    return tuple(each for each in folders if not any(is_in(each, other) for other in folders if other != each))


def checked_template(image: str | None) -> None:
    """Refuse a template of an image's name with another field than {task}.

    Raises:
        UsageError: It has one.
    """
    try:
        _named(image or "x", "task")
    except (KeyError, IndexError, ValueError) as error:
        raise UsageError(f"image={image!r} is no name of an image; {{task}} stands for the task's name") from error


def prepared(
    task: HarborTask, *, image: str | None, build: bool, writable: tuple[str, ...] | None, anew: bool = False
) -> Prepared:
    """Return the image that boxes of a task are made of; what is missing of it is made now.

    Args:
        task: Whose.
        image: Name of an image that is used in place of the task's own, with {task} for the task's name.
        build: Whether a task whose image is not there is built of its Dockerfile.
        writable: The folders that can be written, as `checked_folders` gave them; None: the image's working folder.
        anew: Look whether an image that was there before is there still.

    Raises:
        InfrastructureError: No engine answers; the image is not there and may not be built; or it does not fit.
    """
    key = (task.folder, task.image, image, build, writable)
    with _lock:
        known = _images.get(key)
        if known is None or anew:
            with engine(f"prepare the image of task {task.id!r}", timeout_s=max(ENGINE_S, task.build_s)) as client:
                if known is None or inspected(client, known.id) is None:
                    _images[key] = _prepared(client, task, image, build, writable)
        return _images[key]


def _prepared(
    client: Any, task: HarborTask, image: str | None, build: bool, writable: tuple[str, ...] | None
) -> Prepared:
    called, found = _found(client, task, image, build)
    config = found.get("Config") or {}
    place = str(config.get("WorkingDir") or "/").rstrip("/") or "/"
    if writable is None and _unfit(place) is not None:
        raise failed(
            f"the working folder of the image {called!r} {_unfit(place)}: {place}; name the folders that the agent may "
            "write to, such as writable=['/app', '/root']"
        )
    folders = writable or (place,)
    made = derived(
        client,
        found["Id"],
        _SCRIPT,
        environment={"FOLDERS": "\n".join(folders)},
        repository=REPOSITORY,
        called=called,
    )
    return Prepared(
        id=made, called=called, place=place, folders=folders, environment=_environment(config.get("Env"), folders)
    )


def _found(client: Any, task: HarborTask, image: str | None, build: bool) -> tuple[str, Mapping[str, Any]]:
    """Return the task's image and its name."""
    if image is not None:
        name = _named(image, task.id)
        return name, existing(client, name, "name another one with image=")
    found = inspected(client, task.image) if task.image is not None else None
    if task.image is not None and found is not None:
        return task.image, found
    if build and task.build is not None:
        return f"of {task.build}", built(client, Path(task.build), repository=REPOSITORY)
    dockerfile = f"{task.build}/Dockerfile" if task.build is not None else None
    ways = ["name an image of this machine with image='NAME' or image='my/{task}:1'"]
    ways += ["build it with build=True"] if dockerfile else []
    ways = ([f"type `docker pull {task.image}`"] if task.image else []) + ways
    lacks = f"the image {task.image!r} of task {task.id!r} is not on this machine" if task.image else ""
    none = f"task {task.id!r} names no docker_image{'' if dockerfile else ' and has no Dockerfile to build it of'}"
    raise failed(f"{lacks or none}; {', or '.join(ways)}")


def _named(image: str, task: str) -> str:
    return image.format(task=task.lower())


def _environment(given: Sequence[str] | None, folders: Sequence[str]) -> dict[str, str]:
    """Return the variables of an image that mean something in a box."""
    found = dict(each.split("=", 1) for each in given or () if "=" in each)
    parts = [each for each in found.get("PATH", PATH).split(":") if each]
    late = [each for each in parts if any(is_in(each, folder) for folder in folders)]
    found["PATH"] = ":".join([*(each for each in parts if each not in late), *late])
    return {name: text for name, text in found.items() if name not in ("HOME", "TMPDIR", "FOLDERS", "HOSTNAME")}


def _unfit(folder: str) -> str | None:
    """Return why a folder cannot be one that the agent writes to; None where it can."""
    parts = folder.split("/")
    if not folder.startswith("/") or (folder != "/" and not all(parts[1:])) or {".", ".."} & set(parts):
        return "is no absolute path without '.' and '..'"
    if not folder.isprintable():
        return "has a name that cannot be printed"
    if folder in _FIXED:
        return "holds programs and settings of the system, which stay as the image has them; name one below it"
    if any(is_in(folder, each) for each in _SYSTEM):
        return "holds programs of the system, which stay as the image has them"
    if any(is_in(folder, each) for each in _OWN):
        return "is a place that a box has for itself"
    return None


def is_in(path: str, folder: str) -> bool:
    """Say whether a path is a folder or lies below it."""
    return path == folder or path.startswith(f"{folder}/")
