"""Whether the answer is JSON that a schema allows, by the library jsonschema.

A schema is checked when the component is made: its keywords, its references (which must lie in it: nothing is fetched)
and its patterns, of which those that can take exponential time are refused. Answers that could take long fail: those
past `MAX_CHARS`, which are fewer where there are patterns or items must be unique (quadratic time), and those nested
past `MAX_DEPTH` where a schema has both references and choices (every level may try each choice).
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from importlib import import_module
from typing import Any

from agentrl.envs.errors import UsageError
from agentrl.envs.rubrics.components.arguments import Scorer, check_flag, reader
from agentrl.envs.rubrics.components.json_match import UnreadableError, is_deep, read_json
from agentrl.envs.rubrics.transcript import Transcript

__all__ = ["json_schema"]

MAX_CHARS = {"plain": 200_000, "quadratic": 10_000}
MAX_DEPTH = 10
_REFERENCES = ("$ref", "$dynamicRef", "$recursiveRef")


def json_schema(*, schema: Mapping[str, Any], partial: bool = False, of: str = "answer") -> Scorer:
    """Score 1 where the answer is JSON that the schema allows.

    Args:
        schema: A JSON schema, by default of the draft 2020-12; `$schema` names another. `format` is not looked at.
        partial: Give an object that is not valid the share of its required properties that are there and valid; never
            1, and 0 where there are none. A model is then paid for what it can copy from the schema.
        of: "answer" (the tag) or "last_turn" (without a tag, all that the last turn speaks).

    Raises:
        UsageError: An argument that cannot work, or the library is missing.

    >>> score = json_schema(schema={"type": "object", "required": ["a"], "properties": {"a": {"type": "integer"}}})
    >>> score(Transcript(messages=({"role": "assistant", "content": '<answer>{"a": 1}</answer>'},)))
    1.0
    >>> score(Transcript(messages=({"role": "assistant", "content": '<answer>{"a": "1"}</answer>'},)))
    0.0
    """
    read = reader(of)
    check_flag("partial", partial)
    if not isinstance(schema, Mapping):
        raise UsageError(f"schema is {schema!r:.80}, but must be a table: [component.with.schema]")
    validator = _validator(dict(schema))
    quadratic = any(_patterns(schema)) or any(_held(schema, ("uniqueItems",), bool))
    longest = MAX_CHARS["quadratic" if quadratic else "plain"]
    branches = any(_held(schema, _REFERENCES)) and any(_held(schema, ("anyOf", "oneOf", "allOf"), list))
    required = [str(name) for name in schema.get("required", ())]

    def score(transcript: Transcript) -> float:
        said = read(transcript)
        if said is None or len(said) > longest:
            return 0.0
        try:
            value = read_json(said)
            if branches and is_deep(value, MAX_DEPTH):
                return 0.0
            if validator.is_valid(value):
                return 1.0
            return _share(validator, value, required) if partial else 0.0
        except (UnreadableError, RecursionError, ArithmeticError):  # numbers too large for `multipleOf` among them
            return 0.0

    return score


def _validator(schema: dict[str, Any]) -> Any:
    try:
        library: Any = import_module("jsonschema")
        referencing: Any = import_module("referencing")
        specifications: Any = import_module("jsonschema_specifications")
    except ImportError as error:
        raise UsageError(
            "json_schema needs the library jsonschema; type: pip install 'agentrl-gym[rubrics]'"
        ) from error
    kind = library.validators.validator_for(schema, default=library.Draft202012Validator)
    try:
        kind.check_schema(schema)
    except library.SchemaError as error:
        raise UsageError(f"schema is no JSON schema: {error.message:.200} (at {error.json_path})") from error
    for reference in _held(schema, _REFERENCES):
        if not reference.startswith("#"):
            raise UsageError(
                f"schema refers to {reference!r}, which lies outside of it; copy it below $defs and write #/$defs/NAME"
            )
    for pattern in _patterns(schema):
        if _is_exponential(pattern):
            raise UsageError(
                f"schema has the pattern {pattern!r:.80}, which repeats what repeats and can take exponential time; "
                "write it without a repetition in a repetition, such as [a-z.]+ for [a-z]+([.][a-z]+)*"
            )
    validator = kind(schema, registry=specifications.REGISTRY)
    resolver = specifications.REGISTRY.resolver_with_root(
        referencing.Resource.from_contents(schema, default_specification=referencing.jsonschema.DRAFT202012)
    )
    for reference in _held(schema, ("$ref",)):
        try:
            resolver.lookup(reference)
        except referencing.exceptions.Unresolvable as error:
            raise UsageError(f"schema refers to {reference!r}, which is not in it") from error
    return validator


def _share(validator: Any, value: Any, required: list[str]) -> float:
    if not required or not isinstance(value, dict):
        return 0.0
    wrong = {error.absolute_path[0] for error in validator.iter_errors(value) if error.absolute_path}
    return sum(name in value and name not in wrong for name in required) / (len(required) + 1)


def _held(value: Any, keys: tuple[str, ...], kind: type = str) -> Iterator[Any]:
    """Yield every value of a kind that stands under one of the keys, at any depth."""
    waiting = [value]
    while waiting:
        each = waiting.pop()
        if isinstance(each, Mapping):
            yield from (inner for key, inner in each.items() if key in keys and isinstance(inner, kind))
            waiting.extend(each.values())
        elif isinstance(each, list):
            waiting.extend(each)


def _patterns(schema: Any) -> Iterator[str]:
    """Yield every pattern of a schema; a property that happens to be named so is one too many, and does no harm."""
    yield from _held(schema, ("pattern",))
    waiting = [schema]
    while waiting:
        each = waiting.pop()
        if isinstance(each, Mapping):
            named = each.get("patternProperties")
            yield from map(str, named) if isinstance(named, Mapping) else ()
            waiting.extend(each.values())
        elif isinstance(each, list):
            waiting.extend(each)


def _is_exponential(pattern: str) -> bool:
    """Say whether in a repetition stands another, as in `(a+)+`, or a choice that may be open, as in `(a|ab)*`."""
    parser: Any = import_module("re._parser")
    try:
        tree = parser.parse(pattern)
    except re.error as error:
        raise UsageError(f"schema has the pattern {pattern!r:.80}, which is no regular expression: {error}") from error
    return _repeats(tree, within=False)


def _repeats(tree: Any, *, within: bool) -> bool:
    for operation, argument in tree:
        name = str(operation)
        inner = within
        if name in ("MAX_REPEAT", "MIN_REPEAT"):
            least, most = int(argument[0]), int(argument[1])
            if within and least != most:
                return True
            inner = within or most > 20
        elif within and name == "BRANCH" and not _is_plain(argument[1]):
            return True
        if any(_repeats(each, within=inner) for each in _parts(argument)):
            return True
    return False


def _is_plain(choices: Any) -> bool:
    """Say whether the first letter decides which choice it is."""
    first = [str(choice[0]) for choice in choices if len(choice)]
    return len(set(first)) == len(choices) and all("LITERAL," in each and "NOT" not in each for each in first)


def _parts(argument: Any) -> Iterator[Any]:
    if hasattr(argument, "getwidth"):
        yield argument
    elif isinstance(argument, list | tuple):
        for each in argument:
            yield from _parts(each)
