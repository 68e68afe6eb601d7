"""Tools over files and people. Standard library only, for a box may run them."""

from __future__ import annotations

from typing import Any, Literal

from agentrl.envs.tools.toolset import ToolError
from agentrl.envs.tooluse.workspace.base import ACCESS, WorkspaceTables, checked_day, short

__all__ = ["FileTools", "PeopleTools"]


class PeopleTools(WorkspaceTables):
    """Whom the user knows."""

    def my_profile(self) -> dict[str, Any]:
        """Show the user's own record."""
        return self._person(self._me())

    def find_people(self, who: str = "", team: str = "", company: str = "") -> Any:
        """Find people, inside or outside.

        Args:
            who: Name or address, or a part of it.
            team: Such as Sales.
            company: Of people outside.
        """
        wanted = {"instr(lower(name || ' ' || address), lower(?))": who, "lower(team) = lower(?)": team}
        wanted |= {"lower(company) = lower(?)": company}
        return short(self._select("SELECT * FROM people", wanted, "address"))


class FileTools(WorkspaceTables):
    """The files of everybody inside."""

    def search_files(
        self, text: str = "", owner: str = "", folder: str = "", before: str = "", above_mb: int = 0, shared: str = ""
    ) -> Any:
        """Search files.

        Args:
            text: Part of the name.
            owner: Address.
            folder: Name of a folder.
            before: Last changed before this day, YYYY-MM-DD.
            above_mb: Larger than so many MB.
            shared: Address of somebody with whom it is shared.
        """
        wanted: dict[str, Any] = {"instr(lower(name), lower(?))": text, "owner = ?": owner, "folder = ?": folder}
        wanted |= {"day < ?": checked_day(before) if before else "", "mb > ?": above_mb}
        wanted |= {"file IN (SELECT file FROM shares WHERE person = ?)": shared}
        query = "SELECT file, name, folder, owner, day, mb FROM files"
        return short(self._select(query, wanted, "name, file"))

    def read_file(self, file: str) -> dict[str, Any]:
        """Show what is known about a file: owner, sharing, versions, holds.

        Args:
            file: Its code.
        """
        shown = short([self._file(file)])[0]
        shares = self._rows("SELECT person, access FROM shares WHERE file = ? ORDER BY person", file)
        query = "SELECT version, day, author, mb FROM versions WHERE file = ? ORDER BY version"
        return {
            **shown,
            "shared": {each["person"]: each["access"] for each in shares},
            "versions": self._rows(query, file),
        }

    def share_file(self, file: str, person: str, access: Literal["view", "edit"] = "view") -> str:
        """Share a file with a person, or change their access.

        Args:
            file: Its code.
            person: Address.
            access: view or edit.
        """
        if access not in ACCESS:
            raise ToolError("access must be view or edit")
        if self._file(file)["owner"] == self._person(person)["address"]:
            raise ToolError(f"{person} owns {file}")
        held = self._rows("SELECT share, access FROM shares WHERE file = ? AND person = ?", file, person)
        if held and held[0]["access"] == access:
            raise ToolError(f"{person} has {access} access to {file} already")
        if held:
            self._db.execute("UPDATE shares SET access = ? WHERE share = ?", (access, held[0]["share"]))
        else:
            values = (self._next("shares", "share"), file, person, access)
            self._db.execute("INSERT INTO shares VALUES (?, ?, ?, ?)", values)
        return f"{person} may {access} {file}"

    def unshare_file(self, file: str, person: str) -> str:
        """End the access of a person to a file.

        Args:
            file: Its code.
            person: Address.
        """
        self._file(file)
        query = "SELECT share FROM shares WHERE file = ? AND person = ?"
        held = self._one(f"access of {person} to {file}", query, file, person)
        self._db.execute("DELETE FROM shares WHERE share = ?", (held["share"],))
        return f"{person} has no access to {file} any more"

    def delete_file(self, file: str) -> str:
        """Delete a file with all its versions, for ever.

        Args:
            file: Its code.
        """
        self._file(file)

        def work() -> None:
            for table in ("files", "shares", "versions"):
                self._db.execute(f"DELETE FROM {table} WHERE file = ?", (file,))

        self._write(work)
        return f"file {file} is deleted"

    def restore_version(self, file: str, version: int) -> str:
        """Go back to an earlier version of a file.

        Args:
            file: Its code.
            version: Its number.
        """
        if self._file(file)["version"] == version:
            raise ToolError(f"file {file} is at version {version} already")
        query = "SELECT mb FROM versions WHERE file = ? AND version = ?"
        found = self._one(f"version {version} of {file}", query, file, version)
        query = "UPDATE files SET version = ?, mb = ?, day = ? WHERE file = ?"
        self._db.execute(query, (version, found["mb"], self._today, file))
        return f"file {file} is at version {version}"
