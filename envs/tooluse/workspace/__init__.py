"""The workspace: mail, calendar, files and contacts of an employee."""

__all__: list[str] = []
