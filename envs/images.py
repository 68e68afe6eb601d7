"""Images for tasks of the user's own: found on the engine, built of a Dockerfile, or made of another image by a script.

What is made here is named after all that it was made of, so it is made once a machine, and it has the label `SOURCE`.
Nothing is pulled: a task's image is on the machine, or the message says what to type.
"""

from __future__ import annotations

import contextlib
import hashlib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from agentrl.envs.errors import InfrastructureError

__all__ = ["ENGINE_S", "SOURCE", "built", "derived", "engine", "existing", "failed", "folder_digest", "inspected"]

SOURCE = "agentrl.source"
"""Label of what is made here: the id of the image, or the digest of the folder, that it was made of."""
ENGINE_S = 600.0
"""Seconds that the engine may take over one answer."""


@contextlib.contextmanager
def engine(what: str, *, timeout_s: float = ENGINE_S) -> Iterator[Any]:
    """Give a client of the Docker engine for the time of a `with` block.

    Args:
        what: What the engine did not do, for the message, such as "prepare 'debian:12'".
        timeout_s: Seconds that it may take over one answer.

    Raises:
        InfrastructureError: No engine answers, or it refuses.
    """
    from docker.errors import DockerException

    from agentrl.sandboxes.docker.client import agree, open_client
    from agentrl.sandboxes.docker.engine import Engine

    try:
        client = open_client(Engine().url, timeout_s)
        try:
            agree(client)
            yield client
        finally:
            client.close()
    except (DockerException, OSError) as error:
        raise failed(f"the Docker engine did not {what}: {error}") from error


def inspected(client: Any, image: str) -> Mapping[str, Any] | None:
    """Return what the engine knows of an image, None where it does not have it."""
    from docker.errors import ImageNotFound, NotFound

    try:
        found: Mapping[str, Any] = client.inspect_image(image)
    except (ImageNotFound, NotFound):
        return None
    return found


def existing(client: Any, image: str, otherwise: str) -> Mapping[str, Any]:
    """Return what the engine knows of an image that has to be there.

    Args:
        client: What `engine` gave.
        image: Its name.
        otherwise: What else can be done where it is not there, for the message.

    Raises:
        InfrastructureError: It is not there.
    """
    found = inspected(client, image)
    if found is None:
        raise failed(f"the image {image!r} is not on this machine; type `docker pull {image}`, or {otherwise}")
    return found


def derived(
    client: Any, source: str, script: str, *, environment: Mapping[str, str], repository: str, called: str
) -> str:
    """Return the id of the image that a script makes of another one; it is made where it is not there yet.

    Args:
        client: What `engine` gave.
        source: Id of the image that it is made of.
        script: For `/bin/sh`, run by root, without a network.
        environment: Variables of the script.
        repository: How the image is called; its tag says what it was made of.
        called: What the user calls the source, for the message.

    Raises:
        InfrastructureError: The script failed; the message has what it said.
    """
    tag = hashlib.sha256(repr((source, script, sorted(environment.items()))).encode()).hexdigest()[:24]
    there = inspected(client, f"{repository}:{tag}")
    if there is not None:
        return str(there["Id"])
    made = client.create_container(
        source,
        entrypoint=["/bin/sh", "-c", script],
        command=[],
        user="0:0",
        working_dir="/",
        environment=dict(environment),
        network_disabled=True,
        labels={SOURCE: source},
    )["Id"]
    try:
        client.start(made)
        code = client.wait(made, timeout=ENGINE_S)["StatusCode"]
        if code != 0:
            said = client.logs(made, tail=5).decode("utf-8", "replace").strip()
            raise failed(f"the image {called!r} cannot be used: {said or f'exit code {code}'}")
        return str(client.commit(made, repository=repository, tag=tag)["Id"])
    finally:
        client.remove_container(made, force=True, v=True)


def built(client: Any, folder: Path, *, repository: str) -> Mapping[str, Any]:
    """Return the image of a folder with a Dockerfile; it is built where it is not there yet.

    The engine's own builder is used, which knows nothing that BuildKit alone has. The build itself has a network.

    Args:
        client: What `engine` gave, with the time that a build may take.
        folder: With the Dockerfile and what it copies.
        repository: How the image is called; its tag says what was in the folder.

    Raises:
        InfrastructureError: It cannot be built; the message has the builder's last words.
    """
    digest = folder_digest(folder)
    name = f"{repository}:{digest[:24]}"
    there = inspected(client, name)
    if there is not None:
        return there
    wrong = _wrong_build(client, folder, name, digest)
    if wrong is not None:
        raise failed(
            f"{folder / 'Dockerfile'} cannot be built: {wrong}\nType `docker build -t NAME {folder}` to see it all, "
            "and give the image that it makes with image=NAME"
        )
    return existing(client, name, "build it once more")


def _wrong_build(client: Any, folder: Path, name: str, digest: str) -> str | None:
    """Build an image; return what is wrong where that failed."""
    from docker.errors import APIError

    said: list[str] = []
    try:
        for part in client.build(
            path=str(folder), tag=name, labels={SOURCE: digest}, rm=True, forcerm=True, decode=True
        ):
            text = str(part.get("stream") or part.get("error") or "").strip()
            said += [text] if text else []
            if "error" in part:
                return "\n".join(said[-4:])
    except APIError as error:
        return str(error.explanation or error)
    return None


def folder_digest(folder: Path) -> str:
    """Return a digest of the names, permissions and contents of all files below a folder."""
    digest = hashlib.sha256()
    for path in sorted(folder.rglob("*")):
        kind = "link" if path.is_symlink() else "folder" if path.is_dir() else "file"
        content = str(path.readlink()).encode() if kind == "link" else path.read_bytes() if kind == "file" else b""
        head = (path.relative_to(folder).as_posix(), kind, path.lstat().st_mode & 0o777, len(content))
        digest.update(repr(head).encode() + content)
    return digest.hexdigest()


def failed(message: str) -> InfrastructureError:
    """Return the error of an image that cannot be had."""
    return InfrastructureError(message, kind="image", boundary="docker")
