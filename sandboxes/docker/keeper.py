"""The first process of a box without Python: a shell that counts and kills, with its builtins only.

It runs as root with no capability but KILL, so no job can signal it; it forks nothing, so a job that takes every
process cannot stop it; and it ends with its standard input, so a caller that dies leaves no box.
"""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass

from agentrl.sandboxes.docker.vessel import DockerVessel
from agentrl.sandboxes.errors import SandboxDied
from agentrl.sandboxes.worker.frames import FrameError

__all__ = ["CAPABILITIES", "COMMAND", "Counters", "Keeper"]

CAPABILITIES = ("KILL",)
ANSWER_S = 5.0
LARGEST = 65_536
# "left" asks with signal 0 whether anything but the first process and this shell is there; "of" looks through all
# processes for those of one user that are not dead.
SCRIPT = """
chmod 0777 /work /tmp 2>/dev/null
c=/sys/fs/cgroup
while read -r word user; do
  case $word in
  count)
    for file in $c/memory/memory.oom_control $c/memory.events $c/pids/pids.events $c/pids.events \
      $c/cpuacct/cpuacct.usage $c/cpu.stat; do
      if [ -r $file ]; then while read -r line; do echo "${file##*/} $line"; done <$file; fi
    done ;;
  kill) kill -9 -1 2>/dev/null ;;
  left) kill -0 -1 2>/dev/null && echo some ;;
  of)
    for folder in /proc/[0-9]*; do
      state=Z
      if [ -r $folder/status ]; then while read -r key value rest; do
        case $key in State:) state=$value ;; Uid:) [ "$value" = "$user" ] && [ $state != Z ] && echo some ;; esac
      done <$folder/status; fi
    done ;;
  esac
  echo .
done
"""
COMMAND = ("sh", "-c", SCRIPT)


@dataclass(frozen=True, kw_only=True)
class Counters:
    """What the kernel has counted for the box; None where it does not count."""

    oom: int | None
    """Processes killed for memory."""
    pids: int | None
    """Forks refused at the bound on processes."""
    cpu_s: float | None
    """Seconds of processor time of all that ran in the box."""


class Keeper:
    """Talks to the shell. Safe from several threads."""

    def __init__(self, vessel: DockerVessel) -> None:
        self.vessel = vessel
        self._lock = threading.Lock()

    def count(self) -> Counters:
        """Read the counters.

        Raises:
            SandboxDied: The shell is gone, or does not answer.
        """
        found = {}
        for line in self._ask("count"):
            words = line.split()
            if len(words) >= 2 and words[-1].isdecimal():
                found[words[0], words[1] if len(words) > 2 else ""] = int(words[-1])
        spent = found.get(("cpuacct.usage", ""))
        spent_us = found.get(("cpu.stat", "usage_usec"))
        return Counters(
            oom=found.get(("memory.oom_control", "oom_kill"), found.get(("memory.events", "oom_kill"))),
            pids=found.get(("pids.events", "max")),
            cpu_s=spent / 1e9 if spent is not None else spent_us / 1e6 if spent_us is not None else None,
        )

    def kill_all(self, deadline_s: float = 2.0) -> bool:
        """Kill every job at once, fork bombs too; return whether none is left.

        Raises:
            SandboxDied: The shell is gone, or does not answer.
        """
        end = time.monotonic() + deadline_s
        while True:
            self._ask("kill")
            if not self._ask("left"):
                return True
            if time.monotonic() > end:
                return False
            time.sleep(0.005)

    def any_of(self, user: int) -> bool:
        """Return whether a process of this user is there.

        Raises:
            SandboxDied: The shell is gone, or does not answer.
        """
        return bool(self._ask(f"of {user}"))

    def _ask(self, word: str) -> list[str]:
        with self._lock:
            channel, said, end = self.vessel.pipe, b"", time.monotonic() + ANSWER_S
            question = memoryview(f"{word}\n".encode())
            try:
                if channel.send(question) != len(question):
                    raise SandboxDied(f"box {self.vessel.id} takes no more input")
                while not said.endswith(b".\n") or (said != b".\n" and not said.endswith(b"\n.\n")):
                    left = end - time.monotonic()
                    if left <= 0 or not channel.wait(left):
                        raise SandboxDied(f"box {self.vessel.id} did not answer within {ANSWER_S:g} s")
                    data = channel.receive()
                    if data == b"" or len(said) > LARGEST:
                        raise SandboxDied(f"box {self.vessel.id} is gone")
                    said += data or b""
            except (OSError, ValueError, FrameError) as error:
                raise SandboxDied(f"box {self.vessel.id} is gone: {error}") from error
            return said.decode("utf-8", "replace").splitlines()[:-1]
