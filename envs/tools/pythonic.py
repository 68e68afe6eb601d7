"""Read calls written as a Python list: `[search(query="x", k=3), open(doc_id="d")]`, as Llama 4 and Gemma do.

The text is tokenized first, by a grammar that knows calls and literals alone: no operator, no chained call, no nesting
past `MAX_DEPTH`. What passes is so small and shallow that `ast.parse` can neither overflow nor warn; nothing is ever
evaluated. Strings are rewritten on the way (raw line breaks, lone surrogates, unknown escapes), so that each means what
it says.
"""

import ast
import re
from collections.abc import Collection, Generator, Iterator

from agentrl.envs.tools.calls import (
    MAX_CANDIDATES,
    REST,
    Found,
    Malformed,
    ToolCall,
    build,
    excerpt,
    skip_space,
    tags,
)
from agentrl.envs.tools.syntax import parse_expression

__all__ = ["LIST", "pythonic"]

MAX_CHARS = 100_000  # ast.parse takes about 1 microsecond and 300 bytes a character
MAX_DEPTH = 40


def pythonic(text: str, names: Collection[str]) -> Iterator[Found]:
    """Find lists of calls at the beginning of the text, behind `<|python_tag|>`, or alone on their lines."""
    if "[" not in text:
        return
    for start in tags(text):
        match = LIST.match(text, start)
        if match is not None:
            yield from _list(text, match, names, tagged=True, leading=True)
    first = skip_space(text, 0)
    match, end = LIST.match(text, first), 0
    for _ in range(MAX_CANDIDATES):
        if match is None:
            match = _LIST_LINE.search(text, end)
            if match is None:
                return
        end = yield from _list(text, match, names, tagged=False, leading=match.start("list") == first)
        match = None


def _list(
    text: str, match: re.Match[str], names: Collection[str], *, tagged: bool, leading: bool
) -> Generator[Found, None, int]:
    """Read the list that begins at `match`; return the position behind it."""
    start = match.start("list")
    known = match["name"] in names
    items: tuple[ToolCall | Malformed, ...] = ()
    try:
        source, end = _tokenize(text, start)
        if leading or (known and REST.match(text, end) is not None):
            items = _calls(source, text[start:end], names)
    except _BadCallError as error:
        end = max(error.position, match.end())
        if tagged or known:
            expected = f"[{next(iter(names), 'tool')}(key=value)]"
            reason = f"The list of calls cannot be read: {error}. Expected {expected}."
            items = (Malformed(reason=reason, raw=text[start:end]),)
    if items:
        yield Found(start, end, items)
    return end


class _BadCallError(Exception):
    def __init__(self, reason: str, position: int) -> None:
        super().__init__(reason)
        self.position = position


# No pattern here backtracks: *+, ++ and {m,n}+ are possessive.
_LIST = r"(?P<list>\[\s{0,32}+(?P<name>[A-Za-z_][\w.]{0,127}+)\()"
LIST = re.compile(_LIST)
_LIST_LINE = re.compile(rf"\n[ \t]*+{_LIST}")
_TOKEN = re.compile(
    r"(?P<space>\s++)"
    r"|(?P<string>(?P<raw>[rR]?+)(?P<quote>\"{3}|'{3}|\"|')(?P<inside>(?:\\.|(?!(?P=quote))[^\\])*+)(?P=quote))"
    r"|(?P<number>[+-]?+(?:0[xX][0-9a-fA-F]++|(?:[0-9][0-9_]*+(?:\.[0-9]*+)?+|\.[0-9]++)(?:[eE][+-]?+[0-9]++)?+)(?![\w.]))"
    r"|(?P<name>[^\W\d][\w.]{0,127}+)"
    r"|(?P<mark>[\[\](){}=:,])",
    re.DOTALL,
)
# A value may only follow one of these: this alone excludes operators, subscripts and chains such as f()()().
_OPENERS = frozenset("[({=:,")
_PAIRS = {")": "(", "]": "[", "}": "{"}


