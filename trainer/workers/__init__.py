"""Environments in worker processes on the hosts of a Ray cluster, used as if they were threads of this process.

    config   how many workers, and what each asks of its host
    cluster  the Ray cluster: one that is there, or one for this run
    pool     the workers: started, replaced when they are lost, ended
    desks    one environment there, as a desk
    wire     what travels, as bytes
    actor    what runs in a worker

Ray is loaded with the first worker; nothing else here needs it.
"""

from agentrl.trainer.workers.config import RayConfig, num_workers_of
from agentrl.trainer.workers.pool import RayWorkers, open_workers

__all__ = ["RayConfig", "RayWorkers", "num_workers_of", "open_workers"]
