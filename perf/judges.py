"""Do 64 judges wait side by side, and do environments step on meanwhile?

A server in a process of its own answers every question after a fixed delay, as a model would that has room for all. One
episode is scored through a rubric with one judge; then 64 episodes at once, from 64 threads and from one event loop:
the ratio to the time of one is 1 where nothing waits in line. Then threads play AgentRL/Math-v0, alone
and beside 64 threads that score episodes without a pause: what is left of their episodes a second is what judges cost
those who play. On a busy machine count CPU time: there a process with one more running thread gets a larger share, and
seems to play faster beside its judges. Nothing is cached. A figure is the median of the rounds.
"""

from __future__ import annotations

import asyncio
import itertools
import json
import statistics
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

import gymnasium
from common import parser, percentile, report, versions

import agentrl.envs  # registers the environments  # noqa: F401
from agentrl.envs.rubrics import Component, Rubric
from agentrl.envs.rubrics.judges import close_judges, totals
from agentrl.envs.rubrics.transcript import Transcript

VERDICT = json.dumps({"choices": [{"message": {"content": '{"reason": "So it is.", "score": 7}'}}]}).encode()
NUMBERS = itertools.count()  # so that no two episodes are alike


async def serve(delay_s: float) -> None:
    """Answer every request after a while, for ever; print the port."""

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while head := await reader.readuntil(b"\r\n\r\n"):
                length = next(line for line in head.lower().split(b"\r\n") if line.startswith(b"content-length:"))
                await reader.readexactly(int(length.partition(b":")[2]))
                await asyncio.sleep(delay_s)
                writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s" % (len(VERDICT), VERDICT))
        except (asyncio.IncompleteReadError, ConnectionError):
            writer.close()

    server = await asyncio.start_server(answer, "127.0.0.1", 0, backlog=256)
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()


