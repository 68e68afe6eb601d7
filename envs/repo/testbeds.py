"""Images of instances, made fit for a box: the root of a box cannot be written, and no history of the fix may be in it.

From an image with a repository at /testbed one more is made, once: the repository is at /testbed.base without its
history, and /testbed is a link to a folder that a box can write. A box copies it there at reset and makes one commit.
"""

from __future__ import annotations

import threading

from agentrl.envs.images import derived, engine, existing

__all__ = ["BASE", "TESTBED", "WRITABLE", "prepared"]

TESTBED = "/testbed"
BASE = "/testbed.base"
WRITABLE = "/work/testbed"
REPOSITORY = "agentrl-testbed"

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
            with engine(f"prepare {image!r}") as client:
                found = existing(client, image, "name another one with image= or in the row's image_name")
                _ids[image, commit] = derived(
                    client,
                    found["Id"],
                    _SCRIPT,
                    environment={"COMMIT": commit},
                    repository=REPOSITORY,
                    called=image,
                )
        return _ids[image, commit]
