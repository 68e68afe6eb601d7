"""vLLM in the trainer's own process: token ids in, token ids out, the trainer's weights pushed into it.

One thread owns vLLM and steps it. Its prefix cache keeps an episode's tokens between turns and the prompt of a group;
it is emptied with every update, and salted with the version besides. When waiting turns join is decided as in the torch
engine (`schedule`), so that "exact" gives the same bits on a CPU.

What happens to turns under way at an update is an option: they finish first, they are kept (tokens so far stay, the
rest is sampled from the new weights over a cache computed anew; the completion carries the older version), or they end
at once with what they have, as `abort`.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Literal

from transformers import PreTrainedModel

from agentrl.trainer.engines.base import Engine, Request, Schedule, Session
from agentrl.trainer.engines.options import EngineConfig
from agentrl.trainer.engines.vllm_runner import Vllm
from agentrl.trainer.errors import ConfigError, EngineError
from agentrl.trainer.types import Completion

__all__ = ["TIMEOUT_S", "VllmEngine"]

TIMEOUT_S = 600.0
"""Of a turn and of an update, unless `engine.timeout_s` says otherwise."""

_ADMIT_SHARE = 0.25  # of the sessions, as in the torch engine


@dataclass(kw_only=True, eq=False)
class _Row:
    """A session's place in the engine."""

    number: int
    request: Request | None = None  # None: its environment is at work
    future: asyncio.Future[Completion] | None = None
    loop: asyncio.AbstractEventLoop | None = None
    id: str | None = None  # vLLM's, while it is in the batch
    since: float = 0.0  # when it joined the batch
    version: int = 0  # of the weights when it joined
    tokens: list[int] = field(default_factory=list)
    logprobs: list[float] = field(default_factory=list)


@dataclass(kw_only=True, eq=False)
class _Job:
    """Something that the engine's thread is asked to do between two steps."""

    work: Callable[[], None]
    what: str
    done: threading.Event = field(default_factory=threading.Event)
    error: BaseException | None = None


class _VllmSession(Session):
    def __init__(self, engine: VllmEngine, row: _Row) -> None:
        self._engine, self._row = engine, row

    async def generate(self, request: Request) -> Completion:
        loop = asyncio.get_running_loop()
        future: asyncio.Future[Completion] = loop.create_future()
        self._engine._submit(self._row, request, future, loop)
        try:
            # Only time in the batch counts: before, it is the environments of others that are waited for.
            while not (await asyncio.wait({future}, timeout=min(1.0, self._engine.timeout_s / 4)))[0]:
                self._engine._check_age(self._row)
            return future.result()
        except (asyncio.CancelledError, EngineError):
            self._row = self._engine._replace(self._row)
            raise

    def forget(self) -> None:
        """Nothing: vLLM's cache finds prefixes by their tokens and drops what is not used."""

    def close(self) -> None:
        self._engine._leave(self._row)


