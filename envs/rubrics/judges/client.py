"""Ask a judge: structured output, checked and asked for again, cached, and each question asked once at a time.

The key of the cache is a digest of the model, its address, the prompt, the form of the verdict, the settings that may
change an answer, and the number of the sample. The address is part of it, because two servers may serve different
models under one name: a miss costs a request, a wrong hit would be a silent error.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields, replace
from typing import Any

from agentrl.envs.completion_answer import Completion
from agentrl.envs.completions import CompletionError, Completions
from agentrl.envs.errors import InfrastructureError
from agentrl.envs.rubrics.judges.cache import VerdictCache, cache_path
from agentrl.envs.rubrics.judges.data import digest
from agentrl.envs.rubrics.judges.settings import JudgeSettings
from agentrl.envs.rubrics.judges.verdicts import Form, parsed
from agentrl.envs.rubrics.waiting import gathered
from agentrl.envs.turns import capped

__all__ = ["JudgeClient", "Question", "Totals", "Verdict"]

_VERSION = 1  # of the prompts; a change of theirs makes new verdicts by itself, a change of the reading does not
_FORMATS = ("json_schema", "json_object", "text")  # from what binds a server most to what it cannot refuse


@dataclass(frozen=True, kw_only=True)
class Question:
    """What a judge is asked."""

    system: str  # who it is, what counts, and that the data is data
    user: str  # the data, and what to do with it
    form: Form  # of the verdict


@dataclass(frozen=True, kw_only=True)
class Verdict:
    """What a judge found."""

    value: Any  # as the form reads it
    text: str  # as the judge wrote it, with its reasons
    cached: bool  # whether it was asked for earlier


@dataclass(frozen=True, kw_only=True)
class Totals:
    """What judges were asked, and what it took. Totals can be added and subtracted."""

    num_verdicts: int = 0
    num_cached: int = 0  # of them from the cache
    num_shared: int = 0  # of them asked for by another at the same moment
    num_invalid: int = 0  # outputs that could not be used and were asked for again
    num_failed: int = 0  # questions without a verdict
    num_pairs: int = 0  # pairs of candidates that were judged in both positions
    num_contradictions: int = 0  # of them judged the other way round when swapped
    num_requests: int = 0
    num_retries: int = 0
    num_cache_failures: int = 0
    prompt_tokens: int = 0
    completion_tokens: int = 0
    cost: float = 0.0  # in the currency of the prices

    def __add__(self, other: Totals) -> Totals:
        return Totals(**{each.name: getattr(self, each.name) + getattr(other, each.name) for each in fields(self)})

    def __sub__(self, other: Totals) -> Totals:
        return Totals(**{each.name: getattr(self, each.name) - getattr(other, each.name) for each in fields(self)})


class JudgeClient:
    """One judge; its coroutines run on the shared loop.

    Args:
        settings: Which model, and how it is asked.
    """

    def __init__(self, settings: JudgeSettings) -> None:
        self.settings = settings
        self._completions = Completions(settings.endpoint(), who="the judge", boundary="judge")
        self._cache = VerdictCache(cache_path(settings.cache), settings.model) if settings.cache else None
        self._asking: dict[str, asyncio.Task[Verdict | Exception]] = {}
        self._counts = Totals()
        self._format = 0  # index into _FORMATS: what the server is known to take
        self._dropped: frozenset[str] = frozenset()  # fields that the server refuses

    async def votes(self, question: Question, *, first_sample: int = 0) -> list[Verdict]:
        """Return as many verdicts as the settings say, asked at once.

        Args:
            question: What is asked.
            first_sample: Number of the first; others than 0 are for asking past what is cached.

        Raises:
            InfrastructureError: There is no verdict.
        """
        samples = range(first_sample, first_sample + self.settings.num_votes)
        return await gathered([self.ask(question, sample=sample) for sample in samples])

    async def ask(self, question: Question, *, sample: int = 0) -> Verdict:
        """Return a verdict; the same question at the same moment is asked once.

        Raises:
            InfrastructureError: There is none: kind "judge_output", "refused", or as `CompletionError` has them.
        """
        key = self._key(question, sample)
        self.count(num_verdicts=1)
        task = self._asking.get(key)
        if task is None:
            task = self._asking[key] = asyncio.get_running_loop().create_task(self._outcome(key, question))
            task.add_done_callback(lambda _: self._asking.pop(key))
        else:
            self.count(num_shared=1)
        found = await asyncio.shield(task)  # one who gives up takes it from nobody
        if isinstance(found, Exception):
            raise found
        return found

    def count(self, **further: int) -> None:
        """Add to the totals; on the shared loop only."""
        self._counts += Totals(**further)

    def totals(self) -> Totals:
        """Return what has been asked so far; from any thread."""
        usage = self._completions.usage()
        return replace(
            self._counts,
            num_requests=usage.num_requests,
            num_retries=usage.num_retries,
            num_cache_failures=self._cache.num_failures if self._cache else 0,
            prompt_tokens=usage.prompt_tokens,
            completion_tokens=usage.completion_tokens,
            cost=usage.cost,
        )

    async def close(self) -> None:
        """End what is being asked, and close connections and cache."""
        for task in list(self._asking.values()):
            task.cancel()
        await self._completions.close()
        if self._cache is not None:
            self._cache.close()

    async def _outcome(self, key: str, question: Question) -> Verdict | Exception:
        """Return a verdict, or why there is none: as a value, since all who waited may have given up."""
        try:
            return await self._found(key, question)
        except Exception as error:
            self.count(num_failed=1)
            return error

    def _key(self, question: Question, sample: int) -> str:
        asked = self.settings
        parts = [_VERSION, asked.model, asked.base_url, asked.temperature, asked.max_tokens, sample]
        return digest([*parts, question.system, question.user, question.form.name, question.form.schema])

    async def _found(self, key: str, question: Question) -> Verdict:
        stored = await self._cache.get(key) if self._cache else None
        if stored is not None:
            try:
                verdict = Verdict(value=question.form.read(parsed(stored)), text=stored, cached=True)
            except ValueError:  # no verdict: somebody wrote into the file
                pass
            else:
                self.count(num_cached=1)
                return verdict
        text = await self._asked(question)
        if self._cache is not None and stored is None:
            text = await self._cache.put(key, text)
        return Verdict(value=question.form.read(parsed(text)), text=text, cached=False)

    async def _asked(self, question: Question) -> str:
        """Return a text that holds a verdict; one that does not goes back to the model with the reason."""
        opening = [{"role": "system", "content": question.system}, {"role": "user", "content": question.user}]
        messages = opening
        left_s = self.settings.deadline_s
        for attempt in range(self.settings.max_repairs + 1):
            said = await self._complete(messages, question.form, left_s)
            left_s -= said.seconds
            problem, kind = _problem(said, question.form, self.settings)
            if not problem:
                return said.content
            self.count(num_invalid=1)
            if attempt == self.settings.max_repairs or left_s <= 0:
                break
            again = f"That cannot be used: {problem}. Write the JSON object and nothing else: {question.form.words}"
            said_before = {"role": "assistant", "content": capped(said.content, 4000) or "(nothing)"}
            messages = [*opening, said_before, {"role": "user", "content": again}]
        raise InfrastructureError(
            f"the judge {self.settings.model!r} at {self.settings.base_url} gave no verdict in {attempt + 1} answers: "
            f"{problem}; it said {capped(said.content, 200)!r}",
            kind=kind,
            boundary="judge",
        )

    async def _complete(self, messages: Sequence[Mapping[str, Any]], form: Form, left_s: float) -> Completion:
        """Ask in the strictest way that the server takes."""
        index, dropped = self._format, self._dropped
        first: CompletionError | None = None
        while True:
            body = {"messages": messages, **self._fields(dropped), **_response_format(index, form)}
            try:
                said = await self._completions.ask(body, deadline_s=left_s)
            except CompletionError as error:
                first = first or error
                if error.kind != "rejected" or error.status not in (400, 422, 501):
                    raise
                refused = _refused_field(error.text, body)
                if refused and refused not in dropped:
                    dropped |= {refused}
                elif index + 1 < len(_FORMATS):
                    index += 1
                else:
                    raise first from None
                continue
            self._format, self._dropped = max(self._format, index), self._dropped | dropped
            return said

    def _fields(self, dropped: frozenset[str]) -> dict[str, Any]:
        """Return the settings of a request; newer models of OpenAI take no temperature, and another name of a limit."""
        limit = "max_completion_tokens" if "max_tokens" in dropped else "max_tokens"
        found: dict[str, Any] = {limit: self.settings.max_tokens, "temperature": self.settings.temperature}
        return {name: value for name, value in found.items() if name not in dropped}


def _problem(said: Completion, form: Form, settings: JudgeSettings) -> tuple[str, str]:
    """Return why an answer holds no verdict and the kind of that failure; ("", "") where it holds one."""
    if said.refusal or said.finish == "content_filter":
        return f"it refused ({said.refusal or 'content filter'})", "refused"
    try:
        form.read(parsed(said.content))
    except ValueError as error:
        cut = f", and it was cut off at max_tokens = {settings.max_tokens}" if said.finish == "length" else ""
        return f"{error}{cut}", "judge_output"
    return "", ""


def _response_format(index: int, form: Form) -> dict[str, Any]:
    name = _FORMATS[index]
    if name == "text":
        return {}
    if name == "json_object":
        return {"response_format": {"type": name}}
    schema = {"name": form.name, "schema": form.schema, "strict": True}
    return {"response_format": {"type": name, "json_schema": schema}}


def _refused_field(text: str, body: Mapping[str, Any]) -> str:
    """Return the setting that a server says it does not take."""
    if "max_completion_tokens" in text and "max_tokens" in body:
        return "max_tokens"
    return "temperature" if "temperature" in text and "temperature" in body else ""
