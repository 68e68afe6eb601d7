"""A person's episodes, recorded as a bench is, so that they can be compared with an agent's and looked at."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import closing
from pathlib import Path

from agentrl.bench.attempt import Attempt, Place
from agentrl.bench.errors import AgentError
from agentrl.bench.run import Settings
from agentrl.bench.store import BenchStore
from agentrl.bench.types import Episode, Job
from agentrl.envs.protocol import Policy

__all__ = ["PersonLeft", "record"]


class PersonLeft(AgentError):
    """The person has left in the middle of an episode, which is not recorded."""


def record(
    settings: Settings,
    folder: Path,
    policy: Callable[[Job], Policy],
    *,
    on_episode: Callable[[Episode], None],
    on_start: Callable[[int, int], None] | None = None,
) -> int:
    """Have a person play what the folder's run lacks, one episode after another; return how many that were.

    Args:
        settings: Of the bench; `agent` says who plays, such as "person:Ada".
        folder: Made when absent.
        policy: Makes what asks the person in one episode; `PersonLeft` ends the session.
        on_episode: Told of each episode once it is written.
        on_start: Told how many episodes there are and how many are done already.

    Raises:
        PersonLeft: What was finished is recorded, and the same call goes on with the rest.
        StoreError: The folder holds another run, or cannot be written.
    """
    with BenchStore(folder, settings.identity()) as store:
        done = store.done()
        jobs = list(settings.jobs())
        missing = [job for job in jobs if job not in done]
        if on_start is not None:
            on_start(len(jobs), len(jobs) - len(missing))
        for env_id in settings.envs:
            with closing(Place(env_id, settings.env_kwargs, "threads", settings.deadline_s)) as place:
                for job in missing:
                    if job.env_id == env_id:
                        episode = Attempt(job, policy(job), settings, 1).play(place)
                        store.add(episode)
                        on_episode(episode)
    return len(missing)
