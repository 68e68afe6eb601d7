"""Find tool calls in a model's text, in the formats that real models emit.

Each format is one function in `PARSERS`; to add one, write the function and one line there. Every format looks at the
whole text; where two claim the same characters, the one that starts first wins, so a tag inside an argument stays an
argument. Formats without a tag (Llama 3 JSON, pythonic) count only at the beginning of the text or alone on their
lines, so braces in prose are no call. No text makes a parser raise; time is linear: calls past `MAX_CALLS` are refused.
"""

import re
from collections.abc import Callable, Collection, Generator, Iterator, Sequence
from itertools import islice

from agentrl.envs.tools.calls import (
    MAX_CANDIDATES,
    REST,
    TAG,
    BadJSON,
    Found,
    Malformed,
    ToolCall,
    build,
    decode,
    excerpt,
    from_object,
    skip_space,
    tags,
)
from agentrl.envs.tools.pythonic import LIST, pythonic

__all__ = ["FORMATS", "MAX_CALLS", "PARSERS", "Malformed", "ToolCall", "parse"]

MAX_CALLS = 64


def parse(text: str, names: Collection[str], formats: Sequence[str] | None = None) -> list[ToolCall | Malformed]:
    """Return the calls in `text` in their order; prose without a call gives an empty list.

    Args:
        text: The assistant's turn.
        names: The names of the tools that can be called.
        formats: Which of `FORMATS` to look for; all by default.

    Raises:
        ValueError: A format is unknown. No text makes it raise.

    >>> parse('<tool_call>{"name": "add", "arguments": {"a": 1}}</tool_call>', ["add"])[0].arguments
    {'a': 1}
    >>> parse("[ad(a=1)]", ["add"])[0].reason
    "There is no tool 'ad'. Did you mean add? The tools are: add."
    """
    formats = FORMATS if formats is None else formats
    found: list[Found] = []
    for name in formats:
        if name not in PARSERS:
            raise ValueError(f"unknown tool-call format {name!r}; the formats are: {', '.join(FORMATS)}")
        if _BEGINS.get(name, "") in text:  # most texts have one format or none
            found.extend(islice(PARSERS[name](text, names), MAX_CALLS + 1))
    if not found:
        return _unread(text, formats)
    found.sort(key=_start)
    items: list[ToolCall | Malformed] = []
    end = -1
    for each in found:
        if each.start >= end:
            items.extend(each.items)
            end = each.end
    if len(items) > MAX_CALLS:
        reason = (
            f"There are more than {MAX_CALLS} tool calls in one turn; those after the first {MAX_CALLS} were dropped."
        )
        return [*items[:MAX_CALLS], Malformed(reason=reason, raw="")]
    return items


def hermes(text: str, names: Collection[str]) -> Iterator[Found]:
    """Read `<tool_call>{"name": …, "arguments": {…}}</tool_call>` (Hermes, Qwen 2.5, Qwen 3)."""
    start = text.find(_OPEN)
    while start >= 0:
        body = skip_space(text, start + len(_OPEN))
        if text.startswith("<function=", body):  # the Qwen XML format, which has a parser of its own
            start = text.find(_OPEN, body)
            continue
        values: list[object] = []
        reason, end = "", body
        try:
            while True:
                value, end = decode(text, end)
                values.extend(value if isinstance(value, list) else [value])
                end = skip_space(text, end)
                if not text.startswith("{", end):
                    break
        except BadJSON as error:
            end = error.position
            reason = f"The text inside <tool_call> is not JSON: {error.reason}."
        else:
            if text.startswith(_CLOSE, end):
                end += len(_CLOSE)
            elif end == len(text) or text.startswith(_OPEN, end):
                reason = "The <tool_call> is not closed: </tool_call> is missing."
            else:
                reason = f"After the JSON object </tool_call> was expected, but {excerpt(text[end:], 20)} stands there."
        expected = _expect("hermes", names)
        if reason:
            end = _block_end(text, end)
            yield Found(start, end, (Malformed(reason=f"{reason} Expected {expected}.", raw=text[start:end]),))
        else:
            raw = text[start:end]
            calls = [from_object(each, raw=raw, names=names, expected=expected) for each in values]
            yield Found(start, end, tuple(calls))
        start = text.find(_OPEN, end)


