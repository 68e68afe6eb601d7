"""The browser of a process: missing, crashed, hung, forked, and what is left when the process ends."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from agentrl.envs.browse import BrowseEnv
from agentrl.envs.browse.browser import Browser
from agentrl.envs.browse.chromium import NAMES, find, flags
from agentrl.envs.browse.site import Request, Response
from agentrl.envs.errors import InfrastructureError, UsageError
from agentrl.envs.scripted import call
from tests.envs.browse.pages import Pages, Reader


def running(pid: int) -> bool:
    """Whether a process is there and has not ended."""
    with contextlib.suppress(OSError):
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    return False


def gone(pid: int, within_s: float = 15.0) -> bool:
    """Whether a process ends in time."""
    until = time.monotonic() + within_s
    while running(pid) and time.monotonic() < until:
        time.sleep(0.05)
    return not running(pid)


def test_without_a_browser_it_says_what_to_type(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(UsageError, match=r"no browser was found: none of .*; type: apt-get install chromium"):
        BrowseEnv()
    (tmp_path / "chromium").write_text("#!/bin/sh\n")
    (tmp_path / "chromium").chmod(0o755)
    assert find(None) == find("chromium") == str(tmp_path / "chromium")  # a command, too, becomes a path
    monkeypatch.chdir(tmp_path)
    assert find("./chromium") == str(tmp_path / "chromium")


def test_a_program_that_is_no_browser_is_a_failure_of_the_infrastructure() -> None:
    env = BrowseEnv(browser="/bin/true")
    with pytest.raises(InfrastructureError, match="/bin/true did not start") as caught:
        env.reset(seed=1)
    assert (caught.value.kind, caught.value.boundary) == ("unavailable", "browser")
    env.close()


def test_the_sandbox_is_off_for_root_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    assert "--no-sandbox" in flags(80)
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    assert "--no-sandbox" not in flags(80)
    assert NAMES[0] == "chromium-headless-shell"


def test_a_browser_that_dies_ends_the_episode_and_the_next_one_has_another() -> None:
    browser = Browser(find(None))
    visit = browser.visit({"page": Pages({"/": "<button>Go</button>"})}, "page", action_s=5, lines=9)
    visit.wait(visit.session.begin())
    pid = browser.pid
    os.kill(pid, signal.SIGKILL)
    with pytest.raises(InfrastructureError) as caught:
        visit.wait(visit.session.click(1))
    assert (caught.value.kind, caught.value.boundary) == ("crash", "browser")
    assert "\n" not in str(caught.value)  # not the browser's log, which tells of all episodes
    visit.close()
    again = browser.visit({"page": Pages({"/": "<button>Go</button>"})}, "page", action_s=5, lines=9)
    assert '[1] button "Go"' in again.wait(again.session.begin())
    assert browser.pid != pid
    again.close()
    pid = browser.pid
    browser.close()
    browser.close()
    assert gone(pid)


def test_the_environment_reports_it_as_a_failure_and_goes_on() -> None:
    from agentrl.envs.browse import browser as module

    env = BrowseEnv(level=1)
    env.reset(seed=1)
    os.kill(module.shared(find(None)).pid, signal.SIGKILL)
    _, reward, terminated, truncated, info = env.step(call("click", ref=1))
    assert (reward, terminated, truncated) == (0.0, False, True)
    assert info["failure"]["boundary"] == "browser"
    assert "Page: " in env.reset(seed=1)[0]
    env.close()


def test_a_browser_that_hangs_is_replaced(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("agentrl.envs.browse.browser._PING_S", 1.0)
    monkeypatch.setattr("agentrl.envs.browse.browser._CLOSE_S", 2.0)
    browser = Browser(find(None))
    visit = browser.visit({"page": Pages({"/": "<button>Go</button>"})}, "page", action_s=1, lines=9)
    visit.wait(visit.session.begin())
    pid = browser.pid
    os.kill(pid, signal.SIGSTOP)
    with pytest.raises(InfrastructureError) as caught:
        visit.wait(visit.session.click(1))
    assert caught.value.boundary == "browser"
    visit.close()
    assert gone(pid)
    again = browser.visit({"page": Pages({"/": "<button>Go</button>"})}, "page", action_s=5, lines=9)
    assert '[1] button "Go"' in again.wait(again.session.begin())
    again.close()
    browser.close()


class Broken(Pages):
    """A site with a fault of ours."""

    def respond(self, request: Request) -> Response:
        """Break on one page."""
        if request.path == "/two":
            raise KeyError("row")
        return super().respond(request)


def test_a_site_that_breaks_is_no_fault_of_the_policy() -> None:
    reader = Reader({"page": Broken({"/": "<a href=/two>two</a>"})}, "page")
    with pytest.raises(InfrastructureError, match="a generated site failed: KeyError") as caught:
        reader.click("link", "two")
    assert caught.value.boundary == "site"
    reader.close()


ENDS = """
import os, sys, signal
from agentrl.envs.browse import BrowseEnv, browser
from agentrl.envs.browse.chromium import find
env = BrowseEnv(level=1)
env.reset(seed=1)
print(browser.shared(find(None)).pid, flush=True)
if sys.argv[1] == "fork":
    child = os.fork()
    if child == 0:
        env.close()
        again = BrowseEnv(level=1)
        again.reset(seed=1)
        print(browser.shared(find(None)).pid, flush=True)
        sys.exit(0)
    os.waitpid(child, 0)
    assert env.step("<answer>ok</answer>")[2]
if sys.argv[1] == "killed":
    os.kill(os.getpid(), signal.SIGKILL)
if sys.argv[1] == "raises":
    raise SystemExit(3)
"""


@pytest.mark.parametrize("how", ["ends", "raises", "killed", "fork"])
def test_nothing_outlives_the_process(how: str) -> None:
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", ENDS, how], capture_output=True, text=True, timeout=120, check=False
    )
    assert done.returncode == {"ends": 0, "raises": 3, "killed": -signal.SIGKILL, "fork": 0}[how], done.stderr
    pids = [int(each) for each in done.stdout.split()]
    assert len(pids) == (2 if how == "fork" else 1)
    for pid in pids:
        assert gone(pid)
    assert "Traceback" not in done.stderr


def test_importing_the_environments_loads_no_browser() -> None:
    loaded = "[name for name in ('playwright', 'uvicorn') if name in sys.modules]"
    code = f"import sys, agentrl.envs, agentrl.envs.browse; print({loaded})"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "[]\n"
