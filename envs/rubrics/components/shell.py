r"""Read lines of a shell into simple commands, as far as one can without running them.

Quotes, escapes, remarks, pipes, redirections, here-documents and substitutions are followed, so `r""m` is `rm` and a
command in a quoted text is none. Variables, aliases and globs are not expanded. Any text is read in linear time; what
is nested deeper than `MAX_DEPTH` is taken as text.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

__all__ = ["MAX_DEPTH", "Command", "commands_in"]

MAX_DEPTH = 12


@dataclass(frozen=True, kw_only=True)
class Command:
    """One simple command."""

    words: tuple[str, ...]  # without quotes; a substitution leaves nothing behind
    writes: tuple[str, ...] = ()  # targets of > and >>
    reads: tuple[str, ...] = ()  # of <
    texts: list[str] = field(default_factory=list)  # here-documents and here-strings, filled as they are read
    inner: tuple[Command, ...] = ()  # commands of the substitutions in its words
    before: Command | None = None  # what is piped into it


def commands_in(script: str) -> list[Command]:
    """Return the commands of a script, those in substitutions and subshells too, inner ones first.

    >>> [command.words for command in commands_in("cd /tmp && r''m -rf \\"$(pwd)/x y\\" # rm")]
    [('cd', '/tmp'), ('pwd',), ('rm', '-rf', '/x y')]
    """
    reader = _Reader(script)
    while reader.at < len(script):  # a bracket too many ends a list
        reader.read("", 0)
    return reader.commands


class _Reader:
    def __init__(self, text: str) -> None:
        self.text = text
        self.at = 0
        self.commands: list[Command] = []
        self.documents: list[tuple[str, bool, Callable[[str], None]]] = []  # delimiter, tabs off, where it goes

    def read(self, closing: str, depth: int) -> list[Command]:
        """Read a list of commands up to `closing` or the end; return them, nested ones left out."""
        found: list[Command] = []
        draft = _Draft()
        text = self.text
        while self.at < len(text):
            letter = text[self.at]
            pair = text[self.at : self.at + 2]
            if letter == closing:
                break
            self.at += 1
            if letter == "\\":
                if pair != "\\\n":
                    draft.add(pair[1:])
                self.at += 1
            elif letter == "'":
                draft.add(self._until("'"))
            elif letter == '"':
                self._quoted(draft, depth)
            elif pair in ("$(", "<(", ">(") and depth < MAX_DEPTH:
                self.at += 1
                self._inside(draft, ")", depth)
            elif letter == "`" and depth < MAX_DEPTH:
                self._inside(draft, "`", depth)
            elif letter == "(" and depth < MAX_DEPTH:
                self._finish(draft, found)
                found += self.read(")", depth + 1)
                self.at += 1
                draft = _Draft(before=found[-1] if found and self._pipe() else None)
            elif letter == "#" and draft.word is None:
                self._skip("\n")
            elif letter in " \t\r":
                draft.end_word()
            elif pair in ("&>", ">&", "<&"):
                draft.end_word(number=True)
                self.at += 1
                draft.into = draft.writes if ">" in pair else None
            elif letter in "<>":
                self._redirect(draft, letter)
            elif letter in ";&|\n()":
                is_pipe = letter == "|" and pair != "||"
                self.at += pair in ("||", "&&", ";;", "|&")
                last = self._finish(draft, found)
                draft = _Draft(before=last if is_pipe else None)
                if letter == "\n":
                    self._documents()
            else:
                end = self.at
                while end < len(text) and text[end] not in _SPECIAL and text[end] != closing:
                    end += 1
                draft.add(text[self.at - 1 : end])
                self.at = end
        self._finish(draft, found)
        return found

    def _finish(self, draft: _Draft, found: list[Command]) -> Command | None:
        draft.end_word()
        made = draft.command()
        if made is not None:
            found.append(made)
            self.commands.append(made)
        return made

    def _inside(self, draft: _Draft, closing: str, depth: int) -> None:
        draft.add("")
        draft.inner += self.read(closing, depth + 1)
        self.at += 1

    def _quoted(self, draft: _Draft, depth: int) -> None:
        """Read what stands in double quotes, where substitutions still count."""
        draft.add("")
        text = self.text
        while self.at < len(text) and text[self.at] != '"':
            pair = text[self.at : self.at + 2]
            if pair[0] == "\\":
                draft.add(pair[1:] if pair[1:] in tuple('$`"\\') else "" if pair == "\\\n" else pair)
                self.at += 2
            elif pair == "$(" and depth < MAX_DEPTH:
                self.at += 2
                self._inside(draft, ")", depth)
            elif pair[0] == "`" and depth < MAX_DEPTH:
                self.at += 1
                self._inside(draft, "`", depth)
            else:
                end = self.at + 1
                while end < len(text) and text[end] not in '"\\$`':
                    end += 1
                draft.add(text[self.at : end])
                self.at = end
        self.at += 1

    def _redirect(self, draft: _Draft, letter: str) -> None:
        draft.end_word(number=True)
        rest = self.text[self.at - 1 : self.at + 2]
        if rest.startswith("<<<"):
            self.at += 2
            draft.into = draft.texts
        elif rest.startswith("<<"):
            self.at += 1
            strip = self.text.startswith("-", self.at)
            self.at += strip
            draft.into = draft.delimiters
            draft.document = lambda delimiter, put: self.documents.append((delimiter, strip, put))
        else:
            self.at += rest[1:2] in (">", "|")
            draft.into = draft.writes if letter == ">" else draft.reads

    def _documents(self) -> None:
        """Read the here-documents that begin on the line that has just ended."""
        waiting, self.documents = self.documents, []
        for delimiter, strip, put in waiting:
            lines: list[str] = []
            while self.at < len(self.text):
                line = self._until("\n")
                if (line.lstrip("\t") if strip else line) == delimiter:
                    break
                lines.append(line)
            put("\n".join(lines))

    def _until(self, mark: str) -> str:
        """Return what stands before a mark, and go behind it."""
        end = self.text.find(mark, self.at)
        end = len(self.text) if end < 0 else end
        found = self.text[self.at : end]
        self.at = end + 1
        return found

    def _skip(self, mark: str) -> None:
        end = self.text.find(mark, self.at)
        self.at = len(self.text) if end < 0 else end

    def _pipe(self) -> bool:
        """Go over a pipe that stands here, and say whether one does."""
        at = self.at
        while self.text[at : at + 1] in (" ", "\t"):
            at += 1
        if self.text[at : at + 1] != "|" or self.text[at : at + 2] == "||":
            return False
        self.at = at + 1
        return True


class _Draft:
    """A command that is being read."""

    def __init__(self, *, before: Command | None = None) -> None:
        self.words: list[str] = []
        self.word: list[str] | None = None
        self.writes: list[str] = []
        self.reads: list[str] = []
        self.texts: list[str] = []
        self.delimiters: list[str] = []
        self.inner: list[Command] = []
        self.into: list[str] | None = self.words
        self.document: Callable[[str, Callable[[str], None]], None] | None = None
        self.before = before

    def add(self, text: str) -> None:
        if self.word is None:
            self.word = []
        self.word.append(text)

    def end_word(self, *, number: bool = False) -> None:
        """Put the word where it belongs; one of digits right before a redirection is none."""
        if self.word is None:
            return
        word, self.word = "".join(self.word), None
        if number and word.isdigit() and self.into is self.words:
            return
        if self.into is not None:
            self.into.append(word)
        if self.into is self.delimiters and self.document is not None:
            self.document(word, self.texts.append)
        self.into = self.words

    def command(self) -> Command | None:
        if not (self.words or self.writes or self.reads or self.inner):
            return None
        return Command(
            words=tuple(self.words),
            writes=tuple(self.writes),
            reads=tuple(self.reads),
            texts=self.texts,
            inner=tuple(self.inner),
            before=self.before,
        )


_SPECIAL = frozenset("\\'\"$<>`( \t\r;&|\n)")
