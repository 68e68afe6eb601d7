"""Many environments at once for language agents: unordered completion, deadlines, restarts, threads or processes.

`gymnasium.make_vec` waits for the slowest environment at every step; a `Runner` hands out each result as it comes.
"""

from agentrl.envs.runner.events import EpisodeRecord, Event, StepRecord
from agentrl.envs.runner.runner import Runner

__all__ = ["EpisodeRecord", "Event", "Runner", "StepRecord"]