class VllmEngine(Engine):
    """Sample with vLLM from a copy of `model`, brought up to date by `update_weights`.

    Args:
        model: A causal language model of a kind that vLLM knows; on a CPU or on one CUDA device.
        max_tokens: Of an episode; longer requests are refused.
        max_sessions: Episodes in a batch at most; more wait.
        schedule: "exact" or "eager", as of the torch engine.
        options: `engine.*` of the configuration.

    Raises:
        ConfigError: vLLM is missing, of another version or does not take the model; an option does not fit the device.
        EngineError: It did not start in time.
    """

    def __init__(
        self,
        model: PreTrainedModel,
        *,
        max_tokens: int,
        max_sessions: int,
        schedule: Schedule = "exact",
        options: EngineConfig | None = None,
    ) -> None:
        options = options or EngineConfig(name="vllm")
        self.timeout_s = options.timeout_s or TIMEOUT_S
        self._in_flight = options.in_flight or "finish"
        self._schedule, self._max_tokens = schedule, max_tokens
        self._vllm = Vllm(
            model,
            max_tokens=max_tokens,
            max_sessions=max_sessions,
            options=options,
            partial=self._in_flight == "abort",
        )
        self._wake = threading.Condition()
        self._rows: dict[int, _Row] = {}  # open sessions by number
        self._active: dict[str, _Row] = {}  # in vLLM's batch, by its id
        self._numbers, self._ids = itertools.count(), itertools.count()
        self._members = 0  # open sessions at the last admission
        self._job: _Job | None = None
        self._doing = "starting"
        self._closed = False
        self._error: BaseException | None = None
        self.num_steps = 0  # forward passes
        self._thread = threading.Thread(target=self._run, name="agentrl-vllm", daemon=True)
        start = _Job(work=self._vllm.start, what="starting vLLM")
        self._job = start
        self._thread.start()
        try:
            self._await(start)
        except EngineError as error:
            self.close()
            if isinstance(start.error, (ValueError, NotImplementedError, ImportError)):
                reason = " ".join(str(start.error).split())
                raise ConfigError(f"vLLM does not take {type(model).__name__}: {reason}") from start.error
            raise error

    def session(self) -> Session:
        with self._wake:
            self._check()
            row = _Row(number=next(self._numbers))
            self._rows[row.number] = row
            return _VllmSession(self, row)

    def update_weights(self, version: int) -> None:
        """Push the trainer's weights; turns under way finish, are kept or aborted, as configured.

        Raises:
            EngineError: It stopped, weights were not taken, or it took longer than `timeout_s`.
        """
        job = _Job(work=lambda: self._update(version), what=f"taking over the weights of version {version}")
        with self._wake:
            self._check()
            self._job = job
            self._wake.notify_all()
        self._await(job)

    def close(self) -> None:
        with self._wake:
            self._closed = True
            self._wake.notify_all()
        if threading.current_thread() is not self._thread:
            self._thread.join(timeout=60)

    # -- called by sessions --------------------------------------------------------------------------------------

    def _submit(
        self, row: _Row, request: Request, future: asyncio.Future[Completion], loop: asyncio.AbstractEventLoop
    ) -> None:
        with self._wake:
            self._check()
            if self._rows.get(row.number) is not row or row.request is not None:
                raise EngineError("the session is closed, or still samples a turn: await that one first")
            if request.max_new_tokens < 1 or not request.prompt_ids:
                raise EngineError(
                    f"nothing to do: max_new_tokens={request.max_new_tokens}, {len(request.prompt_ids)} prompt tokens"
                )
            if len(request.prompt_ids) + request.max_new_tokens > self._max_tokens:
                raise EngineError(
                    f"{len(request.prompt_ids)} prompt tokens and max_new_tokens={request.max_new_tokens} are more "
                    f"than the {self._max_tokens} tokens that vLLM was started for"
                )
            row.request, row.future, row.loop = request, future, loop
            row.tokens, row.logprobs = [], []
            self._wake.notify_all()

    def _leave(self, row: _Row) -> None:
        with self._wake:
            if self._rows.get(row.number) is row:
                del self._rows[row.number]
            self._wake.notify_all()

    def _replace(self, row: _Row) -> _Row:
        with self._wake:
            fresh = _Row(number=row.number)
            if self._rows.get(row.number) is row:
                self._rows[row.number] = fresh
            self._wake.notify_all()
            return fresh

    def _check(self) -> None:
        if self._error is not None:
            raise EngineError(f"vLLM stopped while {self._doing}: {self._error!r}") from self._error
        if self._closed:
            raise EngineError("the engine is closed")

    def _check_age(self, row: _Row) -> None:
        with self._wake:
            age = time.monotonic() - row.since if row.id is not None else 0.0
            if age > self.timeout_s and row.request is not None:
                raise EngineError(
                    f"a turn of {len(row.request.prompt_ids)} prompt tokens and at most {row.request.max_new_tokens} "
                    f"new ones did not come back from vLLM within engine.timeout_s={self.timeout_s:g}: it is "
                    f"{self._doing}, after {self.num_steps} steps; a turn that is only long needs more time"
                )

    def _await(self, job: _Job) -> None:
        if not job.done.wait(self.timeout_s):
            raise EngineError(
                f"{job.what} did not end within engine.timeout_s={self.timeout_s:g}: vLLM is {self._doing}, with "
                f"{len(self._active)} turns under way"
            )
        if job.error is not None:
            raise EngineError(f"vLLM failed while {job.what}: {job.error!r}") from job.error

    # -- the engine's thread -------------------------------------------------------------------------------------

    def _run(self) -> None:
        try:
            while self._turn():
                pass
        except BaseException as error:  # whatever it is, every waiting episode must hear of it
            self._error = error
        said = f"vLLM stopped while {self._doing}: {self._error!r}" if self._error else "the engine is closed"
        self._fail_all(EngineError(said))
        self._vllm.close()

    def _turn(self) -> bool:
        """Do a job if there is one, else admit who may join and step; False when closed."""
        with self._wake:
            while not self._closed and not self._job and not self._may_go_on() and not self._may_sleep():
                self._wake.wait()
            if self._closed:
                return False
            job = self._job
            wait = job is not None and self._in_flight == "finish" and bool(self._active)
            gone = [id for id, row in self._active.items() if self._rows.get(row.number) is not row]
            joining = [] if job or gone else self._joining()
            sleepy = self._may_sleep()
        if gone:
            self._vllm.abort(gone)
            for id in gone:
                del self._active[id]
        elif job is not None and not wait:
            self._do(job)
        elif sleepy:
            self._vllm.sleep()
        else:
            self._add(joining)
            self._step()
        return True

    def _do(self, job: _Job) -> None:
        self._doing = job.what
        try:
            job.work()
        except BaseException as error:
            self._error = job.error = error
            raise
        finally:
            with self._wake:
                self._job = None
            job.done.set()

    def _update(self, version: int) -> None:
        if self._in_flight == "abort" and self._active:
            self._vllm.abort(list(self._active))
            self._resolve([(row, "abort") for row in self._active.values()])
            self._active = {}
        self._vllm.load()
        self.version = version

    def _may_sleep(self) -> bool:
        return self._vllm.may_sleep and not self._rows and not self._active

    def _waiting(self) -> list[_Row]:
        waiting = [row for row in self._rows.values() if row.request and row.id is None]
        return sorted(waiting, key=lambda row: (row.request.order if row.request else (), row.number))

    def _may_go_on(self) -> bool:
        if any(self._rows.get(row.number) is not row for row in self._active.values()):
            return True
        if self._active and (self._schedule == "eager" or not self._want_admission()):
            return True
        if self._schedule == "eager":
            return any(row.request for row in self._rows.values())
        return bool(self._rows) and all(row.request for row in self._rows.values())

    def _want_admission(self) -> bool:
        return self._members - len(self._active) >= max(1, round(_ADMIT_SHARE * self._members))

    def _joining(self) -> list[_Row]:
        if self._active and self._schedule == "exact" and not self._want_admission():
            return []
        self._members = len(self._rows)
        joining = self._waiting()
        for row in joining:
            row.id, row.since, row.version = f"{next(self._ids)}", time.monotonic(), self.version
        return joining

    def _add(self, rows: list[_Row]) -> None:
        for row in rows:
            request, id = row.request, row.id
            if request is None or id is None:  # cancelled a moment ago
                continue
            self._doing = f"admitting a turn of {len(request.prompt_ids)} prompt tokens"
            self._vllm.add(id, request, salt=str(self.version))
            self._active[id] = row

    def _step(self) -> None:
        if not self._active:
            return
        self._doing = f"decoding {len(self._active)} turns"
        outputs = self._vllm.step()
        self.num_steps += 1
        done: list[tuple[_Row, Literal["stop", "length", "abort"]]] = []
        for output in outputs:
            row = self._active.get(output.request_id)
            if row is None:
                continue
            part = output.outputs[0]
            row.tokens += part.token_ids
            row.logprobs += [at[token].logprob for token, at in zip(part.token_ids, part.logprobs, strict=True)]
            if output.finished:
                del self._active[output.request_id]
                done.append((row, "stop" if part.finish_reason == "stop" else "length"))
        self._resolve(done)

    def _resolve(self, done: list[tuple[_Row, Literal["stop", "length", "abort"]]]) -> None:
        settled = []
        with self._wake:
            for row, end in done:
                turn = Completion(token_ids=row.tokens, logprobs=row.logprobs, finish=end, version=row.version)
                settled.append((row.loop, row.future, turn))
                row.request = row.id = None
        for loop, future, turn in settled:
            _tell(loop, future, turn)

    def _fail_all(self, error: EngineError) -> None:
        with self._wake:
            waiting = [(row.loop, row.future) for row in self._rows.values() if row.request]
            for row in self._rows.values():
                row.request = row.id = None
            self._active = {}
            job, self._job = self._job, None
        if job is not None:
            job.error = job.error or error
            job.done.set()
        for loop, future in waiting:
            _tell(loop, future, error)


def _tell(
    loop: asyncio.AbstractEventLoop | None, future: asyncio.Future[Completion] | None, said: Completion | EngineError
) -> None:
    def settle() -> None:
        if future is None or future.done():
            return
        if isinstance(said, EngineError):
            future.set_exception(said)
        else:
            future.set_result(said)

    if loop is not None:
        with contextlib.suppress(RuntimeError):  # the caller's event loop is gone
            loop.call_soon_threadsafe(settle)
