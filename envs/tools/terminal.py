"""A shell session in the box of an episode: each command is one process, and the session's state is carried along.

A command runs in the foreground, as the job's user, and whatever it leaves running is killed with it; that keeps one
round trip a command and leaves nothing behind that could act between two of them. What a person would call the session
(folder, variables, functions, aliases, shell options, umask, the last exit status) is written to a file in the box as a
command ends and read as the next begins, so that `cd` and `export` last, while `exit 3` ends a command only. That file
lies outside /work and belongs to the agent: who tampers with it or removes it loses the session's state, nothing else.
Not carried: jobs, traps, positional parameters, and what a command set that ended by `exec` or by SIGKILL. An image
without bash has sh, with folder, exported variables, aliases and umask only.
"""

from __future__ import annotations

import base64
import string
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

from agentrl.envs.errors import InfrastructureError
from agentrl.envs.tools.codebox import CodeBox
from agentrl.sandboxes.errors import SandboxFileError

__all__ = ["LASTS", "MOST_COMMAND_BYTES", "STATE", "STOPPED", "Shown", "Terminal", "told"]

STATE = "/tmp/.session"
"""Where the state lies in the box."""
MOST_COMMAND_BYTES = 100_000
"""Bytes that a command may have: the kernel takes 131,072 in one argument."""
LASTS = (
    "Folder, variables and functions last from call to call; programs still running when a command ends are killed, "
    "and standard input is empty."
)
"""What the description of a tool over a terminal says of it."""
STOPPED: Mapping[str, str] = MappingProxyType(
    {
        "timeout": "the command did not end in time and was stopped",
        "cpu_timeout": "the command used too much processor time and was stopped",
        "output_limit": "the command wrote too much and was stopped",
        "oom": "the command needed more memory than there is; the machine was replaced, files are as at the beginning",
        "pids": "the command started too many processes and was stopped",
    }
)
"""Why a command was stopped, by its status, in words for the model."""

_MOST_STATE = 4 << 20
_NAMES = " ".join(f'"${{!{letter}@}}"' for letter in string.ascii_letters + "_")
_OWN = (
    "BASH*|COMP_*|DIRSTACK|EPOCH*|EUID|FUNCNAME|GROUPS|HIST*|HOSTTYPE|LINENO|MACHTYPE|OLDPWD|OPTIND|OSTYPE|PIPESTATUS|"
    "PPID|PWD|RANDOM|SECONDS|SHELLOPTS|SHLVL|SRANDOM|UID|_|__session_*"
)

# In braces, and so read by `eval` in one piece before it runs: no alias of the session changes a word of it. Builtins
# by `builtin`, so that no function of the session is called instead. Nothing forks but the first command's `umask`. The
# shell's options come last, on the command's own line, or `set -x` would show what is none of the session's.
_BASH = f"""{{
__session_save() {{
  __session_last=$?
  [[ ! $__session_saved ]] || return 0
  __session_saved=1
  [[ ! -e {STATE} || -f {STATE} ]] || return 0
  {{
    for __session_name in {_NAMES}; do
      case $__session_name in {_OWN}) ;; *) builtin declare -p "$__session_name" ;; esac
    done
    builtin printf 'OLDPWD=%q\\nbuiltin cd -- %q\\n__session_last=%d\\n__session_options=%q\\n' \\
      "${{OLDPWD-}}" "$PWD" "$__session_last" "$SHELLOPTS"
    builtin umask -p
    builtin printf 'builtin shopt -u %s\\nbuiltin shopt -s %s\\n' "$__session_shopt" "${{BASHOPTS//:/ }}"
    builtin declare -f; builtin declare -F; builtin alias -p
    builtin printf '#end\\n'
  }} >| {STATE}
}}
__session_status() {{ return "$__session_last"; }}
__session_shopt=${{BASHOPTS//:/ }} __session_last=0 __session_state= __session_options= __session_line= __session_saved=
builtin shopt -s expand_aliases
if [[ -f {STATE} ]]; then
  IFS= builtin read -rd '' __session_state <{STATE}
  [[ $__session_state == *$'\\n#end\\n' ]] && builtin eval "$__session_state" >/dev/null
elif [[ ! -e {STATE} ]]; then
  (umask 077; : >{STATE})
fi
[[ $__session_options ]] && __session_line="\\\\builtin set +Bh -o ${{__session_options//:/ -o }}; "
[[ :$__session_options: == *:errexit:* || :$__session_options: == *:xtrace:* ]] || __session_line+='__session_status; '
builtin unset __session_state __session_options __session_name
builtin trap '{{ __session_save || :; }} 2>/dev/null' EXIT
builtin trap 'exit 143' TERM
}}"""
# On one line, so that the command's own lines count from 1.
_BASH_LINE = (
    'exec 2>&1; { __session_command=$2; builtin eval "$1"; } 2>/dev/null; builtin shift 2; '
    'builtin eval "$__session_line$__session_command"; { __session_save || :; builtin set +x; } 2>/dev/null; '
    'builtin exit "$__session_last"'
)

