"""Judges: models that score episodes, alone or against the other episodes of a group."""

from agentrl.envs.rubrics.judges.client import Totals, Verdict
from agentrl.envs.rubrics.judges.group import judge_listwise, judge_pairwise
from agentrl.envs.rubrics.judges.settings import JudgeSettings
from agentrl.envs.rubrics.judges.shared import close_judges, totals
from agentrl.envs.rubrics.judges.single import judge, judge_checklist, judge_reference

__all__ = [
    "JudgeSettings",
    "Totals",
    "Verdict",
    "close_judges",
    "judge",
    "judge_checklist",
    "judge_listwise",
    "judge_pairwise",
    "judge_reference",
    "totals",
]
