"""What a job in a sandbox costs: Docker and bubblewrap beside raw `docker exec`, llm-sandbox and inspect_ai in one run.

All take turns in small batches, so that a busy machine slows each alike. `docker_round_trip_ms` is exec(["true"]) in a
leased box; `docker_python_job_ms` run_python("pass"); `bwrap_python_ms` a whole one-shot `backend.run`, nothing made
ahead, with the Python that a box finds, and `bwrap_usr_python_ms` with /usr/bin/python3, each beside the bare one. Then
many leases at once, with jobs whose answers are checked. The peers need an environment of their own (--peers-python),
and inspect_ai the compose plugin, 2.21 or later, of the docker command:

    python3.11 -m venv PEERS && PEERS/bin/pip install 'llm-sandbox[docker]==0.3.46' inspect_ai==0.3.285
"""

from __future__ import annotations

import argparse
import importlib
import itertools
import json
import secrets
import subprocess
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

from common import parser, percentile, report, time_calls, versions

from agentrl.sandboxes.base import Backend, Sandbox
from agentrl.sandboxes.errors import SandboxError
from agentrl.sandboxes.images import BASE_IMAGE
from agentrl.sandboxes.open import open_backend

Batch = Callable[[int], list[float]]
"""Makes so many calls and returns the seconds of each."""

PEERS = ("llm-sandbox", "inspect-ai")
USR_PYTHON = "/usr/bin/python3"  # starts in a third of the time of some others, so that a box weighs more beside it
MIB = bytes(1024) * 1024
SETTLE_S = 5.0


def main() -> None:
    """Measure and report."""
    options = parser(__doc__)
    options.add_argument("--calls", type=int, default=200, metavar="N", help="of each kind")
    options.add_argument("--rounds", type=int, default=10, metavar="N", help="turns that the calls are spread over")
    options.add_argument("--leases", type=int, default=64, metavar="N", help="at once, for the throughput")
    options.add_argument("--jobs", type=int, default=5000, metavar="N", help="for the throughput")
    options.add_argument("--image", default=BASE_IMAGE, help=f"for all that runs in Docker; {BASE_IMAGE} if not given")
    options.add_argument("--peers-python", type=Path, metavar="PATH", help="interpreter that has the peers installed")
    options.add_argument("--quick", action="store_true", help="a tenth of everything, to see that it runs")
    arguments = options.parse_args()
    if arguments.quick:
        arguments.calls, arguments.rounds, arguments.leases, arguments.jobs = 20, 2, 8, 400
    figures, peers = measure(arguments)
    report(figures, versions("docker") | peers, arguments.json)


