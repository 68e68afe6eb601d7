"""What is measured: pure functions from episodes to named figures, and `metrics.jsonl`, one JSON object a step.

Names and definitions are those of TRL 1.16's GRPOTrainer wherever it has one, with four departures: a figure without
a value is left out of the mapping instead of being NaN; a group with fewer than two valid episodes counts as one
without spread, because it teaches nothing; `num_tokens` counts every token of an episode, tool text included; and an
episode that ended on a limit of turns is not clipped, since its last turn ended by itself.
Episodes with an infrastructure failure enter no mean; they are counted by kind.
"""

from __future__ import annotations

import json
import math
import os
import statistics
import time
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Self

from agentrl.trainer.errors import ConfigError, RunFolderError
from agentrl.trainer.types import Episode

__all__ = [
    "MetricsLog",
    "drop_metrics",
    "episode_metrics",
    "parse_metrics",
    "read_metrics",
    "speed_metrics",
    "success_rate",
]

SAME_REWARD = 1e-8  # torch.isclose's absolute tolerance, with which TRL calls a group's spread zero


def episode_metrics(episodes: Sequence[Episode], *, version: int | None = None) -> dict[str, float]:
    """Return the figures of one batch of episodes.

    Args:
        episodes: The batch, failed episodes included.
        version: The trainer's weight version, to say how stale the sampled tokens are.

    Returns:
        Name -> value. Lengths and `num_tokens` are in tokens (`num_tokens` of this batch alone: the caller adds up),
        `success` and all ratios in [0, 1], `staleness/*` in weight updates.
    """
    valid = [episode for episode in episodes if episode.failure is None]
    metrics = {"num_tokens": float(sum(len(episode.token_ids) for episode in episodes))}
    metrics |= _rewards(valid) | _lengths(valid) | _tools(valid)
    success = success_rate(valid)
    if success is not None:
        metrics["success"] = success
    if valid:
        metrics["episodes/turns_mean"] = statistics.fmean(episode.num_turns for episode in valid)
        metrics |= _talks(valid)
    ages = [version - sampled for episode in valid for sampled in episode.versions] if version is not None else []
    if ages:
        metrics |= {"staleness/mean": statistics.fmean(ages), "staleness/max": float(max(ages))}
    kinds = Counter(str(episode.failure.get("kind", "unknown")) for episode in episodes if episode.failure is not None)
    return metrics | {f"failures/{kind}": float(count) for kind, count in sorted(kinds.items())}


def success_rate(valid: Sequence[Episode]) -> float | None:
    """Return the part of episodes without failure that succeeded, None where the environment never tells success.

    An episode that the trainer cut for want of room never heard, and counts as not solved, also where all were cut.
    """
    heard = [episode for episode in valid if episode.truncated_by != "context"]
    if not valid or (heard and all(episode.success is None for episode in heard)):
        return None
    return statistics.fmean(episode.success is True for episode in valid)


def drop_metrics(dropped: Iterable[tuple[str, Episode]]) -> dict[str, float]:
    """Count what was left out of training: `dropped/<reason>/episodes` and `dropped/<reason>/tokens` (sampled ones)."""
    counts: Counter[str] = Counter()
    for reason, episode in dropped:
        counts[f"dropped/{reason}/episodes"] += 1
        counts[f"dropped/{reason}/tokens"] += sum(episode.mask)
    return {name: float(count) for name, count in sorted(counts.items())}


def speed_metrics(episodes: Sequence[Episode], *, rollout_s: float, update_s: float, overlap: bool) -> dict[str, float]:
    """Return times and rates; where rollouts run beside the update, `rollout_s` is what was waited for them."""
    sampled = sum(sum(episode.mask) for episode in episodes)
    return {
        "perf/rollout_s": rollout_s,
        "perf/update_s": update_s,
        "perf/step_s": rollout_s + update_s,
        "perf/episodes_per_s": len(episodes) / (rollout_s + update_s),
        "perf/tokens_per_s": sampled / (rollout_s + update_s if overlap else rollout_s),
    }


