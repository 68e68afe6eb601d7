"""Importing has no effect: it prints, reads, writes, starts and connects nothing, and loads nothing heavy.

Imports run in fresh interpreters; the packages one by one, in forks of one that has loaded Gymnasium only. A read of
the environment is ours when the innermost module then being imported is ours, whoever's function does the reading; a
dependency that reads while it is imported itself is not our doing.
"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[1]
HOUSES = ("bench", "cli", "envs", "sandboxes", "trainer")
MODULES = sorted(
    ".".join(["agentrl", *path.relative_to(ROOT).with_suffix("").parts]).removesuffix(".__init__")
    for house in HOUSES
    for path in (ROOT / house).rglob("*.py")
    if path.stem != "__main__"
)
PACKAGES = [name for name in MODULES if (ROOT.joinpath(*name.split(".")[1:]) / "__init__.py").exists()]
LIGHT = [*PACKAGES, "agentrl.cli.main"]
HEAVY = ("torch", "docker", "vllm", "transformers", "tokenizers", "trl", "datasets", "pandas", "tensorboard", "ray")

PROBE = '''
import json, os, sys, threading, _thread
ROOT, OUT, EACH, *NAMES = sys.argv[1:]
NAMES_OF_HOUSES = ("bench", "cli", "envs", "sandboxes", "trainer", "planted")
FOLDERS = tuple(os.path.join(ROOT, house) + os.sep for house in NAMES_OF_HOUSES)
reads, effects = [], []

def ours():
    """The file of ours that is being imported, or None when the innermost module being imported is another's."""
    frame = sys._getframe(2)
    while frame is not None and frame.f_code.co_name != "<module>":
        frame = frame.f_back
    name = os.path.realpath(frame.f_code.co_filename) if frame is not None else ""
    return name if name.startswith(FOLDERS) else None

class Recording(type(os.environ)):
    def __getitem__(self, key):
        if ours():
            reads.append([ours(), str(key)])
        return super().__getitem__(key)
    def __iter__(self):
        if ours():
            reads.append([ours(), "*"])
        return super().__iter__()

WATCHED = set("""os.mkdir os.remove os.rename os.rmdir os.truncate os.fork os.posix_spawn os.system subprocess.Popen
    socket.connect socket.bind socket.getaddrinfo tempfile.mkdtemp tempfile.mkstemp""".split())

def audit(event, arguments):
    if event in WATCHED:
        effects.append(event)
    elif event == "open" and isinstance(arguments[1], str) and set(arguments[1]) & set("wax+"):
        effects.append(f"open {arguments[0]} {arguments[1]}")

def watched(start):
    """Python 3.11 has no audit event for a thread."""
    def started(*arguments, **named):
        effects.append("thread")
        return start(*arguments, **named)
    return started

for module in (_thread, threading):
    for name in [name for name in vars(module) if name.lstrip("_") in ("start_new_thread", "start_joinable_thread")]:
        setattr(module, name, watched(getattr(module, name)))
os.environ.__class__ = Recording
os.environb.__class__ = Recording
sys.addaudithook(audit)

def load(names):
    for name in names:
        __import__(name)
    seen = {"names": names, "reads": reads, "effects": list(effects), "modules": sorted(sys.modules)}
    os.write(int(OUT), json.dumps(seen).encode() + b"\\n")

if EACH == "together":
    load(NAMES)
elif EACH == "in turn":
    for name in NAMES:
        load(name.split(","))
else:
    import gymnasium
    for name in NAMES:
        if (child := os.fork()) == 0:
            effects.clear()
            load([name])
            sys.stdout.flush()
            os._exit(0)
        assert os.waitpid(child, 0)[1] == 0, name
