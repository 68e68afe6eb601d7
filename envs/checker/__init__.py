"""Find what poisons training in a text environment: every mistake that an author can make and a curve does not show.

    report = check("AgentRL/Search-v0", profile="quick", backend="docker")
    print(report.ok, report.failed)

The checks run in a process of their own, which is killed and replaced where the environment hangs or dies. They know
an environment by Gymnasium and the protocol; what needs more (an oracle, levels, a box) runs where that is offered.
"""

from agentrl.envs.checker.record import Check
from agentrl.envs.checker.results import Report, Result
from agentrl.envs.checker.runner import check

__all__ = ["Check", "Report", "Result", "check"]
