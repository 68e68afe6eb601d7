"""How many episodes at once: a decision that is tried on traces, on simulated hosts, and on real boxes."""

from __future__ import annotations

import json
import math
import multiprocessing
import random
import sys
import threading
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import ClassVar

import gymnasium
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import agentrl.envs  # noqa: F401  # registers
from agentrl.bench import pace
from agentrl.bench.endpoint import EndpointSettings
from agentrl.bench.host import Host
from agentrl.bench.pace import Plan, Window, next_plan
from agentrl.bench.run import Settings, run
from agentrl.bench.store import BenchStore

WINDOWS = st.builds(
    Window,
    rate=st.floats(0.0, 1e4),
    room_mb=st.one_of(st.just(math.inf), st.floats(-100.0, 5000.0)),
    each_mb=st.one_of(st.just(0.0), st.floats(0.1, 500.0)),
    num_refused=st.sampled_from([0, 0, 0, 7]),
)


@settings(deadline=None)
@given(st.lists(WINDOWS, max_size=60), st.integers(1, 64))
def test_whatever_is_measured_the_number_stays_within_its_bounds(windows: list[Window], most: int) -> None:
    plan = Plan(at_once=1, base=1)
    for window in windows:
        before, plan = plan, next_plan(plan, window, most)
        more = plan.at_once - before.at_once
        assert 1 <= plan.at_once <= most
        assert 1 <= plan.base <= most
        assert more <= max(0.0, window.room_mb) / window.each_mb if window.each_mb else more <= before.at_once
        if (window.room_mb < 0 or window.num_refused) and before.at_once > 1:
            assert more < 0


def _simulated(
    rate_of: Callable[[int], float], *, each_mb: float = 0.0, bound_mb: float = math.inf, num_windows: int = 150
) -> list[int]:
    """Return how many played in each window, on a host that does as it is told."""
    plan, played = Plan(at_once=1, base=1), []
    for _ in range(num_windows):
        now = plan.at_once
        played.append(now)
        plan = next_plan(plan, Window(rate=rate_of(now), room_mb=bound_mb - now * each_mb, each_mb=each_mb), 64)
    return played


@settings(deadline=None)
@given(st.integers(1, 60), st.integers(1, 64), st.floats(1.0, 300.0), st.integers(0, 10**6))
def test_it_converges_where_the_throughput_does_and_memory_allows(
    cores: int, fits: int, each_mb: float, seed: int
) -> None:
    noise = random.Random(seed)

    def rate_of(now: int) -> float:  # more than the cores carry get in each other's way
        return min(now, cores) / (1 + 0.01 * max(0, now - cores))

    played = _simulated(
        lambda now: rate_of(now) * noise.uniform(0.97, 1.03), each_mb=each_mb, bound_mb=(fits + 0.5) * each_mb
    )
    assert max(played) <= fits
    best = max(rate_of(now) for now in range(1, min(fits, 64) + 1))
    late = played[60:]
    assert sum(map(rate_of, late)) / len(late) >= 0.75 * best
    assert sorted(late)[len(late) // 2] <= 1.5 * cores + 1


def test_it_lowers_the_number_when_a_server_refuses_and_finds_back() -> None:
    plan = Plan(at_once=20, base=20, rate=20.0, wait=3)
    plan = next_plan(plan, Window(rate=15.0, num_refused=1), 64)
    assert (plan.at_once, plan.why) == (14, "refused")
    plan = next_plan(plan, Window(rate=12.0, num_refused=2), 64)
    assert plan.at_once == 9
    numbers = []
    for _ in range(30):
        plan = next_plan(plan, Window(rate=min(plan.at_once, 12)), 64)
        numbers.append(plan.at_once)
    assert numbers[0] == 9  # not at once
    assert max(numbers) > 9


def test_it_lowers_the_number_when_the_throughput_falls_and_stays_there_if_nothing_is_lost() -> None:
    plan = Plan(at_once=16, base=16, rate=16.0, wait=9)
    plan = next_plan(plan, Window(rate=6.0), 64)
    assert (plan.at_once, plan.why) == (16, "steady")  # once may be chance
    assert next_plan(plan, Window(rate=16.0), 64).num_slow == 0
    plan = next_plan(plan, Window(rate=6.0), 64)
    assert (plan.at_once, plan.why) == (12, "slower")
    assert next_plan(plan, Window(rate=6.0), 64).base == 12
    assert next_plan(plan, Window(rate=4.5), 64).at_once == 16


def test_a_neighbour_that_comes_and_goes_does_not_hold_it_down() -> None:
    plan, played = Plan(at_once=4, base=4), []
    for window in range(300):
        share = 0.4 if window % 50 > 40 else 1.0
        plan = next_plan(plan, Window(rate=share * min(plan.at_once, 16)), 64)
        played.append(plan.at_once)
    assert sum(played[100:]) / 200 >= 0.8 * 16


def _files(root: Path, files: dict[str, str]) -> Host:
    for name, text in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text)
    return Host(root, engine=root / "none")


