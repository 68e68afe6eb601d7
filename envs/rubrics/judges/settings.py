"""Which model judges, and how it is asked: the `[judge]` table of a rubric."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, fields

from agentrl.envs.completions import CompletionSettings
from agentrl.envs.errors import UsageError, nearest

__all__ = ["JudgeSettings"]


@dataclass(frozen=True, kw_only=True)
class JudgeSettings:
    """Which model judges, and how it is asked.

    Raises:
        UsageError: A value that cannot work.

    >>> JudgeSettings.from_table({"model": "judge-8b", "base_url": "http://127.0.0.1:8000/v1"}).num_votes
    1
    """

    model: str
    base_url: str  # written out by the user, since episodes are sent there
    key_env: str = "OPENAI_API_KEY"  # environment variable with the key; a server without keys needs none
    temperature: float = 0.0
    max_tokens: int = 1024  # of one verdict
    deadline_s: float = 180.0  # of one verdict, with all tries
    max_tries: int = 6  # where the server fails
    max_repairs: int = 2  # times that the model is told why its verdict cannot be used
    requests_per_minute: float = 0.0  # 0: as fast as they come
    concurrency: int = 64  # verdicts at once
    cache: str = "judges.sqlite"  # a file name: in the user's cache folder; a path: there; "": no cache
    price_in: float = 0.0  # of a million prompt tokens, in the user's currency
    price_out: float = 0.0  # of a million completion tokens
    num_votes: int = 1  # verdicts of which the mean is taken

    def __post_init__(self) -> None:
        self.endpoint()  # checks what it shares with it
        for name, least in (("max_tokens", 1), ("max_repairs", 0), ("num_votes", 1)):
            value = getattr(self, name)
            if isinstance(value, bool) or not isinstance(value, int) or value < least:
                raise UsageError(f"judge: {name} = {value!r} must be a whole number of {least} or more")
        hot = self.temperature
        if isinstance(hot, bool) or not isinstance(hot, int | float) or not (math.isfinite(hot) and hot >= 0):
            raise UsageError(f"judge: temperature = {hot!r} must be 0 or more")
        if self.num_votes > 1 and self.temperature == 0:
            raise UsageError(
                f"judge: num_votes = {self.num_votes} at temperature = 0 asks for the same verdict again; write "
                "temperature = 0.7, or num_votes = 1"
            )
        if not isinstance(self.cache, str):
            raise UsageError(f"judge: cache = {self.cache!r} must be a path, or '' for none")

    def endpoint(self) -> CompletionSettings:
        """Return what the client of the endpoint needs.

        Raises:
            UsageError: A value that cannot work.
        """
        try:
            return CompletionSettings(
                base_url=self.base_url,
                model=self.model,
                key_env=self.key_env,
                deadline_s=self.deadline_s,
                max_tries=self.max_tries,
                requests_per_minute=self.requests_per_minute,
                concurrency=self.concurrency,
                price_in=self.price_in,
                price_out=self.price_out,
            )
        except UsageError as error:
            raise UsageError(f"judge: {error}") from error

    @classmethod
    def from_table(cls, table: Mapping[str, object] | None) -> JudgeSettings:
        """Read the settings from a table.

        Raises:
            UsageError: It lacks the model or its address, or has a key or a value that cannot work.
        """
        given = dict(table or {})
        known = [each.name for each in fields(cls)]
        for name in given:
            if name not in known:
                raise UsageError(f"judge: there is no {name!r}{nearest(name, known)}; there are {', '.join(known)}")
        missing = [name for name in ("model", "base_url") if name not in given]
        if missing:
            raise UsageError(
                f"judge: {' and '.join(missing)} must be given; write [judge] with model = 'NAME' and base_url = "
                "'http://127.0.0.1:8000/v1' into the rubric"
            )
        return cls(**given)  # type: ignore[arg-type]  # each field is checked above
