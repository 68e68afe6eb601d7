"""All tools of the workspace. Standard library only, for a box may run them."""

from __future__ import annotations

from agentrl.envs.tooluse.workspace.calendar_tools import CalendarTools
from agentrl.envs.tooluse.workspace.file_tools import FileTools, PeopleTools
from agentrl.envs.tooluse.workspace.mail_tools import MailTools

__all__ = ["WorkspaceTools"]


class WorkspaceTools(FileTools, CalendarTools, MailTools, PeopleTools):
    """People, mail, calendar and files of one employee."""
