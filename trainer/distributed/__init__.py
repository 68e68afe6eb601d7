"""One run on many ranks, started by torchrun: rank 0 leads, the others follow.

Everything that is decided or written is decided and written by rank 0, whose loop is that of a run in one process. It
tells the others what to do (`team.py`) over a line of its own (`world.py`), on which each also gives signs of life
(`pulse.py`); the model is spread by FSDP2 (`sharding.py`), and checkpoints are written in parts (`shards.py`).
"""

__all__: list[str] = []
