"""What was said before a response, for calls that continue it by `previous_response_id`; in memory, and bounded."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from agentrl.envs.program.asgi import MAX_BYTES
from agentrl.envs.program.calls import Refused
from agentrl.envs.program.dialects.responses import continued, items_of

__all__ = ["Kept"]


@dataclass(frozen=True, kw_only=True)
class _Said:
    """All that was said until a response, that one too."""

    items: list[Any]
    num_bytes: int  # of the requests in which it came


class Kept:
    """The items of conversations, by the key that may continue them.

    Args:
        max_keys: Of so many keys responses are kept; then those of the one that was used longest ago go.
        max_responses: So many of each key; then the oldest go.
        max_bytes: So much of each key, each response with all before it; then the oldest go.
    """

    def __init__(self, *, max_keys: int = 1024, max_responses: int = 256, max_bytes: int = 16 * MAX_BYTES) -> None:
        self._max_keys, self._max_responses, self._max_bytes = max_keys, max_responses, max_bytes
        self._of: OrderedDict[str, OrderedDict[str, _Said]] = OrderedDict()

    def continued(self, key: str, told: dict[str, Any]) -> dict[str, Any]:
        """Return a request with all that was said before it in its input.

        Raises:
            Refused: The response that it continues is not kept.
        """
        if told.get("previous_response_id") is None:
            return told
        earlier = self._before(key, told)
        if earlier is None:
            raise Refused(
                f"there is no response {str(told['previous_response_id'])[:80]!r}; it was not stored, or is too old",
                status=400,
                code="previous_response_not_found",
                param="previous_response_id",
            )
        return continued(told, earlier.items)

    def keep(self, key: str, told: Mapping[str, Any], response: Mapping[str, Any], num_bytes: int) -> None:
        """Keep what was said, unless the request asks not to, or it has grown too long.

        Args:
            key: That may continue it.
            told: The request, as `continued` returned it.
            response: What it was answered.
            num_bytes: Of the request as it came.
        """
        earlier = self._before(key, told)
        total = num_bytes if earlier is None else num_bytes + earlier.num_bytes
        if told.get("store") is False or total > MAX_BYTES:
            return
        of_key = self._of.setdefault(key, OrderedDict())
        self._of.move_to_end(key)
        of_key[response["id"]] = _Said(items=[*items_of(told), *response["output"]], num_bytes=total)
        while len(of_key) > self._max_responses or sum(each.num_bytes for each in of_key.values()) > self._max_bytes:
            of_key.popitem(last=False)
        if len(self._of) > self._max_keys:
            self._of.popitem(last=False)

    def forget(self, key: str) -> None:
        """Drop all that a key may continue."""
        self._of.pop(key, None)

    def _before(self, key: str, told: Mapping[str, Any]) -> _Said | None:
        previous = told.get("previous_response_id")
        of_key = self._of.get(key)
        return of_key.get(previous) if of_key is not None and type(previous) is str else None
