"""What the model reads: the page as lines, with where it is, and what to say when something cannot be done."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any
from urllib.parse import quote, unquote

from agentrl.envs.browse.tab import Look

__all__ = ["address", "first_line", "notes_of", "refusal", "shown"]

_MAX_URL = 120
_REFUSALS: Mapping[str, str] = {
    "gone": "There is no such reference on this page. Use a number in brackets of the last reply.",
    "stale": "That reference is of an earlier page. Use a number in brackets of the last reply.",
    "hidden": "That is hidden now. Use a number in brackets of the last reply.",
    "disabled": "That is disabled.",
    "no area": "That cannot be clicked: it has no area.",
}


def shown(look: Look, *, tabs: int, number: int, hosts: Mapping[str, str], first: int, num_lines: int) -> str:
    """Write a page as text.

    Args:
        look: What the walker found.
        tabs: How many there are.
        number: Of this one, from 1.
        hosts: Host name -> name of the site.
        first: The line with which to begin, from 0.
        num_lines: How many to show.
    """
    where = address(look.url, hosts)
    said = [f"Page: {look.title} ({where})" if look.title else f"Page: {where}"]
    if tabs > 1:
        said[0] += f", tab {number} of {tabs}"
    lines = look.lines[first : first + num_lines]
    said += lines or ["(the page is empty)"]
    last = first + len(lines)
    if first or last < len(look.lines) or look.full:
        more = ", and more than is read" if look.full else ""
        said.append(f"(lines {first + 1} to {last} of {len(look.lines)}{more}; scroll shows others)")
    return _hushed("\n".join(said), hosts)


def address(url: str, hosts: Mapping[str, str]) -> str:
    """Return an address as it is shown: the site's name and the path.

    >>> address("http://abc.localhost/lamps?page=2", {"abc.localhost": "shop"})
    'shop/lamps?page=2'
    >>> address("http://abc.localhost/a%0A%00b%20c", {"abc.localhost": "shop"})
    'shop/a%0A%00b c'
    """
    host, _, path = url.removeprefix("http://").partition("/")
    name = hosts.get(host)
    if name is None:
        return "no page" if url.startswith(("about:", "chrome-error:")) else url.partition(":")[0][:20] + ":…"
    read = "".join(each if each.isprintable() else quote(each) for each in unquote(path))  # a line stays one
    return f"{name}/{read}"[:_MAX_URL]


def notes_of(notes: Sequence[str]) -> str:
    """Write what happened on the way, a line each."""
    return "".join(f"Note: {each}\n" for each in notes)


def refusal(told: Mapping[str, Any]) -> str:
    """Say why something could not be done, as the walker told it."""
    error, role = str(told["error"]), told.get("role") or "text"
    if error == "covered":
        return f"That is covered by something else: {told.get('by')!r}. Close it first."
    if error == "no field":
        return f"That is a {role}, into which nothing can be typed."
    if error == "no list":
        return f"That is a {role}, not a list; click it."
    if error == "not taken":
        return f"The {role} does not take that value."
    if error == "no option":
        options = ", ".join(map(repr, told.get("options", ())))
        return f"There is no such option that can be chosen. There are {options}."
    return _REFUSALS.get(error, "That could not be done.")


def first_line(error: Exception) -> str:
    """Return what an error says of itself, without the browser's log behind it, which tells of other episodes.

    >>> first_line(RuntimeError("closed\\nBrowser logs:\\nhttp://abc.localhost/secret"))
    'closed'
    """
    return str(error).strip().partition("\n")[0][:300]


def _hushed(text: str, hosts: Mapping[str, str]) -> str:
    """Take host names out, which differ from run to run and are nobody's business."""
    for host, name in hosts.items():
        text = text.replace(host, name).replace(host.removesuffix(".localhost"), name)
    return text
