"""The worker processes of a run: started, given environments, replaced when they are lost, ended.

One thread owns them all and speaks to Ray. Jobs are put into its inbox and travel together; what has ended comes back
together. What was at work in a worker that is lost has failed, and is played again elsewhere by whoever asked.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import os
import pickle
import sys
import threading
from collections import deque
from collections.abc import Callable, Coroutine, Iterator
from contextlib import ExitStack, contextmanager
from types import TracebackType
from typing import Any, Final, Self

from agentrl.trainer.desk import EnvFailure
from agentrl.trainer.errors import WorkersError
from agentrl.trainer.workers.actor import EnvWorker
from agentrl.trainer.workers.cluster import joined
from agentrl.trainer.workers.config import RayConfig, num_workers_of
from agentrl.trainer.workers.desks import Call, RayDesk, RayDesks, Worker
from agentrl.trainer.workers.head import Head
from agentrl.trainer.workers.wire import decode

__all__ = ["RayWorkers", "open_workers"]

_LEAVE_S: Final = 5.0  # that workers have to end by themselves
_MOST_STUCK: Final = 64  # threads left behind in a worker, before another takes its place
_RESTARTS: Final = 3  # of each worker within a minute, on average
_MINUTE_S: Final = 60.0
_TICK_S: Final = 0.001  # jobs that are posted within it travel together


@contextmanager
def open_workers(env_workers: str | None, config: RayConfig) -> Iterator[RayWorkers | None]:
    """Open the workers that `env_workers` asks for; None where environments stay in this process.

    Raises:
        ConfigError: It is wrong, Ray is not installed, or nothing answers at its address.
        WorkersError: Not all workers have places in time, or one cannot start.
    """
    if not (number := num_workers_of(env_workers)):
        yield None
        return
    with RayWorkers(number, config) as workers:
        yield workers


class RayWorkers:
    """Worker processes for environments; a context manager.

    Args:
        num_workers: How many processes; each holds any number of environments.
        config: The cluster, and what each worker asks of it.

    Raises:
        ConfigError: Ray is not installed, or nothing answers at its address.
        WorkersError: Not all workers have places in time, or one cannot start.
    """

    def __init__(self, num_workers: int, config: RayConfig | None = None) -> None:
        self._config = config or RayConfig()
        self._num = num_workers
        self._workers: list[Worker] = []  # that live, or are to
        self._inbox: deque[Call | RayDesk] = deque()  # a desk: it is abandoned
        self._is_woken = False
        self._waiting: list[Call] = []  # until a worker is ready
        self._numbers = itertools.count()
        self._restarts: list[float] = []
        self._seen = 0.0  # when a worker was ready last, while none is
        self._tasks: set[asyncio.Task[None]] = set()
        self._broken = ""  # why nothing can be played any more
        self._last = ""  # why a worker was lost last
        self._is_closing = False
        self._changed = asyncio.Event()
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="agentrl-ray", daemon=True)
        with ExitStack() as opened:
            opened.callback(self._close_loop)
            self._ray = opened.enter_context(joined(self._config, num_workers))
            self._actor = self._ray.remote(EnvWorker).options(
                max_concurrency=8,  # calls of ours at once, of which one waits; not environments
                max_restarts=0,
                scheduling_strategy="SPREAD",
                **self._config.options(),
            )
            for method in vars(EnvWorker).values():  # Ray writes its own argument into what it is given
                getattr(method, "__dict__", {}).pop("__signature__", None)
                getattr(getattr(method, "__wrapped__", None), "__dict__", {}).pop("__signature__", None)
            self._head = Head(self._ray.get_runtime_context().gcs_address)
            self._thread.start()
            opened.callback(self._end)
            asyncio.run_coroutine_threadsafe(self._start(), self._loop).result()
            self._opened = opened.pop_all()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """End all workers, and the cluster where it was for this run alone; may be called twice."""
        self._opened.close()

    def desks(self, make: Callable[[str], Any]) -> RayDesks:
        """Return desks whose environments `make` makes in the workers."""
        return RayDesks(self, make)

    def places(self) -> list[str]:
        """Return host and process of each worker that is ready."""
        return [worker.where for worker in list(self._workers) if worker.is_ready]

    def post(self, message: Call | RayDesk) -> None:
        """Have a job run at its desk, or a desk closed; from any thread."""
        self._inbox.append(message)
        if not self._is_woken:  # what is put in before the inbox is read goes with it
            self._is_woken = True
            try:
                self._loop.call_soon_threadsafe(self._loop.call_later, _TICK_S, self._drain)
            except RuntimeError:  # it is closed
                self._drain()

    # -- in the thread of the workers ---------------------------------------------------------------------------------

    async def _start(self) -> None:
        await self._head.know()
        self._spawn(self._watch_head())
        for _ in range(self._num):
            self._launch()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(self._config.start_timeout_s):
                while len(self.places()) < self._num and not self._broken:
                    await self._changed.wait()
                    self._changed.clear()
        if self._broken:
            raise WorkersError(self._broken)
        if (found := len(self.places())) < self._num:
            # Ray ends the process that asks a head that has gone, or was started again, what there is.
            raise WorkersError(await self._head.fault() or self._no_room(found))

    async def _watch_head(self) -> None:
        """End the run when the head is gone: what is under way may go on without it, but nothing new may begin."""
        why = await self._head.lost()
        self._last = "once it is up, and its other hosts have joined it again: agentrl train --resume RUN"
        self._break(why)

    def _launch(self) -> None:
        paths = [path or os.getcwd() for path in sys.path]
        worker = Worker(handle=self._actor.remote(paths, os.getcwd()))
        self._workers.append(worker)
        self._spawn(self._keep(worker))

    def _spawn(self, work: Coroutine[Any, Any, None]) -> None:
        task = self._loop.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _keep(self, worker: Worker) -> None:
        """Hear what a worker says until it is lost, or has ended."""
        try:
            worker.where = await worker.handle.hello.remote()
            worker.is_ready = True
            self._changed.set()
            waiting, self._waiting = self._waiting, []
            self._inbox.extendleft(reversed(waiting))
            self._drain()
            while ended := pickle.loads(await worker.handle.collect.remote(worker.take())):
                worker.is_heard = False
                self._settle(worker, ended)
                await asyncio.sleep(_TICK_S)  # what is asked in answer goes with the next call
        except Exception as error:  # Ray's tree is wide: the process, its node, the head, the connection
            self._lose(worker, error)

    def _drain(self) -> None:
        """Send what is in the inbox, to each worker at once."""
        self._is_woken = False
        while self._inbox:
            message = self._inbox.popleft()
            if isinstance(message, RayDesk):
                self._let_go(message)
            else:
                self._hand_on(message)
        for worker in self._workers:
            if worker.outbox and worker.is_heard:
                worker.handle.put.remote(worker.take())

    def _hand_on(self, call: Call) -> None:
        desk, recipe = call.desk, b""
        if self._broken:
            call.done(None, WorkersError(self._broken))
            return
        if desk.worker is None:
            ready = [worker for worker in self._workers if worker.is_ready]
            if not ready:
                self._waiting.append(call)
                return
            desk.worker, desk.place, recipe = (
                min(ready, key=lambda each: each.num_used),
                next(self._numbers),
                desk.recipe,
            )
            desk.worker.desks[desk.place] = desk
        if desk.worker.is_lost:
            call.done(None, _lost(desk.worker, self._last))
            return
        number = next(self._numbers)
        desk.worker.calls[number] = call
        desk.num_calls += 1
        desk.worker.outbox.append((number, desk.place, recipe, call.what, call.job))

    def _let_go(self, desk: RayDesk) -> None:
        worker = desk.worker
        if worker is None or worker.is_lost:
            self._waiting = [call for call in self._waiting if call.desk is not desk]
            desk.closed.set()
            return
        worker.outbox.append((-1, desk.place))
        if desk.num_calls:
            worker.stuck.add(desk.place)  # until it comes back
            if len(worker.stuck) > _MOST_STUCK and worker.is_ready:
                self._retire(worker)
            self._end_retired(worker)

    def _settle(self, worker: Worker, ended: list[tuple[int, Any]]) -> None:
        for number, told in ended:
            if number < 0:
                worker.stuck.discard(told)
                if (desk := worker.desks.pop(told, None)) is not None:
                    desk.closed.set()
            elif (call := worker.calls.pop(number, None)) is not None:
                call.desk.num_calls -= 1
                call.done(*decode(told, call.what))
        self._end_retired(worker)

    def _end_retired(self, worker: Worker) -> None:
        if worker.is_retired and worker.num_used == 0:
            self._ray.kill(worker.handle)

    def _retire(self, worker: Worker) -> None:
        """Give a worker no more environments, have another take its place, and end it once nobody needs it."""
        self._seen = self._loop.time()
        worker.is_ready, worker.is_retired = False, True
        for desk in worker.desks.values():
            desk.is_usable = False
        self._last = f"{len(worker.stuck)} environments hung in it"
        self._spawn(self._replace())

    def _lose(self, worker: Worker, error: Exception) -> None:
        """Fail what was at work in a worker, and have another take its place."""
        self._head.doubt()
        if worker.is_ready:
            self._seen = self._loop.time()
        worker.is_ready, worker.is_lost = False, True
        self._workers.remove(worker)
        if not worker.is_retired:
            self._last = _reason(error)
        for call in worker.calls.values():
            call.done(None, _lost(worker, self._last))
        for desk in worker.desks.values():
            desk.is_usable = False
            desk.closed.set()
        worker.calls.clear()
        worker.desks.clear()
        if not self._head.is_lost:  # it would be waited for
            with contextlib.suppress(Exception):  # it is gone, or was cut off and may come back: not as ours
                self._ray.kill(worker.handle)
        if not self._is_closing and not worker.is_retired:
            self._spawn(self._replace())

    async def _replace(self) -> None:
        """Start a worker in place of one, unless that happened too often, or none comes back in time."""
        while not self._broken:
            now = self._loop.time()
            self._restarts = [each for each in self._restarts if now - each < _MINUTE_S]
            if len(self._restarts) < _RESTARTS * self._num:
                break
            if not self.places():
                self._break(f"all workers are lost, after {len(self._restarts)} restarts within a minute; the last")
                return
            await asyncio.sleep(1.0)
        if self._broken:
            return
        self._restarts.append(self._loop.time())
        self._launch()
        if not self.places():
            await asyncio.sleep(self._config.start_timeout_s)
            if not self.places() and self._loop.time() - self._seen >= self._config.start_timeout_s:
                self._break(f"no worker has come back within {self._config.start_timeout_s:g} s; the last was lost")

    def _break(self, why: str) -> None:
        """Fail all that waits, and all that will be asked."""
        self._broken = self._broken or f"{why}: {self._last}"
        waiting, self._waiting = self._waiting, []
        for call in waiting:
            call.done(None, WorkersError(self._broken))
        self._changed.set()

    def _no_room(self, found: int) -> str:
        """Say how many workers have places, and what was asked."""
        nodes = [node for node in self._ray.nodes() if node["Alive"]]
        named = ("CPU", "memory", *self._config.resources)
        free = self._ray.available_resources()
        lost = f" One was lost: {self._last}." if self._last else ""
        there = {name: sum(node["Resources"].get(name, 0.0) for node in nodes) for name in named}
        told = ", ".join(f"{name} {amount:g} ({free.get(name, 0.0):g} free)" for name, amount in there.items())
        return (
            f"{found} of {self._num} workers have places after {self._config.start_timeout_s:g} s.{lost} Each asks "
            f"for {self._config.told()}; the cluster of {len(nodes)} hosts has {told}. Ask for ray:{found or 1}, for "
            "less (ray.num_cpus, ray.memory_mb, ray.resources), or add hosts: ray start --address HOST:PORT"
        )

    async def _finish(self) -> None:
        self._is_closing = True
        self._last = "they were closed"
        self._break("the workers have ended")
        leaving = [worker.handle.leave.remote() for worker in self._workers if worker.is_ready]
        with contextlib.suppress(TimeoutError):  # what their environments share, such as pools of boxes, is given up
            async with asyncio.timeout(_LEAVE_S):
                await asyncio.gather(*map(_awaited, leaving), return_exceptions=True)
        for worker in list(self._workers):
            self._lose(worker, WorkersError("it was closed"))
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def _end(self) -> None:
        with contextlib.suppress(TimeoutError):
            asyncio.run_coroutine_threadsafe(self._finish(), self._loop).result(2 * _LEAVE_S)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(_LEAVE_S)

    def _close_loop(self) -> None:
        if not self._thread.is_alive():  # else Ray holds it, which must not hide why the run ends
            self._loop.close()


async def _awaited(reference: Any) -> None:
    await reference


def _lost(worker: Worker, why: str) -> EnvFailure:
    return EnvFailure("lost", "worker", f"the worker on {worker.where} was lost: {why}")


def _reason(error: Exception) -> str:
    """Return what Ray says in one line: its first and its last, which names the cause."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()] or [type(error).__name__]
    return " ".join(dict.fromkeys((lines[0], lines[-1])))[:400]
