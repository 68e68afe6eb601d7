"""Opening a backend by name."""

from __future__ import annotations

import subprocess
import sys
import types
from typing import Any

import pytest

from agentrl.sandboxes import BACKENDS, ScriptedBackend, open_backend
from agentrl.sandboxes.base import Capabilities
from agentrl.sandboxes.errors import SandboxUnavailable, SpecError

opened: list[str] = []
closed: list[str] = []


class Good(ScriptedBackend):
    """Works."""

    def __init__(self, *, max_boxes: int = 1) -> None:
        super().__init__()
        self.max_boxes = max_boxes
        opened.append(type(self).__name__)

    def close(self) -> None:
        closed.append(type(self).__name__)


class Bad(Good):
    """Does not work here."""

    def __init__(self, *, max_boxes: int = 1, runtime: str = "runc") -> None:
        super().__init__(max_boxes=max_boxes)

    def capabilities(self) -> Capabilities:
        raise SandboxUnavailable(f"no engine for {type(self).__name__}; start it with: mend {type(self).__name__}")


@pytest.fixture
def backends(monkeypatch: pytest.MonkeyPatch) -> dict[str, type]:
    """Stand-ins for the two modules; change what each holds."""
    held: dict[str, type] = {"docker": Good, "bubblewrap": Good}
    for name, (module, _, kind) in {name: target.partition(":") for name, target in BACKENDS.items()}.items():
        if name in held:
            fake: Any = types.ModuleType(module)
            fake.__getattr__ = lambda asked, name=name: held[name]
            monkeypatch.setitem(sys.modules, module, fake)
            assert kind
    opened.clear()
    closed.clear()
    return held


def test_by_name(backends: dict[str, type]) -> None:
    with open_backend("scripted", answers=[]) as backend:
        assert isinstance(backend, ScriptedBackend)
    found = open_backend("docker", max_boxes=3)
    assert isinstance(found, Good)
    assert found.max_boxes == 3


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("dokcer", "did you mean 'docker'"),
        ("bubblewarp", "did you mean 'bubblewrap'"),
        ("Docker", "did you mean 'docker'"),
        ("none", "Write one of: auto, docker, bubblewrap, scripted"),
        ("local", "Write one of"),
    ],
)
def test_an_unknown_name_is_refused_with_the_near_one(name: str, words: str) -> None:
    with pytest.raises(SpecError, match=words):
        open_backend(name)


def test_an_unknown_option_is_refused_with_the_near_one(backends: dict[str, type]) -> None:
    with pytest.raises(SpecError, match=r"docker has no option 'max_box'; did you mean 'max_boxes'\?"):
        open_backend("docker", max_box=3)
    with pytest.raises(SpecError, match="auto has no option 'speed'"):
        open_backend("auto", speed=3)
    assert opened == []


def test_auto_takes_docker_first(backends: dict[str, type]) -> None:
    backends["bubblewrap"] = Bad
    backend = open_backend()
    assert opened == ["Good"]
    assert closed == []
    backend.close()


def test_auto_takes_bubblewrap_where_docker_does_not_work(backends: dict[str, type]) -> None:
    backends["docker"] = Bad
    with open_backend("auto", max_boxes=2):
        assert opened == ["Bad", "Good"]
        assert closed == ["Bad"]


def test_auto_names_both_reasons_and_runs_nothing_unsandboxed(backends: dict[str, type]) -> None:
    class Worse(Bad):
        """Does not work either."""

    backends.update(docker=Bad, bubblewrap=Worse)
    with pytest.raises(SandboxUnavailable) as caught:
        open_backend()
    message = str(caught.value)
    assert "docker: no engine for Bad; start it with: mend Bad" in message
    assert "bubblewrap: no engine for Worse; start it with: mend Worse" in message
    assert closed == ["Bad", "Worse"]


def test_auto_does_not_drop_an_option_that_only_one_has(backends: dict[str, type]) -> None:
    backends["docker"] = Bad
    with pytest.raises(SandboxUnavailable, match="bubblewrap: has no option 'runtime'"):
        open_backend("auto", runtime="runsc")


def test_importing_and_looking_up_load_no_backend() -> None:
    program = (
        "import sys, agentrl.sandboxes as s\n"
        "try: s.open_backend('nothing')\n"
        "except s.SpecError: pass\n"
        "print([m for m in sys.modules if m.split('.')[0] in ('docker', 'pyseccomp', 'torch', 'asyncio')])"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=True)
    assert done.stdout == "[]\n"
