"""The ranks of a run that torchrun started, and the line on which rank 0 tells the others what to do.

A command is announced in rank 0's store, so that whoever waits for it waits in no collective operation, and learns
meanwhile that a rank failed. Its arguments and the answers travel by gloo, pickled: ranks of one run trust each other.
"""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from datetime import timedelta
from types import TracebackType
from typing import Any, Final, Self

import torch
import torch.distributed as dist
from torch.distributed import PrefixStore, TCPStore  # type: ignore[attr-defined]
from torch.distributed.device_mesh import DeviceMesh, init_device_mesh
from torch.distributed.rendezvous import rendezvous

from agentrl.trainer.distributed.pulse import FAILED, Pulse
from agentrl.trainer.engines.base import TIMEOUT_S
from agentrl.trainer.errors import ConfigError, RankError
from agentrl.trainer.model import pick_device

__all__ = ["Place", "World", "place_here"]

_REST_S, _LONGEST_REST_S = 0.001, 0.05
_ACK_S: Final = 5.0
_LOST: Final = ("gloo", "nccl", "connection", "process group", "store", "socket", "timed out")


@dataclass(frozen=True, kw_only=True)
class Place:
    """Where torchrun has put this process."""

    rank: int
    size: int
    local_rank: int
    restarts: int  # of all workers, before this one was started


def place_here() -> Place | None:
    """Return what torchrun says of this process; None without it, or where it started one process alone."""
    if "RANK" not in os.environ or int(os.environ.get("WORLD_SIZE", "1")) < 2:
        return None
    return Place(
        rank=int(os.environ["RANK"]),
        size=int(os.environ["WORLD_SIZE"]),
        local_rank=int(os.environ.get("LOCAL_RANK", "0")),
        restarts=int(os.environ.get("TORCHELASTIC_RESTART_COUNT", "0")),
    )


