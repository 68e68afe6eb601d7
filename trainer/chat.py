"""Messages to tokens and back, token in and token out: what was sampled is trained on as sampled, never re-tokenized.

The text around the sampled turns comes from the model's own chat template. `prompt` renders the start of an episode;
`follow` renders the replies to a turn behind a dummy turn and keeps what stands after it, so that neither its cost nor
its result depends on the history. A template is refused when that would differ from rendering the whole conversation:
when it rewrites or drops earlier turns, or renders a late reply differently. Two differences are kept on purpose. Qwen3
strips `<think>` from earlier turns; here what was sampled stays. Mistral moves the system prompt and the tools to the
last user turn; here they stay where first read (`Chat.departures`). Environment text cannot write control tokens.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, Literal

import jinja2

from agentrl.trainer.errors import TemplateError
from agentrl.trainer.guard import Guard

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

__all__ = ["Chat", "TemplateError"]

Message = Mapping[str, Any]

# Stand-ins by which a piece of a rendering is found again; letters only, so that no template alters them.
SYSTEM, USER, TURN, REPLY, TOOL = (f"agentrl{word}mark" for word in ("system", "user", "turn", "reply", "tool"))
NUM_ROUNDS: Final = 8  # a template that drops or rewrites old turns does so within a few
RENDER_ERRORS: Final = (jinja2.TemplateError, TypeError, ValueError, KeyError, AttributeError, IndexError)
# Templates write these for the model to read and write; they are not what separates the turns.
TAG: Final = re.compile(r"</?\w+>")
ADVICE: Final = "pass a template that only appends (template=...), for example the model's own with that part removed"


class Chat:
    """Turn messages into tokens as one model's chat template does.

    Args:
        tokenizer: The model's tokenizer.
        template: A Jinja chat template, or the name of one of the tokenizer's; None for the tokenizer's own.
        template_kwargs: Switches that the template reads, like `{"enable_thinking": False}`.

    Raises:
        TemplateError: There is no template, it is not append-only, no token ends a turn, or it never reads a switch. If
            it is append-only but for tool replies, `prompt` raises instead, once there are tools.
    """

    stop_ids: frozenset[int]  # a sampled turn ends with any of these
    end_id: int  # the one that the template itself ends a turn with
    departures: tuple[str, ...]  # where an episode differs, on purpose, from rendering the whole conversation anew

    def __init__(
        self,
        tokenizer: PreTrainedTokenizerBase,
        *,
        template: str | None = None,
        template_kwargs: Mapping[str, Any] | None = None,
    ) -> None:
        self._tokenizer = tokenizer
        self._kwargs = dict(template_kwargs or {})
        self._template = _find_template(tokenizer, template)
        for name in self._kwargs:
            if not re.search(rf"\b{re.escape(name)}\b", self._template):
                raise TemplateError(f"the chat template never reads {name!r}; remove it from template_kwargs")
        added = {token.content: int(i) for i, token in tokenizer.added_tokens_decoder.items()}
        self._special = {str(text) for text in tokenizer.all_special_tokens}
        self._special |= {token.content for token in tokenizer.added_tokens_decoder.values() if token.special}
        self._stops: dict[str, int] = {}
        self._layouts: dict[tuple[str, ...], _Layout] = {}
        self._guard = Guard(tokenizer, self._special)
        # A template that names the system role and leaves it out means to: the model was trained without.
        self._has_system = self._writes([_system(SYSTEM), _user()], *([] if "system" in self._template else [SYSTEM]))
        self._find_stops()
        self._layouts[("user",)], tail, notes = self._choose_layout(("user",))
        scaffold = self._render([_user()]) + tail
        self._refusal: TemplateError | None = None
        for roles in (("tool",), ("tool", "tool")):
            try:
                self._layouts[roles], tail, more = self._choose_layout(roles)
            except TemplateError as error:  # DeepSeek's template is of use without tools, so wait for them
                self._refusal = error
                break
            scaffold, notes = scaffold + tail, notes + more
        control = {text for text in added if text in scaffold and not TAG.fullmatch(text)}
        self._guard = Guard(tokenizer, self._special | control)
        self.departures = tuple(dict.fromkeys(notes))

    def prompt(self, messages: Sequence[Message], tools: Sequence[Message]) -> list[int]:
        """Return the tokens that open an episode, up to and including the generation prompt.

        Where the template has no place for tools (the word `tools` is nowhere in it, not even in a comment) or for a
        system prompt, they are written into the first message as text.

        Raises:
            TemplateError: There are tools and the template rewrites their replies later, or it cannot render this.
        """
        if tools and self._refusal is not None:
            raise self._refusal
        safe = [self._guard.defuse(m) for m in messages]
        schemas = [self._guard.defuse(tool) for tool in tools]
        if schemas and not re.search(r"\btools\b", self._template):
            safe, schemas = _lead_with(safe, _describe(schemas)), []
        if not self._has_system and safe and safe[0]["role"] == "system" and len(safe) > 1:
            safe = [safe[1] | {"content": f"{safe[0]['content']}\n\n{safe[1]['content']}"}, *safe[2:]]
        try:
            return self._encode(self._render(safe, tools=schemas))
        except RENDER_ERRORS as error:
            roles = ", ".join(str(message["role"]) for message in messages)
            raise TemplateError(f"the chat template cannot render messages of the roles {roles}: {error}") from error

    def follow(self, sampled_ids: Sequence[int], replies: Sequence[Message]) -> list[int]:
        """Return the tokens between a sampled turn and the next one.

        That is the end-of-turn token if the turn was cut before it, the replies as the template renders them, and the
        generation prompt. None of it was sampled: mask all of it.

        Args:
            sampled_ids: The turn as sampled; only its last token is looked at.
            replies: All that the environment answered, in order: `role` ("tool" or "user"), `name`, `content`.

        Raises:
            ValueError: There are no replies.
            TemplateError: The template cannot render this sequence of roles.
        """
        if not replies:
            raise ValueError("replies is empty; an episode that goes on has at least one")
        safe = [self._guard.defuse(reply) for reply in replies]
        roles = tuple([str(reply["role"]) for reply in safe])
        layout = self._layouts.get(roles)
        if layout is None:
            layout = self._layouts[roles] = self._choose_layout(roles)[0]
        ids = self._encode(self._tail(self._render([_user(), *layout.turn(safe)])))
        ended = bool(sampled_ids) and sampled_ids[-1] in self.stop_ids
        return ids[1:] if ended and (self._closes or sampled_ids[-1] == ids[0]) else ids

    def action(self, sampled_ids: Sequence[int]) -> str:
        """Return a sampled turn as text for `env.step`: without the token that ended it, all others kept."""
        ids = list(sampled_ids)
        if ids and ids[-1] in self.stop_ids:
            ids.pop()
        return str(self._tokenizer.decode(ids, skip_special_tokens=False, clean_up_tokenization_spaces=False))

    def turn(self, text: str) -> list[int]:
        """Return the tokens of a turn that the model did not sample (a demonstration), with the one that ends it."""
        return [*self._encode(text), self.end_id]

    def defuse(self, text: str) -> str:
        """Return `text` with every control token's name broken by an invisible character, so that it stays text.

        Control tokens are the tokenizer's special tokens and what the template separates turns with. Tags that are
        tokens without being special, like `<tool_call>`, stay: no turn begins or ends with them.
        """
        return self._guard.clean(text)

    def _render(self, messages: Sequence[Message], *, tools: Sequence[Message] = (), generate: bool = True) -> str:
        text: str = self._tokenizer.apply_chat_template(
            messages,
            tools=list(tools) or None,
            chat_template=self._template,
            tokenize=False,
            add_generation_prompt=generate,
            **self._kwargs,
        )
        return text

    def _encode(self, text: str) -> list[int]:
        ids: list[int] = self._tokenizer.encode(text, add_special_tokens=False)
        return ids

    def _tail(self, text: str) -> str:
        """Cut a rendering at the token that ends the dummy turn: replies come later, so they cannot move the cut."""
        match = self._stop.search(text, text.find(TURN))
        assert match is not None  # _choose_layout found it
        return text[match.start() :]

    def _writes(self, messages: Sequence[Message], *marks: str) -> bool:
        try:
            text = self._render(messages)
        except RENDER_ERRORS:
            return False
        return all(mark in text for mark in marks)

    def _find_stops(self) -> None:
        """Find what ends a turn: the first special token after its text; in GLM that is what opens the next turn."""
        plain = [_user(), {"role": "assistant", "content": TURN}]
        try:
            closing = self._render(plain, generate=False).partition(TURN)[2]
        except RENDER_ERRORS as error:
            raise TemplateError(f"the chat template cannot render plain text: {error}; pass template=...") from error
        last = self._first_special(closing)
        self._closes = last is not None
        found = [last]
        for longer in ([*plain, _user(REPLY)], [*plain, _tool(0)]):
            if self._writes(longer, TURN, REPLY):
                found.append(self._first_special(self._render(longer).partition(TURN)[2]))
        texts = [text for text in found if text is not None]
        if not texts:
            raise TemplateError(
                f"the chat template ends an assistant's turn with {closing!r}, which is no special token, so that no "
                "sample could end; write {{ eos_token }} behind the assistant's content in the template"
            )
        if self._tokenizer.eos_token is not None:
            texts.append(str(self._tokenizer.eos_token))
        self._add_stops(*texts)
        self.end_id = self._stops[texts[0]]

    def _add_stops(self, *texts: str) -> None:
        self._stops |= {text: int(self._tokenizer.convert_tokens_to_ids(text)) for text in texts}
        self._stop = re.compile("|".join(map(re.escape, self._stops)))
        self.stop_ids = frozenset(self._stops.values())

    def _first_special(self, text: str) -> str | None:
        """Return the special token that comes first, up to the reply; of a row of them the eos token, if there."""
        names = sorted(map(re.escape, self._special), key=len, reverse=True)
        row = re.search(f"(?:{'|'.join(names)})+", text.partition(REPLY)[0]) if names else None
        if row is None:
            return None
        eos = self._tokenizer.eos_token
        return str(eos) if eos and eos in row[0] else re.findall("|".join(names), row[0])[0]

    def _choose_layout(self, roles: tuple[str, ...]) -> tuple[_Layout, str, list[str]]:
        """Return the first layout that the template renders, its scaffold, and notes for `departures`."""
        problem: object = None
        for layout in _layouts(roles):
            if layout.merge and "tool" in roles and isinstance(problem, TemplateError):
                break  # it has a place for tools and rewrites them: a way around would hide that
            try:
                return layout, *self._check(layout, roles)
            except TemplateError as error:
                problem = error
            except RENDER_ERRORS as error:
                problem = problem or error
        if isinstance(problem, TemplateError):
            raise problem
        raise TemplateError(
            f"the chat template cannot render replies of the roles {', '.join(roles)} after an assistant's turn: "
            f"{problem}; pass a template that can (template=...)"
        )

    def _check(self, layout: _Layout, roles: tuple[str, ...]) -> tuple[str, list[str]]:
        """Render short and long conversations and compare.

        Raises:
            TemplateError: They differ where this class relies on them being equal.
            ValueError: The template leaves out or doubles something, so that this layout is not for it.
        """
        replies = [_tool(i) if role == "tool" else _user(f"{REPLY}{i}") for i, role in enumerate(roles)]
        turn = layout.turn(replies)
        text = self._render([_user(), *turn])
        head, _, tail = text.partition(TURN)
        places = [text.find(mark) for mark in (USER, TURN, *(f"{REPLY}{i}" for i in range(len(roles))))]
        if -1 in places or places != sorted(places) or any(text.count(mark) > 1 for mark in (USER, TURN)):
            raise ValueError("it leaves out or reorders a message")
        match = self._stop.search(text, len(head))
        if match is None or match.start() > places[2]:
            # gpt-oss and Gemma 4 end a turn of tool calls with a token of its own.
            closing = self._render([_user(), turn[0]], generate=False).partition(TURN)[2].rstrip()
            special = next((token for token in self._special if closing.endswith(token)), None)
            if special is None or not tail.startswith(closing):
                raise ValueError("no special token stands between the assistant's turn and the reply")
            self._add_stops(special)
        if self._encode(self._tail(text))[0] not in self.stop_ids:
            piece = self._tail(text)[:20]
            raise TemplateError(f"the tokenizer splits control tokens, {piece!r}; load it without split_special_tokens")

        pieces = self._render([_user(), *turn * NUM_ROUNDS]).split(TURN)
        if len(pieces) != NUM_ROUNDS + 1:
            raise TemplateError(f"the chat template is not append-only: it drops earlier assistant turns; {ADVICE}")
        start = self._render([_user()]), self._render([_user()], generate=False)
        after = tail, self._render([_user(), *turn], generate=False).partition(TURN)[2]
        for piece, (with_prompt, without) in zip(pieces[:-1], [start, *[after] * (NUM_ROUNDS - 1)], strict=True):
            if not _continues(piece, with_prompt, without):
                raise TemplateError(_rewritten("a turn", without, piece))
        if pieces[-1] != tail:
            raise TemplateError(_rewritten("a late reply", tail, pieces[-1]))
        return tail, self._check_opening(turn, roles, tail)

    def _check_opening(self, turn: Sequence[Message], roles: tuple[str, ...], tail: str) -> list[str]:
        opening = [_system(SYSTEM), _user()] if self._has_system else [_user()]
        tools = [{"type": "function", "function": {"name": TOOL, "description": TOOL, "parameters": {}}}]
        try:
            start = self._render(opening, tools=tools), self._render(opening, tools=tools, generate=False)
            head, _, with_opening = self._render([*opening, *turn], tools=tools).partition(TURN)
        except RENDER_ERRORS:
            return []  # needs richer schemas than this one; nothing to compare
        if with_opening != tail and "user" not in roles:
            raise TemplateError(_rewritten("a reply under a system prompt and tools", tail, with_opening))
        if with_opening == tail and _continues(head, *start):
            return []
        return [f"a {roles[0]} reply would move or drop the system prompt or the tools; they stay where first read"]


@dataclass(frozen=True, kw_only=True)
class _Layout:
    """How a turn and its replies are handed to the template."""

    calls: Literal["each", "one", "none"] = "none"  # tool calls of the dummy turn: one a reply, one, or text instead
    text_arguments: bool = False  # arguments as JSON text, as OpenAI's API has them
    merge: bool = False  # all replies in one user message: no tool role, or roles must alternate

    def turn(self, replies: Sequence[Message]) -> list[dict[str, Any]]:
        """Return a dummy assistant turn that holds TURN, and the replies."""
        if self.merge:
            return [{"role": "assistant", "content": TURN}, _user("\n\n".join(map(_as_text, replies)))]
        messages: list[dict[str, Any]] = []
        calls: list[dict[str, Any]] = []
        for reply in replies:
            if reply["role"] == "tool":
                # Mistral wants nine letters or digits.
                call_id, name = reply.get("tool_call_id") or f"call{len(calls):05d}", reply.get("name") or "tool"
                calls.append({"id": call_id, "type": "function", "function": {"name": name, "arguments": {}}})
                message = {"role": "tool", "tool_call_id": call_id, "name": name, "content": reply["content"]}
                messages.append(message)
            else:
                messages.append({"role": reply["role"], "content": reply["content"]})
        if self.calls == "none":
            return [{"role": "assistant", "content": TURN}, *messages]
        calls = calls[:1] if self.calls == "one" else calls
        calls[-1]["function"]["arguments"] = {"text": TURN}
        if self.text_arguments:
            for call in calls:
                call["function"]["arguments"] = json.dumps(call["function"]["arguments"])
        return [{"role": "assistant", "content": "", "tool_calls": calls}, *messages]


def _layouts(roles: tuple[str, ...]) -> Iterator[_Layout]:
    if "tool" in roles:
        # Calls first: some templates take a tool's name from its call, or want a call; Llama 3.1 takes one.
        yield from (_Layout(calls="each", text_arguments=text) for text in (False, True))
        if roles.count("tool") > 1:
            yield from (_Layout(calls="one", text_arguments=text) for text in (False, True))
    yield _Layout()
    yield _Layout(merge=True)


def _find_template(tokenizer: PreTrainedTokenizerBase, template: str | None) -> str:
    try:  # of several, the one for tools
        return str(tokenizer.get_chat_template(template, tools=[{}]))
    except ValueError as error:
        raise TemplateError(f"{error}; choose an instruction-tuned model, or pass template=...") from error


def _system(content: str) -> dict[str, str]:
    return {"role": "system", "content": content}


def _user(content: str = USER) -> dict[str, str]:
    return {"role": "user", "content": content}


def _tool(index: int) -> dict[str, str]:
    return {"role": "tool", "name": TOOL, "tool_call_id": f"call{index:05d}", "content": f"{REPLY}{index}"}


def _as_text(reply: Message) -> str:
    content = str(reply["content"])
    return f"<tool_response>\n{content}\n</tool_response>" if reply["role"] == "tool" else content


def _describe(tools: Sequence[Message]) -> str:
    """Write tools as Qwen's and Hermes' templates do."""
    schemas = "\n".join(json.dumps(tool, ensure_ascii=False) for tool in tools)
    return (
        "# Tools\n\nYou may call one or more functions. Their signatures are within <tools></tools> tags:\n"
        f"<tools>\n{schemas}\n</tools>\n\nFor each call, write a JSON object with its name and arguments within "
        '<tool_call></tool_call> tags:\n<tool_call>\n{"name": <name>, "arguments": <object>}\n</tool_call>'
    )


def _lead_with(messages: list[dict[str, Any]], text: str) -> list[dict[str, Any]]:
    if messages and messages[0]["role"] == "system":
        return [messages[0] | {"content": f"{messages[0]['content']}\n\n{text}"}, *messages[1:]]
    return [_system(text), *messages]


def _continues(piece: str, with_prompt: str, without: str) -> bool:
    """Whether `piece`, the history up to a turn's text, keeps what stood there before that turn.

    A prompt may hold more than a past turn's header does, like Qwen3's empty `<think>`, and text without a prompt may
    end in a token that a history does not have there, like Phi-3's; so either is enough.
    """
    return piece.startswith(tuple(filter(None, (with_prompt, without))))


def _rewritten(what: str, before: str, after: str) -> str:
    same = next((i for i, pair in enumerate(zip(before, after, strict=False)) if pair[0] != pair[1]), len(before))
    start = max(0, same - 20)
    return (
        f"the chat template is not append-only: {what} that it first rendered as {before[start : same + 40]!r} becomes "
        f"{after[start : same + 40]!r} in a longer conversation; {ADVICE}"
    )