MEMINFO = "MemTotal:       8388608 kB\nMemFree:  1 kB\nMemAvailable:    4194304 kB\n"


def test_the_least_of_all_limits_counts(tmp_path: Path) -> None:
    host = _files(tmp_path, {"proc/meminfo": MEMINFO})
    assert (host.total_mb(), host.available_mb(), host.pressure()) == (8192.0, 4096.0, 0.0)
    v2 = {
        "proc/meminfo": MEMINFO,
        "proc/self/cgroup": "0::/a/b\n",
        "sys/fs/cgroup/a/memory.max": str(2048 << 20),
        "sys/fs/cgroup/a/memory.current": str(1500 << 20),
        "sys/fs/cgroup/a/memory.stat": f"anon 5\ninactive_file {500 << 20}\n",
        "sys/fs/cgroup/a/b/memory.max": "max\n",
        "sys/fs/cgroup/a/b/memory.current": "5\n",
        "proc/pressure/memory": "some avg10=12.50 avg60=0.00 avg300=0.00 total=1\nfull avg10=1.00\n",
    }
    host = _files(tmp_path / "v2", v2)
    assert (host.total_mb(), host.available_mb(), host.pressure()) == (2048.0, 1048.0, 0.125)
    v1 = {
        "proc/meminfo": MEMINFO,
        "proc/self/cgroup": "5:cpu,cpuacct:/\n4:memory:/job\n",
        "sys/fs/cgroup/memory/memory.limit_in_bytes": "9223372036854771712\n",
        "sys/fs/cgroup/memory/job/memory.limit_in_bytes": str(1024 << 20),
        "sys/fs/cgroup/memory/job/memory.usage_in_bytes": str(1000 << 20),
        "sys/fs/cgroup/memory/job/memory.stat": f"total_inactive_file {100 << 20}\n",
    }
    host = _files(tmp_path / "v1", v1)
    assert (host.total_mb(), host.available_mb()) == (1024.0, 124.0)
    assert _files(tmp_path / "empty", {}).available_mb() == math.inf