class World:
    """All ranks, from here; a context manager that joins them, and tells the others why it is left.

    Args:
        place: Of this process.
        timeout_s: A rank that gives no sign of life for so long has failed, until `settle` says otherwise.
    """

    def __init__(self, place: Place, *, timeout_s: float = 30.0) -> None:
        self._place, self.rank, self.size, self.restarts = place, place.rank, place.size, place.restarts
        self._timeout_s = timeout_s
        self.names: list[str] = []
        """How each rank is called in messages."""
        self.shield: Callable[[], AbstractContextManager[None]] = contextlib.nullcontext
        """Keeps a signal from leaving something half said."""
        self.leaving = False
        """Whether a rank was asked to end."""
        self._count = 0  # commands until now
        self._owed = False  # the others have not answered the last one

    @property
    def leads(self) -> bool:
        """Whether this is rank 0."""
        return self.rank == 0

    def __enter__(self) -> Self:
        cuda = torch.cuda.is_available()
        if cuda:
            torch.cuda.set_device(self._place.local_rank % torch.cuda.device_count())
        limit = timedelta(seconds=TIMEOUT_S)
        store, rank, size = next(rendezvous("env://", timeout=limit))
        # torchrun may keep the store when it starts all ranks again, with the addresses of those that are gone.
        store = PrefixStore(f"start_{self.restarts}", store)
        backend = "cpu:gloo,cuda:nccl" if cuda else "gloo"
        dist.init_process_group(backend, store=store, rank=rank, world_size=size, timeout=limit)
        self._line = dist.new_group(backend="gloo", timeout=timedelta(seconds=TIMEOUT_S))
        host = os.environ["MASTER_ADDR"]
        more: dict[str, Any] = {"timeout": timedelta(seconds=max(self._timeout_s, 10.0)), "wait_for_workers": False}
        port: list[Any] = [None]
        if self.leads:
            self._store = TCPStore(host, 0, is_master=True, **more)
            port = [self._store.port]
        dist.broadcast_object_list(port, src=0, group=self._line)
        if not self.leads:
            self._store = TCPStore(host, port[0], is_master=False, **more)
        named: list[Any] = [None] * self.size
        dist.all_gather_object(named, f"rank {self.rank} on {socket.gethostname()}", group=self._line)
        self.names = named
        store = self._store.clone()  # type: ignore[attr-defined]  # a wait holds a client for itself
        self.pulse = Pulse(store, self.rank, named, self._timeout_s, self._asked)
        return self

    def settle(self, device: str, timeout_s: float) -> None:
        """Say what the run computes on, "auto", "cpu" or "cuda", and when a silent rank has failed.

        Raises:
            ConfigError: That device is not there.
        """
        kind = pick_device(device).type
        index = self._place.local_rank % torch.cuda.device_count() if kind == "cuda" else None
        self.device = torch.device(kind) if index is None else torch.device(kind, index)
        self.mesh: DeviceMesh = init_device_mesh(kind, (self.size,))
        self.pulse.timeout_s = timeout_s

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            if error is not None and not isinstance(error, RankError):
                self._tell(error)
        finally:
            self.pulse.close()
            if error is None:  # else others may be stuck in what this would wait for
                dist.destroy_process_group()

    # -- rank 0 --------------------------------------------------------------------------------------------------

    def command(self, name: str, *args: Any, each: Sequence[Any] | None = None) -> None:
        """Have the others do something; they answer to `collect`.

        Args:
            name: What.
            args: The same for all.
            each: One more argument for each rank, rank 0's own included.

        Raises:
            RankError: A rank has failed, or does not answer.
        """
        if self._owed:
            self.leave()
        with self.shield():
            self._count += 1
            self._store.set(f"command/{self._count}", name)
            self._owed = True
            dist.broadcast_object_list([(name, args, each is not None)], src=0, group=self._line)
            if each is not None:
                dist.scatter_object_list([None], list(each), src=0, group=self._line)

    def collect(self) -> list[Any]:
        """Return what the others answered to the last command, in the order of their ranks.

        Raises:
            RankError: A rank has failed, or does not answer.
        """
        for other in range(1, self.size):
            self._await(f"answer/{self._count}/{other}")
        answers: list[Any] = [None] * self.size
        with self.shield():
            dist.gather_object(None, answers, dst=0, group=self._line)
            self._owed = False
        self.leaving = self.leaving or any(leaving for _, leaving in answers[1:])
        return [value for value, _ in answers[1:]]

    def leave(self) -> None:
        """Have the others leave what they do and may leave, and forget their answers.

        Raises:
            RankError: A rank has failed, or does not answer.
        """
        if self._owed:
            self._store.set("left", str(self._count))
            self.collect()

    # -- the others ----------------------------------------------------------------------------------------------

    def receive(self) -> tuple[str, list[Any]]:
        """Wait for the next command; return its name and arguments.

        Raises:
            RankError: Rank 0 has failed, or does not answer.
        """
        self._count += 1
        self._await(f"command/{self._count}")
        told: list[Any] = [None]
        dist.broadcast_object_list(told, src=0, group=self._line)
        name, args, scattered = told[0]
        if scattered:
            own: list[Any] = [None]
            dist.scatter_object_list(own, None, src=0, group=self._line)
            args = (*args, own[0])
        return name, list(args)

    def answer(self, value: Any, *, leaving: bool = False) -> None:
        """Answer the last command, and say whether this rank was asked to end, by its scheduler for instance."""
        self._store.set(f"answer/{self._count}/{self.rank}", "1")
        dist.gather_object((value, leaving), None, dst=0, group=self._line)

    # -- all at once ---------------------------------------------------------------------------------------------

    def sum(self, values: Mapping[str, float]) -> dict[str, float]:
        """Return the sums over all ranks; all give the same names."""
        names = sorted(values)
        sums = torch.tensor([values[name] for name in names], dtype=torch.float64)
        dist.all_reduce(sums, group=self._line)
        return dict(zip(names, sums.tolist(), strict=True))

    def sum_(self, values: torch.Tensor) -> None:
        """Add up a tensor of the CPU over all ranks, in place."""
        dist.all_reduce(values, group=self._line)

    # -- parts ---------------------------------------------------------------------------------------------------

    def _await(self, key: str) -> None:
        # Asked again and again: the store's own wait complains on standard error each time its limit is over.
        rest_s = _REST_S
        while not self._store.check([key]):
            self.pulse.check()
            time.sleep(rest_s)
            rest_s = min(1.5 * rest_s, _LONGEST_REST_S)

    def _asked(self, said: str) -> None:
        """Have this process's own handler of SIGTERM leave what rank 0 has left, see `stopping.py`."""
        if said == str(self._count):
            os.kill(os.getpid(), signal.SIGTERM)

    def _tell(self, error: BaseException) -> None:
        """Leave a reason for the others; raise theirs where it is what explains the error.

        Raises:
            RankError: Another rank failed first.
        """
        if isinstance(error, RuntimeError) and any(word in str(error).lower() for word in _LOST):
            reason = self.pulse.wait()
            if reason:
                raise RankError(reason) from error
        text = " ".join(str(error).split())[:2000]
        if isinstance(error, ConfigError):
            reason = f"{self.names[self.rank]}: {text}"
        else:
            reason = f"{self.names[self.rank]} failed: {type(error).__name__}: {text}"
        with contextlib.suppress(Exception):  # nobody may be there to be told
            self._store.compare_set(FAILED, "", reason)
            if self.leads:  # the store goes with this process
                stop, seen = time.monotonic() + _ACK_S, [f"seen/{other}" for other in range(1, self.size)]
                while not self._store.check(seen) and time.monotonic() < stop:
                    time.sleep(0.1)
