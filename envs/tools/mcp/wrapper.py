"""Give any environment that speaks text the tools of MCP servers, beside those that it has.

    env = McpTools(gymnasium.make("AgentRL/Search-v0"), "mcp:python3 calculator.py", files={"calculator.py": "…"})

A server on standard input and output is started anew for each episode, in a box, unless the user says backend="local";
fresh=False keeps it for the episodes to come.
A turn that calls tools of a server alone is answered here: the environment does not see it. A turn that calls both goes
to the environment without the calls that were answered here and without its thoughts; the replies of the servers come
first. Every turn counts towards `max_turns`. A server that fails ends the episode with info["failure"].
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import Any, SupportsFloat

import gymnasium
from gymnasium.spaces import Text
from gymnasium.utils import RecordConstructorArgs

from agentrl.envs.arguments import check_turn, checked_choice, checked_count
from agentrl.envs.errors import InfrastructureError, UsageError, nearest
from agentrl.envs.protocol import Reply
from agentrl.envs.spaces import MAX_LENGTH, Unicode
from agentrl.envs.tools import ArgumentError, Malformed, ToolCall, parse
from agentrl.envs.tools.host import BACKENDS, shared_backend
from agentrl.envs.tools.mcp.address import Address, address_of
from agentrl.envs.tools.mcp.boxed import BoxProcess, spec_of
from agentrl.envs.tools.mcp.client import Session
from agentrl.envs.tools.mcp.feed import Feed, Peer
from agentrl.envs.tools.mcp.files import checked_path, contents_of
from agentrl.envs.tools.mcp.local import LocalProcess
from agentrl.envs.tools.mcp.offer import Offer, offers_of, resource_offers
from agentrl.envs.tools.mcp.turn import remark, without
from agentrl.envs.tools.mcp.words import files_of, list_of, mapping_of
from agentrl.envs.turns import capped, final_answers, spoken

__all__ = ["McpTools"]

_Stepped = tuple[str, SupportsFloat, bool, bool, dict[str, Any]]
_MORE_TURNS = 8
_MAX_TURNS = 64  # where the environment names no bound of its own
_TAGS = ("<", "[TOOL_CALLS]")
_NO_ANSWER = (
    "Error: an answer in a turn that calls a tool does not count. Read what the tool says, then answer in a turn "
    "without calls."
)


class McpTools(gymnasium.Wrapper[str, str, str, str], RecordConstructorArgs):
    """An environment with the tools of one or more MCP servers.

    Args:
        env: Speaks text.
        tools: "mcp:command …", "mcp+http://host:port/path", or several of them.
        backend: Where commands run: "auto" (a box: docker, else bubblewrap), "docker", "bwrap", or "local" (as plain
            processes of this machine, with the user's rights).
        prefix: Before the name of each tool.
        only: The servers' names of the tools that are wanted; None: all of them.
        files: Path in the server's working folder -> file or folder of this machine, copied there for each episode.
        packages: Distributions installed here that a command in a box may import, such as ["mcp"].
        environment: Variables that commands see.
        box: Fields of `SandboxSpec`, such as {"image": …, "network": ["docs.example.org"], "memory_mb": 1024}.
        token: Shown to servers of HTTP; None: that of the environment variable AGENTRL_MCP_TOKEN, where there is one.
        start_s: Deadline of a server's start, until its tools are known.
        call_s: Deadline of a call.
        max_turns: Turns of an episode, those that are answered here included; None: eight more than the environment's
            own, or 64 where it names none.
        max_calls: Calls of servers' tools that are run in one turn.
        max_reply_chars: Cap on the text of one call; head and tail are kept and the cut is said.
        max_tools: More tools than these are refused: a model would have to read them all.
        fresh: Whether each episode has servers of its own. False keeps them from one to the next and so saves their
            start; for servers in which an episode leaves nothing behind, such as a calculator.

    Where there is only text, as in a recipe of the trainer, a list is words with commas between, a mapping is JSON, and
    `files` may be one path.

    Raises:
        UsageError: The environment does not speak text, or an argument cannot work.
    """

    def __init__(
        self,
        env: gymnasium.Env[str, str],
        tools: str | Sequence[str],
        *,
        backend: str = "auto",
        prefix: str = "",
        only: Sequence[str] | str | None = None,
        files: Mapping[str, str | Path] | str | None = None,
        packages: Sequence[str] | str = (),
        environment: Mapping[str, str] | str | None = None,
        box: Mapping[str, Any] | str | None = None,
        token: str | None = None,
        start_s: float = 30.0,
        call_s: float = 30.0,
        max_turns: int | None = None,
        max_calls: int = 8,
        max_reply_chars: int = 4000,
        max_tools: int = 64,
        fresh: bool = True,
    ) -> None:
        given = {name: value for name, value in locals().items() if name not in ("self", "env", "__class__")}
        RecordConstructorArgs.__init__(self, **given)
        super().__init__(env)
        name = env.spec.id if env.spec is not None else type(env.unwrapped).__name__
        if not isinstance(env.action_space, Text) or not isinstance(env.observation_space, Text):
            raise UsageError(f"{name} does not speak text, so no tool can be called in it; wrap it so that it does")
        several: Sequence[Any] = tools if isinstance(tools, list | tuple) else [tools]
        self._addresses = [address_of(each) for each in several]
        if not self._addresses:
            raise UsageError("tools=[] names no MCP server; leave the wrapper out, or write 'mcp:python3 server.py'")
        self._backend = checked_choice("backend", backend, BACKENDS)
        for key, seconds in (("start_s", start_s), ("call_s", call_s)):
            if not isinstance(seconds, int | float) or not 0 < seconds < float("inf"):
                raise UsageError(f"{key}={seconds!r} must be a number of seconds above 0")
        for key, count in (("max_calls", max_calls), ("max_reply_chars", max_reply_chars), ("max_tools", max_tools)):
            checked_count(key, count)
        if max_turns is None:
            own = env.get_wrapper_attr("max_turns") if env.has_wrapper_attr("max_turns") else None
            max_turns = own + _MORE_TURNS if isinstance(own, int) else _MAX_TURNS
        checked_count("max_turns", max_turns)
        if backend == "local" and (box or packages):
            raise UsageError("box= and packages= are of a box; with backend='local' the command has what is here")
        self._environment = mapping_of("environment", environment)
        self._spec = spec_of(mapping_of("box", box), self._environment)
        self._packages = tuple(list_of("packages", packages))
        self._files = tuple((checked_path(path), str(Path(each).resolve())) for path, each in files_of(files).items())
        contents_of(self._files)  # what is missing is said now, not at the first episode
        self._token = token
        self._prefix, self._only = prefix, None if only is None else tuple(list_of("only", only))
        self._start_s, self._call_s = float(start_s), float(call_s)
        self.max_turns, self.max_calls = int(max_turns), max_calls
        self._max_reply_chars, self._max_tools = max_reply_chars, max_tools
        room = (max_calls + 2) * (max_reply_chars + 64)
        self.observation_space = Unicode(max(MAX_LENGTH, env.observation_space.max_length) + room)
        self._fresh = fresh
        self._held = ExitStack()  # the sessions of the episode
        self._sessions: list[Session] = []
        self._offers: dict[str, Offer] = {}
        self._names: set[str] = set()  # of all tools of the episode
        self._num_turns = 0
        self._done = True

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[str, dict[str, Any]]:
        """Start an episode of the environment, and its servers.

        Raises:
            UsageError: Two tools have one name, there are too many, or a program does not exist.
            InfrastructureError: A server did not start, or its tools are none.
        """
        self._over()
        observation, info = self.env.reset(seed=seed, options=options)
        theirs = [str(each.get("function", {}).get("name")) for each in info.get("tools") or ()]
        try:
            if not self._sessions or not all(session.is_open for session in self._sessions):
                self._leave()
                for address in self._addresses:
                    self._add(address)
                self._check_only()
            self._check_names("the environment", set(self._offers) & set(theirs))
        except BaseException:
            self._leave()
            raise
        self._names = {*theirs, *self._offers}
        self._num_turns, self._done = 0, False
        schemas = [offer.tool.schema for offer in self._offers.values()]
        return observation, {**info, "tools": [*(info.get("tools") or ()), *schemas]}

    def step(self, action: str) -> tuple[str, float, bool, bool, dict[str, Any]]:
        """Take the assistant's whole turn.

        Raises:
            UsageError: When the action is no string, or the episode is over.
        """
        check_turn(action, is_over=self._done)
        self._num_turns += 1
        text = spoken(action)
        calls = parse(text, self._names)
        theirs = [call for call in calls if isinstance(call, ToolCall) and call.name not in self._offers]
        mine = [call for call in calls if isinstance(call, Malformed) or call.name in self._offers]
        if not any(isinstance(call, ToolCall) for call in mine) and (theirs or not self._is_ours(mine)):
            return self._ended(self.env.step(action))
        try:
            replies = self._replies(mine)
        except InfrastructureError as error:
            self._over()
            self._leave()
            failure = {"kind": error.kind, "boundary": error.boundary, "message": str(error)}
            return f"The episode was ended: {error.boundary} failed.", 0.0, False, True, {"failure": failure}
        rest = without(text, mine, theirs)
        if theirs:
            return self._joined(replies, self.env.step(rest))
        if final_answers(rest):
            replies.append(remark(_NO_ANSWER))
        info: dict[str, Any] = {"replies": replies, "rewards": {}}
        return self._ended(("\n\n".join(each["content"] for each in replies), 0.0, False, False, info))

    def snapshot(self) -> dict[str, Any]:
        """Refuse: the state of a server cannot be taken.

        Raises:
            UsageError: Always.
        """
        raise UsageError("an episode with MCP servers has no snapshot: their state cannot be taken; play it again")

    def restore(self, snapshot: Mapping[str, Any]) -> None:
        """Refuse, as `snapshot` does.

        Raises:
            UsageError: Always.
        """
        self.snapshot()

    def close(self) -> None:
        """End the servers and close the environment; may be called twice."""
        self._over()
        self._leave()
        super().close()

    def _add(self, address: Address) -> None:
        """Open a session with a server and take up its tools."""
        token = os.environ.get("AGENTRL_MCP_TOKEN", "") if self._token is None else self._token
        session = Session(
            address.name,
            start=partial(self._started, address) if address.command else None,
            url=address.url,
            token=token,
            start_s=self._start_s,
            call_s=self._call_s,
        )
        self._held.callback(session.close)
        self._sessions.append(session)
        found = offers_of(
            session.tools,
            session.call,
            server=address.name,
            prefix=self._prefix,
            only=self._only_of(session),
            max_tools=self._max_tools,
        )
        if session.has_resources:
            found |= resource_offers(session.list_resources, session.read_resource, prefix=self._prefix)
        self._check_names("another server", set(found) & set(self._offers))
        self._offers |= found

    def _check_names(self, whose: str, both: set[str]) -> None:
        """Refuse tools that two have.

        Raises:
            UsageError: There is one.
        """
        if both:
            raise UsageError(
                f"the MCP server and {whose} have a tool called {min(both)!r}; give its tools other names with "
                "prefix='mcp_', or leave it out with only=[…]"
            )

    def _started(self, address: Address, feed: Feed) -> Peer:
        files = contents_of(self._files)
        if self._backend == "local":
            return LocalProcess(address.command, files=files, environment=self._environment, feed=feed)
        return BoxProcess(
            address.command,
            spec=self._spec,
            files=files,
            packages=self._packages,
            backend=shared_backend(BACKENDS[self._backend]),
            feed=feed,
        )

    def _is_ours(self, malformed: Sequence[ToolCall | Malformed]) -> bool:
        """Whether what no tool can be called with is answered here, which knows all tools.

        An environment without tools may have other uses for brackets and braces; what is tagged as a call is one.
        """
        return bool(malformed) and (
            len(self._names) > len(self._offers) or any(call.raw.startswith(_TAGS) for call in malformed)
        )

    def _replies(self, calls: Sequence[ToolCall | Malformed]) -> list[Reply]:
        """Run the calls of servers' tools, and say what is wrong with those that are none.

        Raises:
            InfrastructureError: A server failed.
        """
        replies = [self._reply(call) for call in calls[: self.max_calls]]
        if len(calls) > self.max_calls:
            only = f"only the first {self.max_calls} tool calls of a turn are run; make the others in another turn."
            replies.append(remark(f"Error: {only}"))
        return replies

    def _reply(self, call: ToolCall | Malformed) -> Reply:
        if isinstance(call, Malformed):
            return remark(capped(f"Error: {call.reason}", self._max_reply_chars))
        try:
            text = self._offers[call.name](call.arguments)
        except ArgumentError as error:
            return remark(capped(f"Error: {error}", self._max_reply_chars))
        return {"role": "tool", "name": call.name, "content": capped(text, self._max_reply_chars)}

    def _joined(self, replies: list[Reply], stepped: _Stepped) -> tuple[str, float, bool, bool, dict[str, Any]]:
        """Put what the servers said before what the environment answered to the rest of the turn."""
        observation, reward, terminated, truncated, info = stepped
        if not info.get("failure"):
            rest = info.get("replies") or ([remark(observation)] if observation else [])
            info = {**info, "replies": [*replies, *rest]}
            observation = "\n\n".join(part for part in (*(each["content"] for each in replies), observation) if part)
        return self._ended((observation, float(reward), terminated, truncated, info))

    def _ended(self, stepped: _Stepped) -> tuple[str, float, bool, bool, dict[str, Any]]:
        """Hold the bound on turns, and end the servers with the episode."""
        observation, reward, terminated, truncated, info = stepped
        if not (terminated or truncated) and self._num_turns >= self.max_turns:
            truncated, info = True, {"success": False, **info}
        if terminated or truncated:
            self._over()
        return observation, float(reward), terminated, truncated, info

    def _check_only(self) -> None:
        """Refuse a name in `only` that no server has.

        Raises:
            UsageError: There is one.
        """
        known = {each.name for session in self._sessions for each in session.tools}
        for name in self._only or ():
            if name not in known:
                raise UsageError(f"only: no server has a tool {name!r}{nearest(name, known)}; leave it out")

    def _only_of(self, session: Session) -> Sequence[str] | None:
        """Return the names in `only` that are this server's, where several servers share it."""
        if self._only is None or len(self._addresses) == 1:
            return self._only
        return [each.name for each in session.tools if each.name in self._only]

    def _over(self) -> None:
        self._done = True
        if self._fresh:
            self._leave()

    def _leave(self) -> None:
        """End the servers."""
        self._offers, self._sessions = {}, []
        self._held.close()
