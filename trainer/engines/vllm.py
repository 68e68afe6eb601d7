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
import itertools
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Literal

from transformers import PreTrainedModel

from agentrl.trainer.engines.base import TIMEOUT_S, Request, Schedule
from agentrl.trainer.engines.options import EngineConfig
from agentrl.trainer.engines.threaded import Row, ThreadedEngine
from agentrl.trainer.engines.vllm_runner import Vllm
from agentrl.trainer.errors import ConfigError, EngineError
from agentrl.trainer.types import Completion

__all__ = ["VllmEngine"]


@dataclass(kw_only=True, eq=False)
class _Row(Row):
    """What this engine knows of a session besides."""

    id: str | None = None  # vLLM's, while it is in the batch
    since: float = 0.0  # when it joined the batch
    version: int = 0  # of the weights when it joined


@dataclass(kw_only=True, eq=False)
class _Job:
    """Something that the engine's thread is asked to do between two steps."""

    work: Callable[[], None]
    what: str
    done: threading.Event = field(default_factory=threading.Event)
    error: BaseException | None = None


class VllmEngine(ThreadedEngine[_Row]):
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
        super().__init__(schedule=schedule, name="agentrl-vllm")
        options = options or EngineConfig(name="vllm")
        self.timeout_s = options.timeout_s or TIMEOUT_S
        self._in_flight = options.in_flight or "finish"
        self._max_tokens = max_tokens
        self._vllm = Vllm(
            model,
            max_tokens=max_tokens,
            max_sessions=max_sessions,
            options=options,
            partial=self._in_flight == "abort",
        )
        self._active: dict[str, _Row] = {}  # in vLLM's batch, by its id
        self._ids = itertools.count()
        self._job: _Job | None = None
        self._doing = "starting"
        self.num_steps = 0  # forward passes
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

    # -- a session's turn ----------------------------------------------------------------------------------------

    def _row(self, slot: int) -> _Row:
        return _Row(slot=slot)

    def _begin(self, row: _Row, request: Request) -> None:
        if request.max_new_tokens < 1 or not request.prompt_ids:
            raise EngineError(
                f"nothing to do: max_new_tokens={request.max_new_tokens}, {len(request.prompt_ids)} prompt tokens"
            )
        if len(request.prompt_ids) + request.max_new_tokens > self._max_tokens:
            raise EngineError(
                f"{len(request.prompt_ids)} prompt tokens and max_new_tokens={request.max_new_tokens} are more "
                f"than the {self._max_tokens} tokens that vLLM was started for"
            )

    async def _outcome(self, row: _Row, future: asyncio.Future[Completion]) -> Completion:
        # Only time in the batch counts: before, it is the environments of others that are waited for.
        while not (await asyncio.wait({future}, timeout=min(1.0, self.timeout_s / 4)))[0]:
            self._check_age(row)
        return future.result()

    def _why(self) -> str:
        if self._error is None:
            return super()._why()
        return f"vLLM stopped while {self._doing}: {self._error!r}"

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
        super()._run()
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
            gone = self._gone()
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
            self._end([(row, "abort") for row in self._active.values()])
            self._active = {}
        self._vllm.load()
        self.version = version

    def _may_sleep(self) -> bool:
        return self._vllm.may_sleep and not self._rows and not self._active

    def _waiting(self) -> list[_Row]:
        return self._in_order(row for row in self._rows.values() if row.request and row.id is None)

    def _gone(self) -> list[str]:
        return [id for id, row in self._active.items() if self._rows.get(row.slot) is not row]

    def _may_go_on(self) -> bool:
        return bool(self._gone()) or super()._may_go_on()

    def _joining(self) -> list[_Row]:
        if not self._may_admit():
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
        self._end(done)

    def _end(self, done: list[tuple[_Row, Literal["stop", "length", "abort"]]]) -> None:
        turns = [
            Completion(token_ids=row.tokens, logprobs=row.logprobs, finish=end, version=row.version)
            for row, end in done
        ]
        for row, _ in done:
            row.id = None
        self._resolve([(row, turn) for (row, _), turn in zip(done, turns, strict=True)])

    def _fail_all(self, error: EngineError) -> None:
        with self._wake:
            job, self._job = self._job, None
        if job is not None:
            job.error = job.error or error
            job.done.set()
        super()._fail_all(error)
