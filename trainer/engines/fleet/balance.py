"""Which server gets an episode: the one whose work would be least with it.

Work is counted in tokens: of turns under way, prompt and what may be sampled. A turn's prompt is counted only where no
member of its group has been yet: members share it, and a server computes a shared prompt once. So a group stays
together while that is cheaper than being spread, and is spread once the others have less to do. Between turns an
episode stays where its cache is.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence

from agentrl.trainer.engines.base import Request

__all__ = ["Load", "least"]

_GROUPS = 512  # remembered


class Load:
    """What one server has to do."""

    def __init__(self) -> None:
        self.under_way = 0
        """Tokens of the turns under way, at most."""
        self.episodes = 0
        """That stay here, between turns too."""
        self._groups: OrderedDict[tuple[int, ...], None] = OrderedDict()

    def with_turn(self, request: Request) -> int:
        """Return the work there would be with a turn of a new episode."""
        known = len(request.order) > 1 and request.order[:-1] in self._groups
        return self.under_way + request.max_new_tokens + (0 if known else len(request.prompt_ids))

    def begin(self, request: Request) -> int:
        """Count a turn; return what `end` takes off again."""
        tokens = len(request.prompt_ids) + request.max_new_tokens
        self.under_way += tokens
        if len(request.order) > 1:
            self._groups[request.order[:-1]] = None
            self._groups.move_to_end(request.order[:-1])
            if len(self._groups) > _GROUPS:
                self._groups.popitem(last=False)
        return tokens

    def end(self, tokens: int) -> None:
        """Count a turn no longer."""
        self.under_way -= tokens

    def emptied(self) -> None:
        """Forget what is cached."""
        self._groups.clear()


def least(loads: Sequence[Load], request: Request) -> int:
    """Return the place of the one to take; of equals the one with fewer episodes, then the first.

    >>> one, other = Load(), Load()
    >>> turn = Request(prompt_ids=[1, 2], max_new_tokens=3, temperature=1.0, seed=0, stop_ids=frozenset(), order=(1, 0))
    >>> one.begin(turn), least([one, other], turn)
    (5, 1)
    """
    return min(range(len(loads)), key=lambda place: (loads[place].with_turn(request), loads[place].episodes, place))