def test_what_this_process_and_those_below_it_take_is_seen() -> None:
    import subprocess

    host = Host(engine=Path("/nowhere"))
    before = host.taken_mb()
    held = bytearray(b"x") * (64 << 20)
    mine = host.taken_mb() - before
    program = "import sys; held = b'x' * (80 << 20); print(1, flush=True); sys.stdin.read()"
    shell = f'{sys.executable} -c "{program}"; true'  # two levels below
    with subprocess.Popen(["sh", "-c", shell], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        process.stdout.readline()
        both = host.taken_mb() - before
        process.communicate(b"")
    assert len(held) == 64 << 20
    assert 60 < mine < 70
    assert 75 < both - mine < 100
    assert host.taken_mb() - before < mine + 5


@pytest.mark.docker
def test_what_boxes_of_docker_take_is_seen() -> None:
    both, without = Host(), Host(engine=Path("/nowhere"))
    envs = [gymnasium.make("AgentRL/Python-v0", backend="docker") for _ in range(3)]
    try:
        for env in envs:
            seen = env.reset(seed=0)
            env.step(env.unwrapped.oracle()(*seen))  # type: ignore[attr-defined]
        more = both.taken_mb() - without.taken_mb()
    finally:
        for env in envs:
            env.close()
    assert more > 3 * 5.0


@pytest.mark.bwrap
@pytest.mark.slow
def test_boxes_stay_within_a_small_bound_of_memory(tmp_path: Path) -> None:
    """A box takes about 20 MiB, and two are kept ready: the bound carries ten at once, where 64 are the most."""
    # In a process of its own: what other tests left below this one, such as a server that grows, would count too.
    with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")) as pool:
        most_mb, bound_mb = pool.submit(_benched, tmp_path).result()
    with BenchStore(tmp_path) as store:
        paces = store.paces()
        assert all(each.success for each in store.episodes(with_messages=False))
    assert most_mb <= bound_mb
    assert paces[0].num_at_once == 1
    assert 1 < max(each.num_at_once for each in paces) < 24


def _benched(folder: Path) -> tuple[float, float]:
    """Bench within 300 MiB more than this process takes; return the most that it took, and the bound, in MiB."""
    pace._WINDOW_S = 0.5
    pace._PAYS = -10.0  # so that nothing but memory is in the way
    host = Host(engine=Path("/nowhere"))
    bound_mb = host.taken_mb() + 300.0
    benched = Settings(
        envs=("AgentRL/Python-v0",),
        agent="oracle",
        num_tasks=400,
        levels=(1,),
        env_kwargs={"backend": "bwrap"},
        memory_mb=bound_mb,
    )
    most, stopped = [0.0], threading.Event()

    def look() -> None:
        while not stopped.wait(0.2):
            most.append(host.taken_mb())

    watcher = threading.Thread(target=look)
    watcher.start()
    try:
        run(benched, folder)
    finally:
        stopped.set()
        watcher.join()
    return max(most), bound_mb


WAITS = """
import time
def waits(messages, seed):
    time.sleep(0.05)
    return f"<answer>{seed}</answer>"
"""


def test_what_waits_is_played_side_by_side(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "waits.py").write_text(WAITS)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))
    monkeypatch.setattr("agentrl.bench.pace._WINDOW_S", 0.3)
    began = time.monotonic()
    benched = Settings(envs=("AgentRL/Math-v0",), agent="python:waits:waits", num_tasks=1000)
    run(benched, tmp_path / "run")
    with BenchStore(tmp_path / "run") as store:
        numbers = [each.num_at_once for each in store.paces()]
    assert numbers[:3] == [4, 8, 16]
    assert time.monotonic() - began < 1000 * 0.05 / 4  # four at once would take that long


class _Limited(BaseHTTPRequestHandler):
    """A model behind a server that serves four requests at once and refuses more."""

    serving: ClassVar[threading.Semaphore]

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["Content-Length"]))
        free = self.serving.acquire(blocking=False)
        if free:
            time.sleep(0.02)
            self.serving.release()  # before the answer, after which the next request comes
        message = {"role": "assistant", "content": "<answer>1</answer>"}
        body = json.dumps({"choices": [{"message": message}]} if free else {"error": "slower"}).encode()
        self.send_response(200 if free else 429)
        self.send_header("Content-Length", str(len(body)))
        if not free:
            self.send_header("Retry-After", "0.05")
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:
        """Say nothing."""


def test_a_server_that_refuses_is_asked_more_slowly(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("agentrl.bench.pace._WINDOW_S", 0.3)
    _Limited.serving = threading.Semaphore(4)
    with ThreadingHTTPServer(("127.0.0.1", 0), _Limited) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        try:
            endpoint = EndpointSettings(base_url=f"http://127.0.0.1:{server.server_address[1]}/v1", max_tries=100)
            run(Settings(envs=("AgentRL/Math-v0",), agent="openai:m", num_tasks=500, endpoint=endpoint), tmp_path)
        finally:
            server.shutdown()
            thread.join()
    with BenchStore(tmp_path) as store:
        paces = store.paces()
        assert len(store.done()) == 500
    first = next(index for index, each in enumerate(paces) if each.why == "refused")
    assert paces[first - 1].num_at_once > 4
    assert paces[first].num_at_once < paces[first - 1].num_at_once