def llama3(text: str, names: Collection[str]) -> Iterator[Found]:
    """Read `{"name": …, "parameters": {…}}`, with or without `<|python_tag|>`, several separated by `;` or lines."""
    if "{" not in text and TAG not in text:
        return
    for start in tags(text):
        if LIST.match(text, start) is None:  # else the pythonic format
            yield from _objects(text, names, start, tagged=True, leading=True)
    first = skip_space(text, 0)
    match, end = _OBJECT.match(text, first), 0
    for _ in range(MAX_CANDIDATES):
        if match is None:
            match = _OBJECT_LINE.search(text, end)
            if match is None:
                return
        body = match.end() - len(match["object"])
        end = yield from _objects(text, names, body, tagged=False, leading=body == first)
        match = None


def _objects(
    text: str, names: Collection[str], start: int, *, tagged: bool, leading: bool
) -> Generator[Found, None, int]:
    """Read JSON calls that stand one behind the other; return the position behind them."""
    expected = _expect("llama3", names)
    while True:
        try:
            value, end = decode(text, start)
        except BadJSON as error:
            end = max(error.position, start + 1)
            if leading or _ARGUMENTS.search(text, start, start + 2000):
                reason = f"The tool call is not JSON: {error.reason}. Expected {expected}."
                yield Found(start, end, (Malformed(reason=reason, raw=text[start : end + 80]),))
            return end
        objects = value if isinstance(value, list) else [value]
        alone = leading or REST.match(text, end) is not None
        if tagged or (alone and objects and all(_is_call(each, names) for each in objects)):
            raw = text[start:end]
            items = [from_object(each, raw=raw, names=names, expected=expected) for each in objects]
            yield Found(start, end, tuple(items))
        separator = _SEPARATOR.match(text, end)
        if separator is None:
            return end
        start = separator.end()


def mistral(text: str, names: Collection[str]) -> Iterator[Found]:
    """Read `[TOOL_CALLS][{"name": …, "arguments": {…}}]` and `[TOOL_CALLS]name[ARGS]{…}`."""
    expected = _expect("mistral", names)
    start = text.find(_TOOL_CALLS)
    while start >= 0:
        end = skip_space(text, start + len(_TOOL_CALLS))
        items: list[ToolCall | Malformed] = []
        head = _MISTRAL_HEAD.match(text, end)
        try:
            if head is not None:
                arguments, end = decode(text, head.end())
                items = [build(head[1], arguments, raw=text[start:end], names=names, expected=expected)]
            else:
                value, end = decode(text, end)
                objects = value if isinstance(value, list) else [value]
                raw = text[start:end]
                items = [from_object(each, raw=raw, names=names, expected=expected) for each in objects]
                if not items:
                    items = [Malformed(reason=f"The list of tool calls is empty. Expected {expected}.", raw=raw)]
        except BadJSON as error:
            end = max(error.position, end)
            reason = f"The text after {_TOOL_CALLS} is not a call: {error.reason}. Expected {expected}."
            items = [Malformed(reason=reason, raw=text[start : end + 80])]
        yield Found(start, end, tuple(items))
        start = text.find(_TOOL_CALLS, end)


def qwen_xml(text: str, names: Collection[str]) -> Iterator[Found]:
    """Read `<tool_call><function=name><parameter=key>value</parameter></function></tool_call>` (Qwen 3 Coder)."""
    expected = _expect("qwen-xml", names)
    match = _FUNCTION.search(text)
    wrapped = False
    while match is not None:
        start, end = match.start(), match.end()
        opening = text.rfind(_OPEN, max(0, start - 64), start)
        if opening >= 0 and not text[opening + len(_OPEN) : start].strip():
            start, wrapped = opening, True
        arguments: dict[str, object] = {}
        reason = ""
        parameter = _PARAMETER.match(text, skip_space(text, end))
        while parameter is not None:
            close = text.find("</parameter>", parameter.end())
            if close < 0:
                reason = f"The <parameter={parameter[1]}> is not closed: </parameter> is missing."
                break
            arguments[parameter[1]] = text[parameter.end() : close].removeprefix("\n").removesuffix("\n")
            end = close + len("</parameter>")
            parameter = _PARAMETER.match(text, skip_space(text, end))
        end = skip_space(text, end)
        closing = _FUNCTION_END.match(text, end)
        if not reason and closing is None:
            rest = f"{excerpt(text[end:], 20)} stands there" if end < len(text) else "the text ended"
            reason = f"Inside <function={match[1]}> a <parameter=…> or </function> was expected, but {rest}."
        elif closing is not None:
            end = closing.end()
            if wrapped and not closing[1] and not text.startswith("<function=", end):
                reason = "The <tool_call> is not closed: </tool_call> is missing."
            wrapped = wrapped and not closing[1]
        item: ToolCall | Malformed
        if reason:
            end, wrapped = _block_end(text, end), False
            item = Malformed(reason=f"{reason} Expected {expected}.", raw=text[start:end])
        else:
            item = build(match[1].strip(), arguments, raw=text[start:end], names=names, expected=expected)
        yield Found(start, end, (item,))
        match = _FUNCTION.search(text, end)


