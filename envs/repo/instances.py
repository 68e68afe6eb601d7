"""Instances of the user's own, in the layout of SWE-bench: JSON lines whose images are on this machine.

Fields: `instance_id`, `repo`, `base_commit`, `problem_statement`, `patch`, `test_patch`, `FAIL_TO_PASS` and
`PASS_TO_PASS` (lists, or lists as JSON text), `version`, and `image_name` where the image is not called as SWE-bench
calls it. A row may have a `split` and a `level`, as all data of this package.
"""

from __future__ import annotations

import json
import re
import string
from collections.abc import Mapping
from dataclasses import dataclass

from agentrl.envs.errors import UsageError
from agentrl.envs.rows import Row, clean
from agentrl.envs.splits import Source, by_split

__all__ = ["IMAGE", "Instance", "checked_template", "load", "touched"]

IMAGE = "swebench/sweb.eval.x86_64.{id_1776}:latest"
"""How SWE-bench calls its images; `{id_1776}` is the instance's id with `_1776_` in place of `__`."""
_FIELDS = ("instance_id", "id_1776", "repo", "version")
_HEX = re.compile(r"[0-9a-f]{7,40}")
_HEADER = re.compile(r"^(?:\+\+\+ b|--- a)/([^\t\n]+)", re.MULTILINE)


@dataclass(frozen=True, kw_only=True)
class Instance:
    """One repository in an image, with what has to pass after the repair."""

    id: str
    issue: str
    image: str
    base_commit: str
    patch: str  # of the repair; "" where none is known
    test_patch: str
    fail_to_pass: tuple[str, ...]
    pass_to_pass: tuple[str, ...]


def load(source: Source, *, image: str | None = None) -> dict[tuple[str, int], tuple[Instance, ...]]:
    """Return the instances of each split and level, every row checked.

    Args:
        source: One file, or a file for each split.
        image: Template of an image's name, with {instance_id}, {id_1776}, {repo} or {version} in it; it goes before
            the row's own `image_name`.

    Raises:
        DataError: No such file, no rows in it, a bad row, or an instance in both splits.
        UsageError: The mapping names another split, or the template another field.
    """
    checked_template(image)
    return by_split(source, lambda row: _instance(row, image), lambda each: each.id)


def checked_template(image: str | None) -> None:
    """Refuse a template of an image's name that names what an instance does not have.

    Raises:
        UsageError: It does.
    """
    for _, field, _, _ in string.Formatter().parse(image or ""):
        if field is not None and field not in _FIELDS:
            raise UsageError(f"image={image!r} names {field!r}; there are {', '.join(f'{{{f}}}' for f in _FIELDS)}")


def touched(patch: str) -> tuple[str, ...]:
    r"""Return the paths that a patch is about.

    >>> touched("--- a/x.py\n+++ b/x.py\n@@ -1 +1 @@\n-a\n+b\n--- /dev/null\n+++ b/new.py\n")
    ('new.py', 'x.py')
    """
    return tuple(sorted(set(_HEADER.findall(patch))))


def _instance(row: Row, image: str | None) -> Instance:
    name = row.text("instance_id")
    values: Mapping[str, str] = {
        "instance_id": name,
        "id_1776": name.replace("__", "_1776_").lower(),
        "repo": str(row.value.get("repo", "")).replace("/", "__"),
        "version": str(row.value.get("version", "")),
    }
    own = row.value.get("image_name")
    if own is not None and (not isinstance(own, str) or not own.strip()):
        raise row.error("image_name", "the name of an image", own)
    commit = row.text("base_commit")
    if not _HEX.fullmatch(commit):
        raise row.error("base_commit", "a hash of a commit, 7 to 40 hexadecimal digits", commit)
    fail = _names(row, "FAIL_TO_PASS")
    if not fail:
        raise row.error("FAIL_TO_PASS", "at least one test", list(fail))
    return Instance(
        id=name,
        issue=row.text("problem_statement"),
        image=(image or own or IMAGE).format(**values) if image or not own else own,
        base_commit=commit,
        patch=_patch(row, "patch"),
        test_patch=_patch(row, "test_patch"),
        fail_to_pass=fail,
        pass_to_pass=_names(row, "PASS_TO_PASS"),
    )


def _patch(row: Row, field: str) -> str:
    value = row.value.get(field, "")
    if not isinstance(value, str):
        raise row.error(field, "a patch as text", value)
    return clean(value)


def _names(row: Row, field: str) -> tuple[str, ...]:
    value = row.value.get(field, [])
    if isinstance(value, str):
        try:
            value = json.loads(value)
        except (ValueError, RecursionError):
            raise row.error(field, "a list of tests, or such a list as JSON text", value) from None
    if not isinstance(value, list) or not all(isinstance(each, str) and each.strip() for each in value):
        raise row.error(field, "a list of names of tests", value)
    return tuple(dict.fromkeys(value))