# Whatever fails in `.` would end this shell, so it is tried in another one first.
_SH = f"""exec 2>&1
__session_save() {{
  __session_last=$?
  [ ! -e {STATE} ] || [ -f {STATE} ] || return 0
  {{
    export -p; alias | sed 's/^alias //; s/^/alias /'
    printf 'cd -- "%s"\\numask %s\\n' "$(pwd | sed 's/[\\\\"$`]/\\\\&/g')" "$(umask)"
  }} >{STATE}
}}
__session_command=$1; shift
if [ -f {STATE} ] && (. {STATE}) >/dev/null 2>&1; then . {STATE} >/dev/null 2>&1; fi
trap '{{ __session_save; }} 2>/dev/null; exit "$__session_last"' EXIT
trap 'exit 143' TERM
eval "$__session_command"
"""


@dataclass(frozen=True, kw_only=True)
class Shown:
    """What a terminal shows of one command, and how the command ended."""

    text: str  # standard output and standard error in the order in which they came; U+FFFD for what is not UTF-8
    exit_status: int | None  # as `$?` has it, 128 + N for signal N; None where it was stopped
    stopped: str | None  # a key of STOPPED; None where it ended by itself
    wall_s: float


class Terminal:
    """The session of one episode. Commands run one after another.

    Args:
        box: Where; the session begins at the first command, in /work.
    """

    def __init__(self, box: CodeBox) -> None:
        self._box = box
        self._shell = ""  # unknown until a command has run

    def run(self, command: str, *, timeout_s: float = 10.0) -> Shown:
        """Run a command, which may have many lines, and return what a terminal would show.

        Args:
            command: Text for the shell.
            timeout_s: Seconds after which it is stopped.

        Raises:
            InfrastructureError: The box failed, or has no shell at all.
        """
        if "\0" in command:
            return _refused("a command cannot hold a NUL character")
        try:
            size = len(command.encode())
        except UnicodeEncodeError:
            return _refused("a command is text that UTF-8 can write; it holds half of a surrogate pair")
        if size > MOST_COMMAND_BYTES:
            return _refused(f"the command has {size} bytes, and {MOST_COMMAND_BYTES} are the most; write it in parts")
        shell = self._shell or "bash"
        result = self._box.exec(_argv(shell, command), timeout_s=timeout_s)
        if not self._shell and result.exit_code in (126, 127):  # of the command, or is there no bash?
            self._shell = self._found()
            if self._shell != shell:
                result = self._box.exec(_argv(self._shell, command), timeout_s=timeout_s)
        self._shell = self._shell or shell
        stopped = result.status if result.status in STOPPED else None
        status = 128 + result.signal if result.exit_code is None and result.signal else result.exit_code
        return Shown(
            text=(result.stdout + result.stderr).decode("utf-8", "replace"),
            exit_status=None if stopped else status,
            stopped=stopped,
            wall_s=result.wall_s,
        )

    def snapshot(self) -> dict[str, Any]:
        """Return the session's state as plain data; the files below /work are in the box's own snapshot.

        Raises:
            InfrastructureError: The box failed.
        """
        try:
            state = self._box.read(STATE, max_bytes=_MOST_STATE)
        except SandboxFileError:  # no command yet, or the agent put something else there
            return {"shell": self._shell, "state": None}
        return {"shell": self._shell, "state": base64.b64encode(state).decode("ascii")}

    def restore(self, state: Mapping[str, Any]) -> None:
        """Go back to a state that `snapshot` gave, in a box that was restored before.

        Raises:
            InfrastructureError: The box failed.
        """
        self._shell = state["shell"]
        self._box.exec(["rm", "-rf", "--", STATE])
        if state["state"] is not None:
            self._box.write(STATE, base64.b64decode(state["state"]), mode=0o600)

    def _found(self) -> str:
        """Return which shell the image has."""
        for shell in ("bash", "sh"):
            if self._box.exec([shell, "-c", "exit 42"]).exit_code == 42:
                return shell
        raise InfrastructureError(
            f"the image {self._box.spec.image or 'of the box'!r} has neither bash nor sh; name one that has, such as "
            "'debian:12'",
            kind="shell",
            boundary="sandbox",
        )


def told(shown: Shown) -> str:
    """Write what the model reads of a command: its text, and how it ended where that is not plain.

    >>> told(Shown(text="no such file\\n", exit_status=1, stopped=None, wall_s=0.1))
    'no such file\\n[exit status 1]'
    """
    parts = [shown.text.rstrip("\n")]
    if shown.stopped is not None:
        parts.append(f"[{STOPPED[shown.stopped]}]")
    elif shown.exit_status != 0:
        parts.append(f"[exit status {shown.exit_status}]")
    return "\n".join(part for part in parts if part) or "(no output)"


def _argv(shell: str, command: str) -> list[str]:
    if shell == "bash":
        return ["bash", "--norc", "--noprofile", "-c", _BASH_LINE, "bash", _BASH, command]
    return ["sh", "-c", _SH, "sh", command]


def _refused(reason: str) -> Shown:
    return Shown(text=f"bash: {reason}", exit_status=2, stopped=None, wall_s=0.0)
