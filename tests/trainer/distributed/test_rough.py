"""The rough link of `hosts.py` is as rough as it says, and smooth again afterwards."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

from tests.trainer.distributed.hosts import Hosts, hosts_of

_ANSWERS = """
import socket
own = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
own.bind(("0.0.0.0", 4000))
print("bound", flush=True)
while True:
    own.sendto(*own.recvfrom(100))
"""

_ASKS = """
import json, socket, sys, time
own = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
own.settimeout(2.0)
for number in range(10):  # until the addresses are known
    own.sendto(b"-1", (sys.argv[1], 4000))
    try:
        own.recv(100)
        break
    except TimeoutError:
        pass
sent, took = {}, []
for number in range(401):
    if number < 400:
        sent[number] = time.monotonic()
        own.sendto(str(number).encode(), (sys.argv[1], 4000))
    own.settimeout(0.004 if number < 400 else 1.0)
    try:
        while True:
            if (known := int(own.recv(100))) >= 0:
                took.append(time.monotonic() - sent[known])
    except TimeoutError:
        pass
print(json.dumps(took))
"""


def _asked(hosts: Hosts) -> list[float]:
    """Return how long the answers to 400 datagrams took that came, in seconds."""
    command = ["ip", "netns", "exec", f"{hosts.prefix}0", sys.executable, "-c", _ASKS, hosts.address(1)]
    took: list[float] = json.loads(subprocess.run(command, check=True, capture_output=True, timeout=50).stdout)
    return sorted(took)


@pytest.mark.slow
def test_a_rough_link_delays_and_loses() -> None:
    with hosts_of(2) as hosts:
        command = ["ip", "netns", "exec", f"{hosts.prefix}1", sys.executable, "-c", _ANSWERS]
        with subprocess.Popen(command, stdout=subprocess.PIPE) as answering:
            try:
                assert answering.stdout is not None
                assert answering.stdout.readline() == b"bound\n"
                before = _asked(hosts)
                with hosts.rough(1, delay_s=0.2, loss=0.02) as frames:
                    rough = _asked(hosts)
                after = _asked(hosts)
            finally:
                answering.kill()
    for smooth in (before, after):
        assert len(smooth) == 400
        assert smooth[200] < 0.05
    assert rough[0] >= 0.4  # 0.2 s each way
    assert rough[len(rough) // 2] < 0.5
    assert 400 * 0.9 < len(rough) < 400 * 0.99  # 4 of 100 are lost on average, there or back
    assert frames.num_lost >= 400 - len(rough)
    assert frames.num_passed > 2 * len(rough)