'''


def probe(names: list[str], folder: Path, root: Path = ROOT) -> tuple[dict[str, Any], str]:
    """Import `names` in a fresh interpreter with an empty home; what was seen, and all that was printed."""
    (found,), printed = _probe("together", names, folder, root)
    return found, printed


def _probe(each: str, names: list[str], folder: Path, root: Path = ROOT) -> tuple[list[dict[str, Any]], str]:
    """Import "together", "in turn" (commas join what is imported at once) or "alone"; what was seen after each."""
    result = folder / "result.json"
    home = folder / "home"
    home.mkdir()
    with result.open("wb") as out:
        command = [sys.executable, "-B", "-c", PROBE, str(root), str(out.fileno()), each, *names]
        environment = {
            "HOME": str(home),
            "PATH": "/usr/bin:/bin",
            "PYTHONPATH": str(root / "site"),
            "OMP_NUM_THREADS": "1",
        }
        done = subprocess.run(
            command,
            cwd=home,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            pass_fds=[out.fileno()],
            timeout=240,
            check=False,
        )
    assert done.returncode == 0, done.stdout
    assert list(home.iterdir()) == []
    return [json.loads(line) for line in result.read_text().splitlines()], done.stdout


def test_importing_a_package_has_no_effect(tmp_path: Path) -> None:
    seen, printed = _probe("alone", LIGHT, tmp_path)
    assert [found["names"] for found in seen] == [[name] for name in LIGHT]
    assert printed == ""
    for found in seen:
        (name,) = found["names"]
        assert name in found["modules"]
        assert (name, found["reads"]) == (name, [])
        assert (name, found["effects"]) == (name, [])
        assert (name, [module for module in HEAVY if module in found["modules"]]) == (name, [])


def test_no_module_of_the_environments_loads_torch_or_the_trainer(tmp_path: Path) -> None:
    found, _ = probe([name for name in MODULES if name.startswith("agentrl.envs")], tmp_path)
    loaded = [module for module in found["modules"] if module.startswith("agentrl.trainer") or module in HEAVY]
    assert loaded == []


def test_no_module_of_the_bench_loads_torch_or_the_trainer(tmp_path: Path) -> None:
    found, _ = probe([name for name in MODULES if name.startswith("agentrl.bench")], tmp_path)
    assert [module for module in found["modules"] if module.startswith("agentrl.trainer") or module in HEAVY] == []
    assert "scipy" not in found["modules"]  # a second, which a bench spends when it counts


def test_no_module_reads_the_environment_or_prints_and_the_trainers_load_no_environment(tmp_path: Path) -> None:
    trainers = [name for name in MODULES if name.startswith("agentrl.trainer")]
    (first, last), printed = _probe("in turn", [",".join(trainers), ",".join(MODULES)], tmp_path)
    assert [name for name in first["modules"] if name.startswith(("agentrl.envs", "agentrl.cli"))] == []
    assert set(MODULES) <= set(last["modules"])
    assert last["reads"] == []
    assert printed == ""


PLANTED = {
    "get": "import os\nos.environ.get('A')",
    "getenv": "import os\nos.getenv('A')",
    "contains": "import os\n'A' in os.environ",
    "copy": "import os\ndict(os.environ)",
    "bytes": "import os\nos.environb.get(b'A')",
    "name": "from os import environ\nenviron.get('A')",
    "function": "import os\ndef f() -> None:\n    os.environ.get('A')\nf()",
    "through the library": "from pathlib import Path\nPath('~').expanduser()",
}
EFFECTS = {
    "mkdir": "import os\nos.mkdir(os.path.join(os.getcwd(), 'a'))\nos.rmdir('a')",
    "write": "open('a', 'w').close()\nimport os\nos.remove('a')",
    "thread": "import threading\nt = threading.Thread(target=int)\nt.start()\nt.join()",
    "process": "import subprocess\nsubprocess.run(['true'])",
}


def _plant(folder: Path, source: str) -> Path:
    (folder / "planted").mkdir()
    (folder / "planted" / "module.py").write_text(source)
    (folder / "site").symlink_to(folder / "planted")
    return folder


def test_what_is_planted_is_seen_in_forks_as_well(tmp_path: Path) -> None:
    root = _plant(tmp_path, f"{PLANTED['get']}\n{EFFECTS['mkdir']}\nimport sqlite3\nprint('loud')")
    (tmp_path / "planted" / "other.py").write_text("")
    (found, other), printed = _probe("alone", ["module", "other"], tmp_path, root)
    assert found["reads"] != []
    assert "os.mkdir" in found["effects"]
    assert "sqlite3" in found["modules"]
    assert (other["reads"], other["effects"], "sqlite3" in other["modules"]) == ([], [], False)
    assert printed == "loud\n"


@pytest.mark.parametrize("source", PLANTED.values(), ids=PLANTED.keys())
def test_a_planted_read_is_seen(source: str, tmp_path: Path) -> None:
    found, _ = probe(["module"], tmp_path, _plant(tmp_path, source))
    assert found["reads"] != []


@pytest.mark.parametrize("source", EFFECTS.values(), ids=EFFECTS.keys())
def test_a_planted_effect_is_seen(source: str, tmp_path: Path) -> None:
    found, _ = probe(["module"], tmp_path, _plant(tmp_path, source))
    assert found["effects"] != []


def test_the_reads_of_a_dependency_are_not_ours(tmp_path: Path) -> None:
    root = _plant(tmp_path, "import other")
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere" / "other.py").write_text("import os\nos.environ.get('A')")
    (tmp_path / "site").unlink()
    (tmp_path / "site").mkdir()
    (tmp_path / "site" / "other.py").symlink_to(tmp_path / "elsewhere" / "other.py")
    (tmp_path / "site" / "module.py").symlink_to(tmp_path / "planted" / "module.py")
    found, _ = probe(["module"], tmp_path, root)
    assert found["reads"] == []
    assert "other" in found["modules"]
