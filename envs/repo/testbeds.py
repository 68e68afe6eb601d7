"""Images of instances, made fit for a box: the root of a box cannot be written, and no history of the fix may be in it.

From an image with a repository at /testbed one more is made, once: the repository is at /testbed.base without its
history, and /testbed is a link to a folder that a box can write. A box copies it there at reset and makes one commit.
"""

from __future__ import annotations

import hashlib
import threading
from typing import Any

from agentrl.envs.errors import InfrastructureError

__all__ = ["BASE", "TESTBED", "WRITABLE", "prepared"]

TESTBED = "/testbed"
BASE = "/testbed.base"
WRITABLE = "/work/testbed"
REPOSITORY = "agentrl-testbed"
MAKE_S = 600.0

_lock = threading.Lock()
_ids: dict[tuple[str, str], str] = {}

# Where the image is not at the commit it is brought there. A later commit may hold the fix; but SWE-bench makes one
# of that name on top, of what its installation changed.
_SCRIPT = f"""set -e
test -d {TESTBED}/.git || {{ echo "there is no repository at {TESTBED}" >&2; exit 3; }}
cd {TESTBED}
export GIT_CONFIG_COUNT=1 GIT_CONFIG_KEY_0=safe.directory GIT_CONFIG_VALUE_0='*'
git cat-file -e "$COMMIT^{{commit}}" || {{ echo "there is no commit $COMMIT in {TESTBED}" >&2; exit 4; }}
wanted=$(git rev-parse "$COMMIT^{{commit}}")
if [ "$(git rev-parse HEAD)" != "$wanted" ]; then
  if [ "$(git log -1 --format=%s)" != SWE-bench ] || [ "$(git log -1 --format=%P)" != "$wanted" ]; then
    git checkout -q -f "$wanted"
  fi
fi
rm -rf .git
cd /
mv {TESTBED} {BASE}
ln -s {WRITABLE} {TESTBED}
chmod -R a+rX {BASE}
"""


def prepared(image: str, commit: str) -> str:
    """Return the id of the image that boxes of an instance are made of; it is made where it is not there yet.

    Args:
        image: Name of the instance's image, which has to be on this machine.
        commit: Its `base_commit`.

    Raises:
        InfrastructureError: No engine answers, the image is not there, or has no such repository or commit.
    """
    with _lock:
        if (image, commit) not in _ids:
            _ids[image, commit] = _prepared(image, commit)
        return _ids[image, commit]


def _prepared(image: str, commit: str) -> str:
    from docker.errors import DockerException, ImageNotFound, NotFound

    from agentrl.sandboxes.docker.client import agree, open_client
    from agentrl.sandboxes.docker.engine import Engine

    try:
        client = open_client(Engine().url, MAKE_S)
        try:
            agree(client)
            try:
                found = client.inspect_image(image)["Id"]
            except (ImageNotFound, NotFound):
                raise _failed(
                    f"the image {image!r} is not on this machine; type `docker pull {image}`, or name another one with "
                    "image= or in the row's image_name"
                ) from None
            tag = hashlib.sha256(f"{found} {commit} {_SCRIPT}".encode()).hexdigest()[:24]
            try:
                return str(client.inspect_image(f"{REPOSITORY}:{tag}")["Id"])
            except (ImageNotFound, NotFound):
                return _made(client, found, commit, tag, image)
        finally:
            client.close()
    except (DockerException, OSError) as error:
        raise _failed(f"the Docker engine did not prepare {image!r}: {error}") from error


def _made(client: Any, found: str, commit: str, tag: str, image: str) -> str:
    made = client.create_container(
        found,
        entrypoint=["/bin/sh", "-c", _SCRIPT],
        command=[],
        user="0:0",
        working_dir="/",
        environment={"COMMIT": commit},
        network_disabled=True,
        labels={"agentrl.testbed": tag},
    )["Id"]
    try:
        client.start(made)
        code = client.wait(made, timeout=MAKE_S)["StatusCode"]
        if code != 0:
            said = client.logs(made, tail=5).decode("utf-8", "replace").strip()
            raise _failed(f"the image {image!r} cannot be used: {said or f'exit code {code}'}")
        return str(client.commit(made, repository=REPOSITORY, tag=tag)["Id"])
    finally:
        client.remove_container(made, force=True, v=True)


def _failed(message: str) -> InfrastructureError:
    return InfrastructureError(message, kind="image", boundary="docker")
