"""The kind job-queue: a queue of jobs with priorities, order and several tries."""

from __future__ import annotations

import random

from agentrl.envs.repo.family import Bug, Kind, Params, Steps

__all__ = ["KIND"]

_JOBS = '''
"""Jobs."""


class Job:
    """Something to be done, at most a few times, after some others."""

    def __init__(self, name, priority=0, after=(), tries=$tries):
        self.name = name
        self.priority = priority
        self.after = list(after)
        self.tries = tries
        self.failures = 0
        self.ready_at = 0

    def fail(self, now):
        """Note a failure: the next try waits twice as long each time."""
        self.failures += 1
        self.ready_at = now + $wait * 2 ** (self.failures - 1)

    def is_given_up(self):
        """Return whether it was tried often enough."""
        return self.failures >= self.tries
'''

_CHOICE = '''
"""Which job comes next."""


def ready(job, done, now):
    """Return whether a job may begin."""
    return job.ready_at <= now and all(name in done for name in job.after)


def best(jobs, done, now):
    """Return the job to begin: high priority first, then who came first; None where none is ready."""
    found = None
    for job in jobs:
        if ready(job, done, now) and (found is None or job.priority > found.priority):
            found = job
    return found
'''

_QUEUE = '''
"""A queue of jobs."""

from @choosing import best
from @jobs import Job


class $cls:
    """Jobs that wait, run, are done or are given up."""

    def __init__(self):
        self.waiting = []
        self.running = {}
        self.done = []
        self.lost = []

    def add(self, name, priority=0, after=()):
        """Add a job."""
        if name in self.running or name in self.done or any(job.name == name for job in self.waiting):
            raise ValueError("there is one: " + name)
        self.waiting.append(Job(name, priority, after))

    def next(self, now):
        """Begin a job; return its name, None where there is none."""
        job = best(self.waiting, self.done, now)
        if job is None:
            return None
        self.waiting.remove(job)
        self.running[job.name] = job
        return job.name

    def finish(self, name, is_ok, now):
        """End a job; one that failed waits for another try or is given up."""
        job = self.running.pop(name)
        if is_ok:
            self.done.append(name)
            return "done"
        job.fail(now)
        if job.is_given_up():
            self.lost.append(name)
            return "lost"
        self.waiting.append(job)
        return "again"

    def state(self):
        """Return the names that wait, run, are done and are given up."""
        return [job.name for job in self.waiting], sorted(self.running), self.done, self.lost
'''


def _queue(rng: random.Random, params: Params) -> Steps:
    steps: Steps = [(f"jobqueue:{params['cls']}=", [])]
    names = rng.sample("abcdef", 4)
    for at, name in enumerate(names[: rng.randrange(2, 5)]):
        after = rng.sample(names[:at], min(at, rng.choice([0, 0, 1, 2])))
        steps.append((".add", [name, rng.randrange(0, 3), after][: rng.choice([1, 2, 3, 3])]))
    now = 0
    for _ in range(rng.randrange(3, 9)):
        now += rng.choice([0, 1, int(params["wait"]), 2 * int(params["wait"])])
        steps.append((".next", [now]))
        if rng.random() < 0.8:
            steps.append((".finish", [rng.choice(names[:3]), rng.random() < 0.4, now]))
    return [*steps, (".state", [])]


KIND = Kind(
    name="job-queue",
    about="A queue of jobs with priorities, order and several tries.",
    modules={"jobs": _JOBS, "choosing": _CHOICE, "jobqueue": _QUEUE},
    case=_queue,
    packages=("worker_pool", "jobs_runner", "backlog"),
    choices={"cls": ("Queue", "Backlog"), "tries": ("2", "3"), "wait": ("2", "5")},
    bugs=(
        Bug(
            name="wait",
            module="jobs",
            old="$wait * 2 ** (self.failures - 1)",
            new="$wait * 2 ** self.failures",
            report="Jobs that failed begin their next try too late.",
        ),
        Bug(
            name="tries",
            module="jobs",
            old="self.failures >= self.tries",
            new="self.failures > self.tries",
            report="Jobs are tried once too often.",
        ),
        Bug(
            name="first",
            module="choosing",
            old="job.priority > found.priority",
            new="job.priority >= found.priority",
            report="Of jobs with the same priority the one that came first should begin first.",
        ),
        Bug(
            name="any",
            module="choosing",
            old="all(name in done for name in job.after)",
            new="(not job.after or any(name in done for name in job.after))",
            report="A job begins although not all of the jobs before it are done.",
        ),
        Bug(
            name="waiting",
            module="jobqueue",
            old="        self.waiting.append(job)\n        return",
            new="        self.waiting.insert(0, job)\n        return",
            report="A job that failed goes before the others that wait; it should queue up again.",
        ),
    ),
)
"""A queue of jobs with priorities, order and several tries."""