class MetricsLog:
    """Append one JSON object a step to `metrics.jsonl`, and to TensorBoard by option.

    Opening repairs the file: a last line that a kill tore in two is cut off.

    Args:
        path: The file; made when absent. TensorBoard's events go to the folder `tensorboard` beside it.
        tensorboard: Also write TensorBoard events.

    Raises:
        ConfigError: When TensorBoard is asked for and not installed.
        RunFolderError: When the file cannot be opened or is damaged.
    """

    def __init__(self, path: Path, *, tensorboard: bool = False) -> None:
        self.path = Path(path)
        self._board = _Board(self.path.parent / "tensorboard") if tensorboard else None
        try:
            self._file = os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o666)
        except OSError as error:
            raise RunFolderError(_unwritable(self.path, error)) from error
        self._open = True
        try:
            os.ftruncate(self._file, self._size_of_whole_lines())
            rows = read_metrics(self.path)
        except BaseException:
            self.close()
            raise
        self.last_step: int | None = int(rows[-1]["step"]) if rows else None

    def write(self, step: int, metrics: Mapping[str, float]) -> None:
        """Append the figures of one step; NaN and infinity become null, as in TRL.

        Raises:
            ValueError: When this step, or a later one, is there already.
            RunFolderError: When the line cannot be written (disk full); the file then ends before it.
        """
        if self.last_step is not None and step <= self.last_step:
            raise ValueError(
                f"step {step} comes after step {self.last_step} in {self.path.name}; "
                "merge the figures of one step into one call"
            )
        numbers = {name: float(value) for name, value in metrics.items()}
        row = {"step": step} | {name: value if math.isfinite(value) else None for name, value in numbers.items()}
        line = (json.dumps(row) + "\n").encode()
        end = os.fstat(self._file).st_size
        try:
            while line:  # a short write happens on a full disk only; the next one says why
                line = line[os.write(self._file, line) :]
        except OSError as error:
            os.ftruncate(self._file, end)
            raise RunFolderError(_unwritable(self.path, error)) from error
        self.last_step = step
        if self._board is not None:
            self._board.write(step, {name: value for name, value in numbers.items() if math.isfinite(value)})

    def truncate_after(self, step: int) -> int:
        """Remove the rows of steps later than `step`, as a resumed run needs; return how many went."""
        kept, size, removed = None, 0, 0
        for line in self.path.read_bytes().splitlines(keepends=True):
            found = int(json.loads(line)["step"])
            if found > step:
                removed += 1
            else:
                kept, size = found, size + len(line)
        os.ftruncate(self._file, size)  # steps only rise, so what goes is the file's tail
        self.last_step = kept
        if self._board is not None:
            self._board.forget_from(step + 1)
        return removed

    def close(self) -> None:
        """Close the file; calling it again does nothing."""
        if self._open:
            self._open = False
            os.close(self._file)
            if self._board is not None:
                self._board.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    def _size_of_whole_lines(self) -> int:
        return self.path.read_bytes().rfind(b"\n") + 1


def read_metrics(path: Path) -> list[dict[str, Any]]:
    """Read `metrics.jsonl` in order; a torn last line is left out, the file is not changed.

    Raises:
        RunFolderError: When the file cannot be read, or a whole line is not an object with a rising "step".
    """
    try:
        lines = Path(path).read_bytes().split(b"\n")[:-1]
    except OSError as error:
        raise RunFolderError(f"{path}: {error.strerror}; give the folder that `agentrl train` wrote") from error
    return list(parse_metrics(lines, path))


def parse_metrics(lines: Iterable[bytes], path: Path) -> Iterator[dict[str, Any]]:
    """Yield the rows of whole lines of `metrics.jsonl`.

    Args:
        lines: Without their ends.
        path: Of the file, for the message.

    Raises:
        RunFolderError: When a line is not an object with a rising "step".
    """
    last: int | None = None
    for number, line in enumerate(lines, start=1):
        try:
            row = json.loads(line)
            right = isinstance(row["step"], int) and (last is None or row["step"] > last)
        except (ValueError, TypeError, KeyError, RecursionError):
            right = False
        if not right:
            raise RunFolderError(
                f'{path}, line {number}: not an object with a rising "step": {line[:80]!r}; delete that line to go on'
            )
        last = row["step"]
        yield row


