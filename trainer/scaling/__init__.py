"""What a run would take on more devices: a written model of a step, its costs measured or from data sheets.

workload.py   what a step plays: turns, tokens, seconds of the environment
costs.py      what sampling, training and passing weights on cost, and devices by their data sheets
simulate.py   episodes played against these costs, so that stragglers and queues count
layouts.py    ways to use so many devices, what a step takes in each, and where it is short
probe.py      the first two, measured on this machine in a short run
"""

__all__: list[str] = []
