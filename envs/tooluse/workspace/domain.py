"""The workspace: mail, calendar, files and contacts of an employee, for whom the agent acts."""

from __future__ import annotations

from agentrl.envs.tooluse.case import Domain
from agentrl.envs.tooluse.workspace.families.calendar import CALENDAR
from agentrl.envs.tooluse.workspace.families.events import EVENTS
from agentrl.envs.tooluse.workspace.families.files import FILES
from agentrl.envs.tooluse.workspace.families.mail import MAIL
from agentrl.envs.tooluse.workspace.families.mixed import MIXED
from agentrl.envs.tooluse.workspace.families.sharing import SHARING
from agentrl.envs.tooluse.workspace.families.simple import SIMPLE
from agentrl.envs.tooluse.workspace.rules import RULES
from agentrl.envs.tooluse.workspace.tools import WorkspaceTools
from agentrl.envs.tooluse.workspace.world import populate

__all__ = ["DOMAIN"]

DOMAIN = Domain(
    name="workspace",
    role="You act for an employee, the user, in their mail, calendar and files.",
    toolset=WorkspaceTools,
    populate=populate,
    rules=RULES,
    families=(*SIMPLE, *SHARING, *EVENTS, *MAIL, *FILES, *CALENDAR, *MIXED),
)
