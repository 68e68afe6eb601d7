"""Tools over the user's mailbox. Standard library only, for a box may run them."""

from __future__ import annotations

from typing import Any, Literal

from agentrl.envs.tools.toolset import ToolError
from agentrl.envs.tooluse.workspace.base import FOLDERS, LABELS, NOW, WorkspaceTables, checked_day, short

__all__ = ["MailTools"]


class MailTools(WorkspaceTables):
    """The user's mail."""

    def search_mails(self, sender: str = "", text: str = "", folder: str = "", label: str = "", since: str = "") -> Any:
        """Search the user's mails, the newest first.

        Args:
            sender: Address.
            text: Part of the subject.
            folder: inbox, archive, sent, drafts or trash.
            label: Such as invoice.
            since: First day, YYYY-MM-DD.
        """
        wanted = {"sender = ?": sender, "instr(lower(subject), lower(?))": text, "folder = ?": folder}
        wanted |= {"label = ?": label, "day >= ?": checked_day(since) if since else ""}
        query = "SELECT mail, sender, day, subject, folder, label FROM mails"
        return short(self._select(query, wanted, "day DESC, time DESC, mail"))

    def read_mail(self, mail: str) -> dict[str, Any]:
        """Show a mail with its recipients and the other mails of its thread.

        Args:
            mail: Its code.
        """
        found = self._mail(mail)
        query = "SELECT mail, sender, day FROM mails WHERE thread = ? AND mail != ? ORDER BY day, time"
        others = self._rows(query, found["thread"], mail)
        shown = short([found])[0]
        return {**shown, "to": self._recipients(mail), **({"others in thread": short(others)} if others else {})}

    def send_mail(self, to: str, subject: str, body: str, file: str = "", draft: bool = False) -> str:
        """Send a mail, or keep it as a draft.

        Args:
            to: Addresses with commas.
            subject: Free text.
            body: Free text.
            file: Code of a file to attach.
            draft: True to keep it in drafts.
        """
        people = self._addresses(to)
        if file:
            self._file(file)
        mail = self._add(people, subject, body, folder="drafts" if draft else "sent", file=file)
        return f"{'kept' if draft else 'sent'} {mail}"

    def send_draft(self, mail: str) -> str:
        """Send a draft.

        Args:
            mail: Its code.
        """
        if self._mail(mail)["folder"] != "drafts":
            raise ToolError(f"mail {mail} is no draft")
        if not self._recipients(mail):
            raise ToolError(f"draft {mail} has no recipients")
        query = "UPDATE mails SET folder = 'sent', day = ?, time = ? WHERE mail = ?"
        self._db.execute(query, (self._today, NOW, mail))
        return f"sent {mail}"

    def reply_mail(self, mail: str, body: str, everyone: bool = False) -> str:
        """Reply to the sender of a mail, or to everyone on it.

        Args:
            mail: Its code.
            body: Free text.
            everyone: True to reply to all.
        """
        found = self._sent(mail)
        others = [found["sender"], *self._recipients(mail)] if everyone else [found["sender"]]
        me = self._me()
        people = [each for each in dict.fromkeys(others) if each != me]
        if not people:
            raise ToolError(f"there is nobody but the user on {mail}")
        return f"sent {self._add(people, 'Re: ' + found['subject'], body, thread=found['thread'])}"

    def forward_mail(self, mail: str, to: str, note: str = "") -> str:
        """Forward a mail.

        Args:
            mail: Its code.
            to: Addresses with commas.
            note: Free text.
        """
        found = self._sent(mail)
        people = self._addresses(to)
        new = self._add(people, "Fwd: " + found["subject"], note, file=found["file"], forwards=mail)
        return f"sent {new}"

    def mark_mail(
        self, mail: str, folder: str = "", label: Literal["", "sealed", "invoice", "travel", "urgent"] = ""
    ) -> str:
        """Move a mail to a folder, or put a label on it.

        Args:
            mail: Its code.
            folder: inbox, archive or trash.
            label: The label.
        """
        found = self._mail(mail)
        if folder not in ("", *FOLDERS) or label not in LABELS:
            raise ToolError(f"folders are {', '.join(FOLDERS)}; labels are {', '.join(LABELS[1:])}")
        if folder in ("sent", "drafts"):
            raise ToolError(f"no mail is moved to {folder}")
        wanted = {"folder": folder or found["folder"], "label": label or found["label"]}
        if all(found[name] == value for name, value in wanted.items()):
            raise ToolError(f"mail {mail} would stay as it is")
        self._db.execute("UPDATE mails SET folder = ?, label = ? WHERE mail = ?", (*wanted.values(), mail))
        return f"mail {mail}: " + ", ".join(value for value in (folder, label) if value)

    def _sent(self, mail: str) -> dict[str, Any]:
        found = self._mail(mail)
        if found["folder"] == "drafts":
            raise ToolError(f"mail {mail} is a draft")
        return found

    def _recipients(self, mail: str) -> list[str]:
        found = self._rows("SELECT person FROM recipients WHERE mail = ? ORDER BY person", mail)
        return [each["person"] for each in found]

    def _add(
        self,
        people: list[str],
        subject: str,
        body: str,
        *,
        folder: str = "sent",
        thread: str = "",
        file: str = "",
        forwards: str = "",
    ) -> str:
        mail = self._next("mails", "mail")

        def work() -> None:
            values = (mail, thread or mail, folder, "", self._me(), self._today, NOW, subject, body, file, forwards)
            self._db.execute(f"INSERT INTO mails VALUES ({', '.join('?' * len(values))})", values)
            for person in people:
                key = self._next("recipients", "to")
                self._db.execute("INSERT INTO recipients VALUES (?, ?, ?)", (key, mail, person))

        self._write(work)
        return mail
