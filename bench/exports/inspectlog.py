"""Inspect's log format, `.eval` (a zip with a file for each sample) or `.json`, as inspect_ai and its viewer read it.

A sample is an episode: its id says environment, level and seed, its epoch which episode of that task it is. Tool calls
are read out of the text as the environments read them. An episode that failed has an error and no scores. Samples are
written one at a time; what the whole run scored stands in front of them and is computed in a first pass.
"""

from __future__ import annotations

import hashlib
import json
import tempfile
import zipfile
from collections.abc import Iterator
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

from agentrl.bench.errors import UsageError
from agentrl.bench.exports.rows import TOKENS, clean
from agentrl.bench.exports.totals import Totals
from agentrl.bench.stored import StoredEpisode, StoredRun

if TYPE_CHECKING:
    from inspect_ai.log import EvalLog, EvalSample
    from inspect_ai.model import ChatMessage

__all__ = ["write_inspect"]

_DATE = (1980, 1, 1, 0, 0, 0)  # of every file in the zip: the same run gives the same log


def write_inspect(run: StoredRun, path: Path, *, as_json: bool) -> int:
    """Write a run's episodes; return how many there were.

    Args:
        run: A bench or a training run.
        path: The file.
        as_json: One JSON document in place of a zip.

    Raises:
        UsageError: inspect_ai is missing.
    """
    try:
        import inspect_ai.log  # noqa: F401
    except ImportError as error:
        raise UsageError(
            f"Inspect's log needs inspect_ai ({error}); type: pip install 'agentrl-gym[export]'"
        ) from error
    totals = Totals()
    for stored in run.episodes(with_messages=False):
        totals.add(stored.episode)
    log = _log(run, totals)
    samples = _samples(run, log)
    return _write_json(log, samples, path) if as_json else _write_zip(log, samples, path)


def _write_json(log: EvalLog, samples: Iterator[EvalSample], path: Path) -> int:
    num_samples = 0
    with path.open("w", encoding="utf-8") as file:
        file.write(log.model_dump_json(exclude_none=True, exclude={"samples"}).removesuffix("}") + ',"samples":[')
        for num_samples, sample in enumerate(samples, start=1):
            file.write(("," if num_samples > 1 else "") + sample.model_dump_json(exclude_none=True))
        file.write("]}")
    return num_samples


def _write_zip(log: EvalLog, samples: Iterator[EvalSample], path: Path) -> int:
    num_samples = 0
    begin = {"version": log.version, "eval": _plain(log.eval), "plan": _plain(log.plan)}
    with (
        zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED, compresslevel=5) as archive,
        tempfile.TemporaryFile(dir=path.parent) as summaries,
    ):
        _put(archive, "_journal/start.json", json.dumps(begin))
        for num_samples, sample in enumerate(samples, start=1):
            text = sample.model_dump_json(exclude_none=True)
            _put(archive, f"samples/{sample.id}_epoch_{sample.epoch}.json", text)
            summary = sample.summary().model_dump_json(exclude_none=True)
            summaries.write((("," if num_samples > 1 else "[") + summary).encode())
        summaries.write(b"]" if num_samples else b"[]")
        summaries.seek(0)
        with archive.open(zipfile.ZipInfo("summaries.json", _DATE), "w", force_zip64=True) as file:
            while part := summaries.read(2**20):
                file.write(part)
        _put(archive, "header.json", log.model_dump_json(exclude_none=True, exclude={"samples"}))
    return num_samples


def _put(archive: zipfile.ZipFile, name: str, text: str) -> None:
    archive.writestr(zipfile.ZipInfo(name, _DATE), text, zipfile.ZIP_DEFLATED)


def _plain(model: Any) -> Any:
    return json.loads(model.model_dump_json(exclude_none=True))


def _log(run: StoredRun, totals: Totals) -> EvalLog:
    """Return the log without its samples."""
    from inspect_ai.log import EvalConfig, EvalDataset, EvalLog, EvalMetric, EvalResults, EvalScore, EvalSpec, EvalStats
    from inspect_ai.model import ModelUsage

    identity = clean(run.identity)
    agent = str(identity.get("agent", ""))
    digest = hashlib.sha256(json.dumps(identity, sort_keys=True).encode()).hexdigest()
    # The store keeps no clock times: the newest change of its file is when it ended.
    ended = datetime.fromtimestamp(run.path.stat().st_mtime, UTC).isoformat(timespec="seconds")
    scores = [
        EvalScore(
            name=name,
            scorer=name,
            scored_samples=totals.num_scored(name),
            unscored_samples=totals.num_episodes - totals.num_scored(name),
            metrics={key: EvalMetric(name=key, value=value) for key, value in totals.metrics(name).items()},
        )
        for name in ("success", "reward")
        if totals.num_scored(name)
    ]
    usage = {}
    if totals.num_tokens is not None:
        read, written = totals.num_tokens
        usage = {agent: ModelUsage(input_tokens=read, output_tokens=written, total_tokens=read + written)}
    envs = [str(each) for each in identity.get("envs") or []]
    return EvalLog(
        status="success" if totals.num_episodes >= run.num_expected else "cancelled",
        eval=EvalSpec(
            eval_id=digest[:22],
            run_id=digest[22:44],
            task_id=digest[42:64],
            created=ended,
            task="+".join(each.rpartition("/")[2] for each in envs) or run.folder.name,
            task_args={key: identity[key] for key in ("levels", "split", "seed", "env_kwargs") if key in identity},
            dataset=EvalDataset(name=", ".join(envs), samples=totals.num_tasks),
            model=agent,
            config=EvalConfig(epochs=totals.num_epochs),
            packages={"agentrl-gym": version("agentrl-gym")},
            metadata={"run": run.folder.name, "kind": run.kind, "identity": identity},
        ),
        results=EvalResults(
            total_samples=totals.num_episodes,
            completed_samples=totals.num_episodes - totals.num_failures,
            scores=scores,
        ),
        stats=EvalStats(started_at=ended, completed_at=ended, model_usage=usage),
    )


