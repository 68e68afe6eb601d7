"""The head of a Ray cluster, watched from outside: whether it answers, and whether it is still the same.

One that is killed and started again at its address knows nothing of the cluster that it had. Ray's own questions to
such a head, or to none, end the process that asks, so that nothing here is asked through Ray's connection.
"""

from __future__ import annotations

import asyncio
import contextlib
import threading
from importlib import import_module
from typing import Final

__all__ = ["Head"]

_AWAY_S: Final = 30.0
_KNOCK_S: Final = 3.0


class Head:
    """Watched from the event loop of the workers.

    Args:
        address: HOST:PORT.
    """

    def __init__(self, address: str) -> None:
        self.address = address
        self._cluster = ""  # as it names itself
        self._is_doubted = False
        self.is_lost = False
        """Whether it was away for too long, or is another."""

    async def know(self) -> None:
        """Note which cluster it is of."""
        self._cluster = await self._asked()

    def doubt(self) -> None:
        """Look more closely the next time: a worker was lost, which may be for want of a head."""
        self._is_doubted = True

    async def fault(self) -> str:
        """Return what is wrong with it now; empty where nothing is known to be."""
        if not await self._answers():
            return f"the Ray head at {self.address} does not answer"
        if await self._is_another():
            return f"the Ray head at {self.address} was started again, and knows nothing of this run"
        return ""

    async def lost(self) -> str:
        """Wait until it has been away for too long, or is another; return which."""
        now = asyncio.get_running_loop().time
        seen = now()
        while now() - seen < _AWAY_S:
            await asyncio.sleep(_KNOCK_S)
            if not await self._answers():
                self._is_doubted = True
                continue
            seen = now()
            if self._is_doubted and await self._is_another():
                self.is_lost = True
                return f"the Ray head at {self.address} was started again, and knows nothing of this run"
        self.is_lost = True
        return f"the Ray head at {self.address} has not answered for {_AWAY_S:g} s"

    async def _is_another(self) -> bool:
        found = await self._asked()
        if found:
            self._is_doubted = False
        return bool(found and self._cluster and found != self._cluster)

    async def _answers(self) -> bool:
        """Return whether something takes connections there."""
        host, _, port = self.address.rpartition(":")
        try:
            async with asyncio.timeout(_KNOCK_S):
                _, writer = await asyncio.open_connection(host.strip("[]"), int(port))
                writer.close()
                await writer.wait_closed()
        except (OSError, TimeoutError):
            return False
        return True

    async def _asked(self) -> str:
        """Return how the cluster names itself; empty where it does not say so."""
        loop = asyncio.get_running_loop()
        told: asyncio.Future[str] = loop.create_future()

        def tell(name: str) -> None:
            if not told.done():  # else nobody waits any more
                told.set_result(name)

        def ask() -> None:
            name = ""
            with contextlib.suppress(Exception):  # Ray's own kinds, and those of a Ray that has no such client
                client = import_module("ray._raylet").GcsClient(address=self.address)
                name = str(client.cluster_id)
            with contextlib.suppress(RuntimeError):  # the loop is closed
                loop.call_soon_threadsafe(tell, name)

        # Of its own, since it may wait for as long as it likes, also when the program ends.
        threading.Thread(target=ask, name="agentrl-ray-head", daemon=True).start()
        return await told