def _tokenize(text: str, start: int) -> tuple[str, int]:
    """Return the source of the list at `start`, made safe for `ast.parse`, and the position behind it."""
    parts: list[str] = []
    open_marks: list[str] = []
    position, before = start, "="
    while True:
        if position >= len(text):
            raise _BadCallError("the closing ] is missing", position)
        match = _TOKEN.match(text, position)
        if match is None:
            what = "the string is not closed" if text[position] in "\"'" else "there is no name, value or bracket"
            raise _BadCallError(f"{what} at {excerpt(text[position : position + 30], 20)}", position)
        begin, position = position, match.end()
        if position - start > MAX_CHARS:
            raise _BadCallError(f"it is longer than {MAX_CHARS} characters", position)
        token = match.group()
        if match["space"] is not None:
            token = " "
        elif match["mark"] is not None:
            if token in "([{":
                if before not in _OPENERS and not (token == "(" and before == "name"):
                    raise _BadCallError(f"a bracket cannot stand at {excerpt(text[begin : begin + 30], 20)}", begin)
                open_marks.append(token)
                if len(open_marks) > MAX_DEPTH:
                    raise _BadCallError(f"it is nested deeper than {MAX_DEPTH} brackets", position)
            elif token in ")]}" and (not open_marks or open_marks.pop() != _PAIRS[token]):
                raise _BadCallError(f"a {token} closes nothing", begin)
            before = token
        else:
            kind = "string" if match["string"] is not None else "name" if match["name"] is not None else "number"
            if before not in _OPENERS and not (kind == before == "string"):
                here = excerpt(text[begin : begin + 30], 20)
                raise _BadCallError(f"a comma or bracket was expected before {here}", begin)
            if kind == "string" and not match["raw"]:
                token = f"{match['quote']}{_SPECIAL.sub(_escape, match['inside'])}{match['quote']}"
            before = kind
        parts.append(token)
        if not open_marks:
            return "".join(parts), position


_SPECIAL = re.compile("\\\\(.)|[\n\r\0\ud800-\udfff]", re.DOTALL)


def _escape(match: re.Match[str]) -> str:
    """Rewrite one escape or character of a string literal that Python would refuse or warn about."""
    character = match[1] or match[0]
    plain = character not in "\n\r\0" and not "\ud800" <= character <= "\udfff"
    if match[1] is None:
        return f"\\u{ord(character):04x}"
    if character in "\\'\"abfnrtvxuUN01234567\n":
        return match[0]
    return f"\\\\{character}" if plain else f"\\\\\\u{ord(character):04x}"


def _calls(source: str, raw: str, names: Collection[str]) -> tuple[ToolCall | Malformed, ...]:
    try:
        tree = parse_expression(source).body
    except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
        raise _BadCallError(str(error.args[0]) if error.args else "it is no Python", len(raw)) from None
    assert isinstance(tree, ast.List)
    return tuple(_call(node, raw, names) for node in tree.elts)


def _call(node: ast.expr, raw: str, names: Collection[str]) -> ToolCall | Malformed:
    expected = f"[{next(iter(names), 'tool')}(key=value)]"
    if not isinstance(node, ast.Call):
        return Malformed(reason=f"The list must hold calls only. Expected {expected}.", raw=raw)
    name = _dotted(node.func)
    if node.args:
        reason = f"The arguments of {excerpt(name)} must be given by name. Expected {expected}."
        return Malformed(reason=reason, raw=raw)
    try:
        arguments: object = {str(keyword.arg): _literal(keyword.value) for keyword in node.keywords}
    except ValueError as error:
        return Malformed(reason=f"An argument of {excerpt(name)} is no literal: {error}. Expected {expected}.", raw=raw)
    return build(name, arguments, raw=raw, names=names, expected=expected)


def _dotted(node: ast.expr) -> str:
    parts = []
    while isinstance(node, ast.Attribute):
        parts.append(node.attr)
        node = node.value
    parts.append(node.id if isinstance(node, ast.Name) else "?")
    return ".".join(reversed(parts))


_WORDS: dict[str, bool | None] = {"true": True, "false": False, "null": None}


def _literal(node: ast.expr) -> object:
    """Return the value of a literal, with tuples as lists, as JSON has them; `true`, `false` and `null` are read too.

    Raises:
        ValueError: The node is something else.
    """
    if isinstance(node, ast.Constant) and isinstance(node.value, str | int | float | None):
        return node.value
    if isinstance(node, ast.Name) and node.id in _WORDS:
        return _WORDS[node.id]
    if isinstance(node, ast.List | ast.Tuple):
        return [_literal(element) for element in node.elts]
    if isinstance(node, ast.UnaryOp):  # the tokenizer lets a sign stand before digits alone
        assert isinstance(node.operand, ast.Constant)
        assert isinstance(node.operand.value, int | float)
        return -node.operand.value if isinstance(node.op, ast.USub) else node.operand.value
    if isinstance(node, ast.Dict):
        keys = [_literal(key) if key is not None else None for key in node.keys]
        if not all(isinstance(key, str) for key in keys):
            raise ValueError("the keys of a dictionary must be strings")
        return {str(key): _literal(value) for key, value in zip(keys, node.values, strict=True)}
    if isinstance(node, ast.Name | ast.Attribute):
        raise ValueError(f"{excerpt(_dotted(node))} is a name; a string needs quotes")
    raise ValueError(f"{type(node).__name__} cannot stand there")