def _samples(run: StoredRun, log: EvalLog) -> Iterator[EvalSample]:
    names: dict[str, str] = {}
    for stored in run.episodes():
        env_id = stored.episode.job.env_id
        if env_id not in names:
            slug = "".join(char if (char.isalnum() and char.isascii()) or char in "-." else "-" for char in env_id)
            names[env_id] = slug if slug not in names.values() else f"{slug}-{len(names)}"
        yield _sample(stored, names[env_id], log)


def _sample(stored: StoredEpisode, env: str, log: EvalLog) -> EvalSample:
    from inspect_ai.log import EvalError, EvalSample, EvalSampleLimit
    from inspect_ai.model import ModelUsage

    episode, job = stored.episode, stored.episode.job
    name = f"{env}-{job.level}-{job.seed}"
    uuid = hashlib.sha256(f"{log.eval.eval_id} {name} {job.sample}".encode()).hexdigest()[:22]
    told = clean({**vars(job), "task_id": episode.task_id, "prompt": episode.prompt, "rewards": episode.rewards})
    told |= {"truncated": episode.truncated, "num_attempts": episode.num_attempts, "latencies": list(episode.latencies)}
    told |= clean({key: value for key, value in stored.more.items() if key not in TOKENS})
    usage = {}
    if episode.prompt_tokens is not None and episode.completion_tokens is not None:
        read, written = episode.prompt_tokens, episode.completion_tokens
        usage = {log.eval.model: ModelUsage(input_tokens=read, output_tokens=written, total_tokens=read + written)}
    failure, error, limit = clean(episode.failure), None, None
    if failure is not None:
        text = f"{failure['boundary']}: {failure['kind']}: {failure['message']}"
        error = EvalError(message=text, traceback=text, traceback_ansi=text)
    elif episode.truncated:
        reason = str(stored.more.get("truncated_by") or "out of turns or room")
        limit = EvalSampleLimit(type="custom", limit=float(episode.num_turns), reason=reason)
    asked = [each["content"] for each in episode.messages[:2] if each.get("role") == "user"]
    return EvalSample(
        id=name,
        epoch=job.sample + 1,
        uuid=uuid,
        input=clean("".join(map(str, asked[:1]))),
        target="",
        messages=_messages([clean(each) for each in episode.messages], uuid, log.eval.model),
        scores=None if failure is not None else _scores(stored),
        metadata=told,
        model_usage=usage,
        total_time=episode.seconds,
        error=error,
        limit=limit,
        turn_count=episode.num_turns,
    )


def _scores(stored: StoredEpisode) -> Any:
    from inspect_ai.scorer import CORRECT, INCORRECT, Score

    episode = stored.episode
    found = {} if episode.success is None else {"success": Score(value=CORRECT if episode.success else INCORRECT)}
    found["reward"] = Score(value=episode.reward, metadata=clean(episode.rewards) or None)
    return found


def _messages(told: list[dict[str, Any]], uuid: str, model: str) -> list[ChatMessage]:
    """Return messages in Inspect's kinds, each tool's answer tied to its call."""
    from inspect_ai.model import ChatMessageAssistant, ChatMessageSystem, ChatMessageTool, ChatMessageUser

    tools = {str(each["name"]) for each in told if each.get("role") == "tool" and each.get("name")}
    waiting: list[tuple[str, str]] = []  # id and function of calls that have no answer yet
    found: list[ChatMessage] = []
    for number, each in enumerate(told):
        role, content, key = each.get("role"), str(each.get("content") or ""), f"{uuid}-{number}"
        if role == "assistant":
            text, calls = _calls(content, tools, key)
            waiting = [(call.id, call.function) for call in calls]
            raw = {"text": content} if calls else None  # as it was said
            found.append(
                ChatMessageAssistant(
                    id=key, content=text, tool_calls=calls or None, model=model, source="generate", metadata=raw
                )
            )
        elif role == "tool":
            name = str(each.get("name") or "")
            at = next((place for place, (_, function) in enumerate(waiting) if function == name), None)
            call_id = None if at is None else waiting.pop(at)[0]
            found.append(ChatMessageTool(id=key, content=content, function=name or None, tool_call_id=call_id))
        else:
            kind = ChatMessageSystem if role == "system" else ChatMessageUser
            found.append(kind(id=key, content=content, source="input" if number < 2 else None))
    return found


def _calls(text: str, tools: set[str], key: str) -> tuple[str, list[Any]]:
    """Return a turn without its calls, and the calls; a malformed one stays in the text."""
    from inspect_ai.tool import ToolCall as InspectCall

    from agentrl.envs.tools.parsers import ToolCall, parse

    calls = [each for each in parse(text, tools) if isinstance(each, ToolCall)] if tools else []
    for call in calls:
        text = text.replace(call.raw, "", 1)
    return text.strip() if calls else text, [
        InspectCall(id=f"{key}-{index}", function=call.name, arguments=clean(call.arguments))
        for index, call in enumerate(calls)
    ]
