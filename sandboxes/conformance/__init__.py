"""The conformance suite: what every backend must survive, as data, and the runner that tries it on one of them.

with open_backend("docker") as backend, Runner(backend) as runner:
    outcomes = [runner.run(case) for case in CASES]
"""

from __future__ import annotations

from agentrl.sandboxes.conformance.case import Case
from agentrl.sandboxes.conformance.runner import Outcome, Runner, report
from agentrl.sandboxes.conformance.suite import CASES, pick

__all__ = ["CASES", "Case", "Outcome", "Runner", "pick", "report"]
