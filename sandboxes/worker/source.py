"""How the worker gets into a box: the host sends it there as source, so any image with python3 will do.

Start `python3 -I -B -u -c BOOTSTRAP` as root in the box and write `bundle(config)` to its standard input; frames follow
(`agentrl.sandboxes.worker.frames`). Nothing is mounted, nothing is baked into an image. The modules of this folder run
on the box's Python, 3.8 or later, with the standard library alone; only this file runs on the host.
"""

from __future__ import annotations

import functools
import json
from pathlib import Path
from typing import Any

__all__ = ["BOOTSTRAP", "bundle"]

# Sources are compiled at their first import, so the way to READY pays for few of them. What `main` returns is what a
# forked job runs: called from here, with nothing of the worker left on the stack.
BOOTSTRAP = """\
import os, sys
def take(size):
    parts = []
    while size:
        part = os.read(0, min(size, 1 << 16))
        if not part:
            os._exit(0)
        parts.append(part)
        size -= len(part)
    return b"".join(parts)
import json
bundle = json.loads(take(int.from_bytes(take(8), "big")))
class Loader:
    def find_spec(self, name, path=None, target=None):
        if name in bundle["modules"]:
            return type(sys.__spec__)(name, self, is_package=not bundle["modules"][name])
    def create_module(self, spec):
        return None
    def exec_module(self, module):
        name = module.__name__
        code = compile(bundle["modules"][name], "<" + name + ">", "exec", dont_inherit=True)
        exec(code, module.__dict__)
sys.meta_path.insert(0, Loader())
from agentrl.sandboxes.worker.main import main
main(bundle["config"])()
"""


def bundle(config: dict[str, Any]) -> bytes:
    """Return the bytes to write first to a worker: its modules, and what it must know of its box.

    Args:
        config: "user", "lanes", "silence_s", "memory_mb", "pids", "disk_mb", "open_files", "environment", "split",
            "nproc", "tunnel_port" and "folders", as `main.Config` reads them.
    """
    body = json.dumps({"config": config, "modules": _modules()}).encode()
    return len(body).to_bytes(8, "big") + body


@functools.cache
def _modules() -> dict[str, str]:
    """Return the source of each module by its real name; a package has none."""
    modules = {"agentrl": "", "agentrl.sandboxes": "", "agentrl.sandboxes.worker": ""}
    for path in sorted(Path(__file__).parent.glob("*.py")):
        if path.stem not in ("__init__", "source"):
            modules[f"agentrl.sandboxes.worker.{path.stem}"] = path.read_text(encoding="utf-8")
    return modules