Parser = Callable[[str, Collection[str]], Iterator[Found]]
PARSERS: dict[str, Parser] = {
    "hermes": hermes,
    "llama3": llama3,
    "mistral": mistral,
    "qwen-xml": qwen_xml,
    "pythonic": pythonic,
}
FORMATS: tuple[str, ...] = tuple(PARSERS)

_OPEN, _CLOSE, _TOOL_CALLS = "<tool_call>", "</tool_call>", "[TOOL_CALLS]"
_BEGINS = {"hermes": _OPEN, "mistral": _TOOL_CALLS, "qwen-xml": "<function=", "pythonic": "["}  # llama3: any brace
_MARKERS = (_OPEN, TAG, _TOOL_CALLS)
_EXPECTED = {
    "hermes": '<tool_call>{"name": "%s", "arguments": {…}}</tool_call>',
    "llama3": '{"name": "%s", "parameters": {…}}',
    "mistral": '[TOOL_CALLS][{"name": "%s", "arguments": {…}}]',
    "qwen-xml": "<tool_call><function=%s><parameter=key>value</parameter></function></tool_call>",
    "pythonic": "[%s(key=value)]",
}
# No pattern here backtracks: *+ and {m,n}+ are possessive. Those that are searched for begin with a literal, since a
# pattern that begins with ^ takes 50 times longer on a long text.
_KEY = r'(?:\[\s{0,32}+)?+\{\s{0,32}+"(?:name|type|function|arguments|parameters)"\s{0,8}+:'
_OBJECT = re.compile(rf"(?P<object>{_KEY})")
_OBJECT_LINE = re.compile(rf"\n[ \t]*+(?P<object>{_KEY})")
_SEPARATOR = re.compile(rf"\s*+(?:[;,]|<\|python_tag\|>)?+\s*+(?={_KEY})")
_ARGUMENTS = re.compile(r'"(?:arguments|parameters)"')
_MISTRAL_HEAD = re.compile(r"([^\s\[\]{}<>\"]{1,128}+)\s*+(?:\[CALL_ID\][^\[\]]{0,64}+)?+(?:\[ARGS\])?+\s*+(?=\{)")
_FUNCTION = re.compile(r"<function=([^<>\n]{1,128}+)>")
_PARAMETER = re.compile(r"<parameter=([^<>\n]{1,128}+)>")
_FUNCTION_END = re.compile(r"</function>\s*+(</tool_call>)?+")


def _start(found: Found) -> int:
    return found.start


def _block_end(text: str, position: int) -> int:
    """Return where a broken block ends: behind the next closing tag, or before the next opening one."""
    opening = text.find(_OPEN, position)
    limit = len(text) if opening < 0 else opening
    closing = text.find(_CLOSE, position, limit)
    return limit if closing < 0 else closing + len(_CLOSE)


def _is_call(value: object, names: Collection[str]) -> bool:
    if not isinstance(value, dict):
        return False
    function = value.get("function")
    name = value.get("name", function)
    if isinstance(function, dict):
        return "name" in function
    return isinstance(name, str) and (name in names or "arguments" in value or "parameters" in value)


def _expect(name: str, names: Collection[str]) -> str:
    return _EXPECTED[name] % next(iter(names), "tool")


def _unread(text: str, formats: Sequence[str]) -> list[ToolCall | Malformed]:
    """Answer a text with the tag of a format that is not looked for, or with one that no parser could begin to read."""
    starts = [text.find(marker) for marker in _MARKERS if marker in text]
    if not starts:
        return []
    rest = text[min(starts) :]
    expected = " or ".join(_EXPECTED[name] % "tool" for name in formats)
    reason = f"A tool call seems to start at {excerpt(rest, 40)}, but it cannot be read. Expected {expected}."
    return [Malformed(reason=reason, raw=rest)]