@contextmanager
def serving(delay_s: float) -> Iterator[str]:
    """Run the server in a process of its own; yield its address."""
    command = [sys.executable, __file__, "--serve", "--delay-s", str(delay_s)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        try:
            yield f"http://127.0.0.1:{int(process.stdout.readline())}/v1"
        finally:
            process.kill()


def episode() -> Transcript:
    """Return an episode that was never seen."""
    answer = f"<answer>{next(NUMBERS)}</answer>"
    return Transcript(messages=({"role": "user", "content": "2 + 2?"}, {"role": "assistant", "content": answer}))


def seconds_of(work: Callable[[], object]) -> float:
    """Return how long something takes."""
    began = time.perf_counter()
    work()
    return time.perf_counter() - began


def in_threads(rubric: Rubric, num: int) -> float:
    """Return the seconds of scoring episodes from as many threads."""
    with ThreadPoolExecutor(num) as threads:
        ready = threading.Barrier(num + 1)

        def one() -> float:
            ready.wait()
            return rubric.score(episode()).reward

        waiting = [threads.submit(one) for _ in range(num)]
        ready.wait()
        return seconds_of(lambda: [each.result() for each in waiting])


def on_a_loop(rubric: Rubric, num: int) -> float:
    """Return the seconds of scoring episodes from one event loop."""

    async def every() -> None:
        await asyncio.gather(*(rubric.score_async(episode()) for _ in range(num)))

    return seconds_of(lambda: asyncio.run(every()))


def steps(num_threads: int, seconds: float) -> tuple[float, float, list[float]]:
    """Return the episodes a second of threads that play for a while, the same a second of CPU, and seconds by steps."""
    end = time.perf_counter() + seconds
    cpu = time.process_time()

    def play(seed: int) -> list[float]:
        env = gymnasium.make("AgentRL/Math-v0")
        taken = []
        while time.perf_counter() < end:
            env.reset(seed=seed)
            began = time.perf_counter()
            env.step("<think>Let me see.</think> It is so. <answer>42</answer>")
            taken.append(time.perf_counter() - began)
            seed += num_threads
        env.close()
        return taken

    with ThreadPoolExecutor(num_threads) as threads:
        found = [took for each in threads.map(play, range(num_threads)) for took in each]
    return len(found) / seconds, len(found) / (time.process_time() - cpu), found


def judging(rubric: Rubric, num: int, stop: threading.Event) -> list[threading.Thread]:
    """Start threads that score episodes without a pause until they are told to stop."""

    def go_on() -> None:
        while not stop.is_set():
            rubric.score(episode())

    threads = [threading.Thread(target=go_on) for _ in range(num)]
    for thread in threads:
        thread.start()
    return threads


def main() -> int:
    """Measure and report; return the exit status."""
    options = parser(__doc__)
    options.add_argument("--rounds", type=int, default=5, metavar="N")
    options.add_argument("--judges", type=int, default=64, metavar="N", help="at once")
    options.add_argument("--delay-s", type=float, default=1.0, metavar="S", help="until the server answers")
    options.add_argument("--steppers", type=int, default=2, metavar="N", help="threads that play")
    options.add_argument("--seconds", type=float, default=5.0, metavar="S", help="that they play in a round")
    options.add_argument("--serve", action="store_true", help="be the server")
    arguments = options.parse_args()
    if arguments.serve:
        asyncio.run(serve(arguments.delay_s))
    ones: list[float] = []
    threaded: list[float] = []
    looped: list[float] = []
    alone: list[float] = []
    beside: list[float] = []
    judged: list[float] = []
    by_cpu: list[float] = []
    waits: list[float] = []
    with serving(arguments.delay_s) as url:
        rubric = Rubric(
            components=(Component(name="good", use="judge", arguments={"criteria": "It is right."}),),
            judge={"model": "m", "base_url": url, "cache": "", "concurrency": arguments.judges},
        )
        in_threads(rubric, arguments.judges)  # imports, and opens the connections
        for _ in range(arguments.rounds):
            ones.append(seconds_of(lambda: rubric.score(episode())))
            threaded.append(in_threads(rubric, arguments.judges))
            looped.append(on_a_loop(rubric, arguments.judges))
            # Alone, beside, beside, alone: what else the machine does meanwhile falls on both alike.
            without = [steps(arguments.steppers, arguments.seconds / 2)]
            stop, before = threading.Event(), totals().num_verdicts
            threads = judging(rubric, arguments.judges, stop)
            within = [steps(arguments.steppers, arguments.seconds / 2) for _ in range(2)]
            stop.set()
            for thread in threads:
                thread.join()
            judged.append((totals().num_verdicts - before) / arguments.seconds)
            without.append(steps(arguments.steppers, arguments.seconds / 2))
            alone.append(sum(each[0] for each in without) / 2)
            beside.append(sum(each[0] for each in within) / 2)
            by_cpu.append(sum(each[1] for each in within) / sum(each[1] for each in without))
            waits.append(percentile([took for each in within for took in each[2]], 99) * 1000)
        failed = totals().num_failed
        close_judges()
    one, num = statistics.median(ones), arguments.judges
    figures = {
        "one_judge_s": one,
        f"judges_{num}_in_threads_s": statistics.median(threaded),
        f"judges_{num}_in_threads_to_one": statistics.median(threaded) / one,
        f"judges_{num}_on_a_loop_to_one": statistics.median(looped) / one,
        "episodes_alone_per_s": statistics.median(alone),
        "episodes_beside_judges_per_s": statistics.median(beside),
        "episodes_beside_judges_to_alone": statistics.median(
            with_judges / without for with_judges, without in zip(beside, alone, strict=True)
        ),
        "episodes_per_cpu_s_beside_to_alone": statistics.median(by_cpu),
        "step_beside_judges_p99_ms": statistics.median(waits),
        "verdicts_beside_episodes_per_s": statistics.median(judged),
        "failed": float(failed),
    }
    report(figures, versions("httpx", "gymnasium"), arguments.json)
    return 0


if __name__ == "__main__":
    sys.exit(main())