class _Board:
    """TensorBoard events, written without torch; a resume forgets steps as torch's purge_step does."""

    def __init__(self, folder: Path) -> None:
        try:
            from tensorboard.compat.proto import event_pb2, summary_pb2
            from tensorboard.summary.writer.event_file_writer import EventFileWriter
        except ImportError as error:
            message = "tensorboard=true, but TensorBoard is not installed; type: pip install 'agentrl-gym[tensorboard]'"
            raise ConfigError(message) from error
        self._event, self._summary = event_pb2, summary_pb2
        self._writer = EventFileWriter(str(folder), flush_secs=10)

    def write(self, step: int, metrics: Mapping[str, float]) -> None:
        values = [self._summary.Summary.Value(tag=name, simple_value=value) for name, value in metrics.items()]
        summary = self._summary.Summary(value=values)
        self._writer.add_event(self._event.Event(wall_time=time.time(), step=step, summary=summary))

    def forget_from(self, step: int) -> None:
        start = self._event.SessionLog(status=self._event.SessionLog.START)
        self._writer.add_event(self._event.Event(wall_time=time.time(), step=step, file_version="brain.Event:2"))
        self._writer.add_event(self._event.Event(wall_time=time.time(), step=step, session_log=start))

    def close(self) -> None:
        self._writer.close()


def _rewards(valid: Sequence[Episode]) -> dict[str, float]:
    if not valid:
        return {}
    metrics = _mean_and_std("reward", "reward_std", [episode.reward for episode in valid])
    groups: defaultdict[tuple[int, int], list[float]] = defaultdict(list)
    for episode in valid:
        groups[episode.step, episode.group].append(episode.reward)
    flat = [len(rewards) < 2 or statistics.stdev(rewards) <= SAME_REWARD for rewards in groups.values()]
    metrics["frac_reward_zero_std"] = statistics.fmean(flat)
    for name in sorted({name for episode in valid for name in episode.rewards}):
        values = [episode.rewards[name] for episode in valid if name in episode.rewards]
        metrics |= _mean_and_std(f"rewards/{name}/mean", f"rewards/{name}/std", values)
    return metrics


def _mean_and_std(mean: str, std: str, values: Sequence[float]) -> dict[str, float]:
    """Mean, and standard deviation with Bessel's correction as TRL's nanstd; one value has no deviation."""
    return {mean: statistics.fmean(values)} | ({std: statistics.stdev(values)} if len(values) > 1 else {})


def _lengths(valid: Sequence[Episode]) -> dict[str, float]:
    if not valid:
        return {}
    lengths = [sum(episode.mask) for episode in valid]
    clipped = [episode.overlong for episode in valid]
    ended = [length for length, cut in zip(lengths, clipped, strict=True) if not cut] or [0]  # TRL: 0 when none ended
    return {
        "completions/mean_length": statistics.fmean(lengths),
        "completions/min_length": float(min(lengths)),
        "completions/max_length": float(max(lengths)),
        "completions/clipped_ratio": statistics.fmean(clipped),
        "completions/mean_terminated_length": statistics.fmean(ended),
        "completions/min_terminated_length": float(min(ended)),
        "completions/max_terminated_length": float(max(ended)),
    }


def _talks(valid: Sequence[Episode]) -> dict[str, float]:
    """Conversations an episode, and the share of what later turns read that was in the conversation as it is."""
    metrics = {"conversations/mean": statistics.fmean(max(1, len(episode.segments)) for episode in valid)}
    if read := sum(episode.prompt_tokens for episode in valid):
        metrics["conversations/kept_share"] = sum(episode.kept_tokens for episode in valid) / read
    if any(episode.untrained_turns for episode in valid):  # those of the other seat of a game
        metrics["untrained/turns_mean"] = statistics.fmean(episode.untrained_turns for episode in valid)
        metrics["untrained/tokens"] = float(sum(episode.untrained_tokens for episode in valid))
    return metrics


def _tools(valid: Sequence[Episode]) -> dict[str, float]:
    """Calls an episode, and the share that failed.

    Counted are the replies, since trainer and environment share no parser: one in a tool's role, or one that begins
    with "Error" (a malformed call), is a call; the latter failed.
    """
    told = [episode for episode in valid if episode.messages]
    if not told:
        return {}
    calls = failures = 0
    for episode in told:
        spoken = False
        for message in episode.messages:
            if message.get("role") == "assistant":
                spoken = True
            elif spoken:
                failed = str(message.get("content")).startswith("Error")
                calls += failed or message.get("role") == "tool"
                failures += failed
    return {"tools/call_frequency": calls / len(told), "tools/failure_frequency": failures / calls if calls else 0.0}


def _unwritable(path: Path, error: OSError) -> str:
    advice = f"free some space or mend the folder, then go on with: agentrl train --resume {path.parent}"
    return f"{path} could not be written: {error.strerror}; {advice}"