def measure(arguments: argparse.Namespace) -> tuple[dict[str, float], dict[str, str]]:
    """Return all figures, and the peers' versions or what kept them out."""
    figures: dict[str, float] = {}
    peers: dict[str, str] = {}
    batches: dict[str, Batch] = {}
    with ExitStack() as stack:
        backends: dict[str, Backend] = {}
        for name, short, given in (("docker", "docker", {"image": arguments.image}), ("bubblewrap", "bwrap", {})):
            try:
                backend = stack.enter_context(open_backend(name, **given))
                box = stack.enter_context(backend.lease())
            except SandboxError as error:
                peers[name] = f"not measured: {error}"
                continue
            backends[short] = backend
            batches |= of_backend(short, backend, box, stack)
            if short == "bwrap":
                batches["bare_python"] = bare_python(box, "python3")
                if Path(USR_PYTHON).exists():
                    batches["bwrap_usr_python"] = one_shots(backend, USR_PYTHON)
                    batches["bare_usr_python"] = bare_python(box, USR_PYTHON)
        if "docker" in backends:
            batches |= stack.enter_context(raw_docker(arguments.image))
            for name in PEERS:
                try:
                    told, found = stack.enter_context(peer(arguments.peers_python, name, arguments.image))
                except (OSError, ValueError) as error:
                    peers[name] = f"not measured: {error}"
                    continue
                peers[name] = told["version"]
                figures[f"{name.replace('-', '_')}_open_ms"] = told["open_ms"]
                batches |= found
        figures |= in_turn(batches, arguments.calls, arguments.rounds)
    for ratio, slow, fast in (
        ("docker_exec_ratio", "docker_exec_ms", "docker_round_trip_ms"),
        ("docker_exec_sdk_ratio", "docker_exec_sdk_ms", "docker_round_trip_ms"),
        ("llm_sandbox_exec_ratio", "llm_sandbox_exec_ms", "docker_round_trip_ms"),
        ("inspect_ai_exec_ratio", "inspect_ai_exec_ms", "docker_round_trip_ms"),
        ("bwrap_python_ratio", "bwrap_python_ms", "bare_python_ms"),
        ("bwrap_usr_python_ratio", "bwrap_usr_python_ms", "bare_usr_python_ms"),
    ):
        if slow in figures and fast in figures:
            figures[ratio] = figures[slow] / figures[fast]
    for name, short, given in (("docker", "docker", {"image": arguments.image}), ("bubblewrap", "bwrap", {})):
        if short in backends:
            figures |= cold(name, short, given, max(arguments.calls // 20, 3))
            figures |= throughput(name, short, given, arguments.leases, arguments.jobs)
    return figures, peers


def of_backend(short: str, backend: Backend, box: Sandbox, stack: ExitStack) -> dict[str, Batch]:
    """Return what one backend is asked to do, in a box that is leased and through leases of its own."""
    session = stack.enter_context(box.python())
    box.write("/work/mib", MIB)

    def lease_warm(count: int) -> list[float]:
        seconds = []
        for _ in range(count):
            await_ready(backend)
            start = time.perf_counter()
            leased = backend.lease()
            seconds.append(time.perf_counter() - start)
            leased.close()
        return seconds

    return {
        f"{short}_round_trip": timed(lambda: require(box.exec(["true"]).ok)),
        f"{short}_python_job": timed(lambda: require(box.run_python("pass").ok)),
        f"{short}_session_cell": timed(lambda: require(session.run("6 * 7").value == "42")),
        f"{short}_write_1mib": timed(lambda: box.write("/work/other", MIB)),
        f"{short}_read_1mib": timed(lambda: require(len(box.read("/work/mib")) == len(MIB))),
        "lease_warm" if short == "docker" else f"{short}_lease_warm": lease_warm,
        f"{short}_python": one_shots(backend, "python3"),
    }


def one_shots(backend: Backend, python: str) -> Batch:
    """Return a program in a box of its own, from the call to the end of the box."""

    def batch(count: int) -> list[float]:
        seconds = []
        for _ in range(count):
            await_ready(backend)
            start = time.perf_counter()
            require(backend.run([python, "-c", "pass"]).ok)
            seconds.append(time.perf_counter() - start)
        return seconds

    return batch


def bare_python(box: Sandbox, python: str) -> Batch:
    """Return `python -c pass` on the host: the interpreter that the box finds there, with the box's environment."""
    told = box.exec([python, "-c", "import json, os, sys; print(json.dumps([sys.executable, dict(os.environ)]))"])
    executable, environment = json.loads(told.stdout)
    return timed(lambda: run(executable, "-c", "pass", environment=environment))


def in_turn(batches: Mapping[str, Batch], num_calls: int, num_rounds: int) -> dict[str, float]:
    """Return the median and the 99th percentile of each batch, all of them taken in turn."""
    seconds: dict[str, list[float]] = {name: [] for name in batches}
    for _ in range(num_rounds):
        for name, batch in batches.items():
            seconds[name] += batch(max(num_calls // num_rounds, 1))
    figures: dict[str, float] = {}
    for name, taken in seconds.items():
        figures[f"{name}_ms"] = percentile(taken, 50) * 1e3
        figures[f"{name}_p99_ms"] = percentile(taken, 99) * 1e3
    return figures


def cold(name: str, short: str, given: Mapping[str, Any], num_calls: int) -> dict[str, float]:
    """Return what a lease takes where no box is warm: the whole making of one."""
    seconds = []
    with open_backend(name, **given, warm=0) as backend:
        backend.capabilities()
        for _ in range(num_calls):
            start = time.perf_counter()
            box = backend.lease()
            seconds.append(time.perf_counter() - start)
            box.exec(["sleep", "9"], timeout_s=0.05)  # a box that met a timeout is not kept
            box.close()
    return {f"{short}_cold_lease_ms": percentile(seconds, 50) * 1e3}


def throughput(name: str, short: str, given: Mapping[str, Any], num_leases: int, num_jobs: int) -> dict[str, float]:
    """Return the figures of many leases at once; every job's answer is checked."""
    numbers = itertools.count()
    latencies: list[float] = []
    good = 0
    lock = threading.Lock()
    memory = resident_mib()

    def work(box: Sandbox) -> None:
        nonlocal good
        while (number := next(numbers)) < num_jobs:
            start = time.perf_counter()
            found = box.exec(["echo", str(number)]) if number % 2 else box.run_python(f"print({number})")
            taken = time.perf_counter() - start
            with lock:
                latencies.append(taken)
                good += found.ok and found.stdout == b"%d\n" % number

    with open_backend(name, **given, max_boxes=num_leases) as backend, ThreadPoolExecutor(num_leases) as threads:
        start = time.perf_counter()
        boxes = list(threads.map(lambda _: backend.lease(wait_s=600.0), range(num_leases)))
        leased_s = time.perf_counter() - start
        leased = resident_mib()
        start = time.perf_counter()
        list(threads.map(work, boxes))
        taken_s = time.perf_counter() - start
        worked = resident_mib()
        for box in boxes:
            box.close()
    return {
        f"{short}_{num_leases}_leases_s": leased_s,
        f"{short}_jobs_per_s": num_jobs / taken_s,
        f"{short}_jobs_p50_ms": percentile(latencies, 50) * 1e3,
        f"{short}_jobs_p99_ms": percentile(latencies, 99) * 1e3,
        f"{short}_jobs_lost": num_jobs - good,
        f"{short}_memory_start_mib": memory,
        f"{short}_memory_leased_mib": leased,
        f"{short}_memory_end_mib": worked,
    }


@contextmanager
def raw_docker(image: str) -> Iterator[dict[str, Batch]]:
    """Give `docker exec true` in a running container, through the command and through the SDK."""
    docker: Any = importlib.import_module("docker")
    client = docker.from_env()
    name = f"agentrl-perf-{secrets.token_hex(4)}"
    # It ends and goes by itself after an hour, should this process be killed.
    container = client.containers.run(
        image, ["sleep", "3600"], name=name, detach=True, remove=True, network_mode="none", init=True, mem_limit="512m"
    )
    try:
        yield {
            "docker_exec": timed(lambda: run("docker", "exec", name, "true")),
            "docker_exec_sdk": timed(lambda: require(container.exec_run(["true"]).exit_code == 0)),
            "docker_exec_python": timed(lambda: run("docker", "exec", name, "python3", "-c", "pass")),
        }
    finally:
        container.remove(force=True)
        client.close()


@contextmanager
def peer(python: Path | None, name: str, image: str) -> Iterator[tuple[dict[str, Any], dict[str, Batch]]]:
    """Give a peer's version and its batches; it runs in a process of its own till the end.

    Raises:
        OSError, ValueError: It cannot be run here; says why.
    """
    if python is None:
        raise ValueError("no --peers-python PATH given")
    program = Path(__file__).parent / "peers" / "sandboxes.py"
    with subprocess.Popen(
        [python, program, name, image],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        assert process.stderr is not None
        first = process.stdout.readline()
        if not first:
            last = process.stderr.read().strip().splitlines()[-1:]
            raise ValueError(last[0][:200] if last else "it said nothing")
        # Else a peer that says much would stop when the pipe is full.
        threading.Thread(target=process.stderr.read, daemon=True).start()

        def batch(kind: str, count: int) -> list[float]:
            assert process.stdin is not None
            assert process.stdout is not None
            print(kind, count, file=process.stdin, flush=True)
            return [float(each) for each in json.loads(process.stdout.readline())]

        prefix = name.replace("-", "_")
        try:
            yield (
                json.loads(first),
                {
                    f"{prefix}_exec": lambda count: batch("exec", count),
                    f"{prefix}_python": lambda count: batch("python", count),
                },
            )
        finally:
            process.stdin.close()
            process.wait(60)


def timed(function: Callable[[], object]) -> Batch:
    """Return the batch of a call; the first is made now and does not count."""
    function()
    return lambda count: time_calls(function, count)


def await_ready(backend: Backend) -> None:
    """Wait till the pool has a box to hand over, so that a warm lease is measured and not a busy machine's refill."""
    stats: Any = getattr(backend, "stats", None)
    until = time.monotonic() + SETTLE_S
    while stats is not None and stats().warm == 0 and time.monotonic() < until:
        time.sleep(0.002)


def run(*command: str, environment: Mapping[str, str] | None = None) -> None:
    """Run a command of this machine, with this process's environment unless one is given; it must succeed."""
    subprocess.run(command, check=True, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, env=environment)


def require(held: bool) -> None:
    """Stop where a job failed: a figure of failures would be none."""
    if not held:
        raise SystemExit("a job failed")


def resident_mib() -> float:
    """Return the resident memory of this process."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith("VmRSS"):
            return int(line.split()[1]) / 1024
    raise ValueError("no VmRSS in /proc/self/status")


if __name__ == "__main__":
    main()
