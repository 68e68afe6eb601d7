"""Several hosts on one machine: network namespaces that reach each other through a bridge, and ranks in them.

Each has an address of its own and nothing else; the bridge lies in a namespace too, so that the machine's network is
untouched and several tests may run at once.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pytest

AGENTRL = Path(sys.executable).with_name("agentrl")


def _ip(*words: str) -> None:
    subprocess.run(["ip", *words], check=True, capture_output=True, timeout=30)


@dataclass(kw_only=True)
class Frames:
    """What came of the frames on a rough link."""

    num_passed: int = 0
    num_lost: int = 0


@dataclass(kw_only=True)
class Hosts:
    """Hosts named by number, from 0, at 10.9.0.1 and so on."""

    prefix: str
    num: int
    processes: dict[int, subprocess.Popen[bytes]] = field(default_factory=dict)

    def address(self, host: int) -> str:
        """Return a host's address."""
        return f"10.9.0.{host + 1}"

    def torchrun(self, args: Sequence[str], folder: Path, *, hosts: Sequence[int] | None = None) -> None:
        """Start a rank on each host; what they print goes to `folder/host_<n>`."""
        chosen = list(range(self.num)) if hosts is None else list(hosts)
        for place, host in enumerate(chosen):
            command = ["ip", "netns", "exec", f"{self.prefix}{host}", sys.executable, "-m", "torch.distributed.run"]
            command += ["--nnodes", str(len(chosen)), "--node-rank", str(place), "--nproc-per-node", "1"]
            command += ["--master-addr", self.address(chosen[0]), "--master-port", "29500", "--no-python"]
            with (folder / f"host_{host}").open("wb") as output:
                self.processes[host] = subprocess.Popen(
                    [*command, str(AGENTRL), "train", *args],
                    env=os.environ | {"GLOO_SOCKET_IFNAME": "eth0", "OMP_NUM_THREADS": "1"},
                    stdout=output,
                    stderr=subprocess.STDOUT,
                    start_new_session=True,
                )

    def wait(self, timeout_s: float, *, hosts: Sequence[int] | None = None) -> list[int]:
        """Return the statuses of hosts that end by themselves, in order."""
        stop = time.monotonic() + timeout_s
        chosen = sorted(self.processes) if hosts is None else hosts
        return [self.processes[host].wait(max(0.1, stop - time.monotonic())) for host in chosen]

    def link(self, host: int, state: str) -> None:
        """Cut a host's link ("down"), or restore it ("up")."""
        _ip("-n", f"{self.prefix}s", "link", "set", f"p{host}", state)

    @contextmanager
    def rough(self, host: int, *, delay_s: float = 0.2, loss: float = 0.02, seed: int = 0) -> Iterator[Frames]:
        """Delay and lose frames of a host's link, either way, while the context lasts; see `rough.py`.

        Args:
            host: Whose link.
            delay_s: Of each frame in each direction, so that a round trip takes twice as long: more than netem's
                delay gives on the interface of one host.
            loss: Probability that a frame is lost, whatever it carries (ARP too).
            seed: Of which are.

        Yields:
            How many frames were passed and lost, known once the link is as before.
        """
        switch, port, inner, near, far = f"{self.prefix}s", f"p{host}", f"br{host}r", f"near{host}", f"far{host}"
        frames = Frames()
        try:
            _ip("-n", switch, "link", "add", inner, "type", "bridge")
            _ip("-n", switch, "link", "set", inner, "up")
            for tap, bridge in ((near, inner), (far, "br0")):
                _ip("-n", switch, "tuntap", "add", "dev", tap, "mode", "tap")
                _ip("-n", switch, "link", "set", tap, "master", bridge, "up")
            program = ["ip", "netns", "exec", switch, sys.executable, str(Path(__file__).with_name("rough.py"))]
            program += [near, far, str(delay_s), str(loss), str(seed)]
            with subprocess.Popen(program, stdout=subprocess.PIPE, text=True) as passing:
                assert passing.stdout is not None
                try:
                    assert passing.stdout.readline() == "passing\n"
                    _ip("-n", switch, "link", "set", port, "master", inner)
                    yield frames
                    _ip("-n", switch, "link", "set", port, "master", "br0")
                finally:
                    passing.send_signal(signal.SIGTERM)
                    frames.num_passed, frames.num_lost = map(int, passing.stdout.readline().split())
        finally:
            for name in (inner, near, far):
                with contextlib.suppress(subprocess.CalledProcessError):  # it was not made
                    _ip("-n", switch, "link", "del", name)

    def kill(self, host: int) -> None:
        """End all processes of a host at once, as when its power fails: nobody is told."""
        self.link(host, "down")
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.processes[host].pid, signal.SIGKILL)
        for pid in subprocess.run(
            ["ip", "netns", "pids", f"{self.prefix}{host}"], check=True, capture_output=True, timeout=30
        ).stdout.split():
            with contextlib.suppress(ProcessLookupError):
                os.kill(int(pid), signal.SIGKILL)


@contextmanager
def hosts_of(num: int) -> Iterator[Hosts]:
    """Make hosts; end what runs on them afterwards, and take them away."""
    if shutil.which("ip") is None or os.geteuid() != 0:
        pytest.skip("network namespaces need root and iproute2: apt-get install iproute2")
    hosts = Hosts(prefix=f"ag{os.getpid() % 100_000}h", num=num)
    switch = f"{hosts.prefix}s"
    try:
        _ip("netns", "add", switch)
        _ip("-n", switch, "link", "add", "br0", "type", "bridge")
        _ip("-n", switch, "link", "set", "br0", "up")
        for host in range(num):
            name = f"{hosts.prefix}{host}"
            _ip("netns", "add", name)
            _ip("-n", switch, "link", "add", f"p{host}", "type", "veth", "peer", "name", "eth0", "netns", name)
            _ip("-n", switch, "link", "set", f"p{host}", "master", "br0", "up")
            _ip("-n", name, "addr", "add", f"{hosts.address(host)}/24", "dev", "eth0")
            _ip("-n", name, "link", "set", "eth0", "up")
            _ip("-n", name, "link", "set", "lo", "up")
        yield hosts
    finally:
        for host, process in hosts.processes.items():
            if process.poll() is None:
                hosts.kill(host)
            process.wait(30)
        for name in [switch, *(f"{hosts.prefix}{host}" for host in range(num))]:
            subprocess.run(["ip", "netns", "del", name], capture_output=True, timeout=30)
