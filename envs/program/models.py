"""The list of models, as OpenAI's and as Anthropic's clients read it."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any
from urllib.parse import parse_qs

from agentrl.envs.program.calls import Refused
from agentrl.envs.program.dialects.reading import bad

__all__ = ["ROUTE", "models_of_anthropic", "models_of_openai"]

ROUTE = "/v1/models"
"""Where the models are listed; each stands below it."""

_MOST, _USUAL = 1000, 20  # of a page


def models_of_openai(models: Sequence[str], path: str, since: int) -> dict[str, Any]:
    """Return the list, or the model that the path names.

    Args:
        models: Their names.
        path: That is asked for.
        since: When the endpoint began, in seconds since 1970.

    Raises:
        Refused: There is no such model.
    """

    def one(name: str) -> dict[str, Any]:
        return {"id": name, "object": "model", "created": since, "owned_by": "agentrl"}

    if path == ROUTE:
        return {"object": "list", "data": [one(each) for each in models]}
    return one(_named(models, path))


def models_of_anthropic(models: Sequence[str], path: str, query: bytes, since: int) -> dict[str, Any]:
    """Return a page of the list, or the model that the path names.

    Args:
        models: Their names.
        path: That is asked for.
        query: `limit`, `after_id` and `before_id`.
        since: When the endpoint began, in seconds since 1970.

    Raises:
        Refused: There is no such model, or no such page.
    """

    def one(name: str) -> dict[str, Any]:
        return {
            "id": name,
            "type": "model",
            "display_name": name,
            "created_at": datetime.fromtimestamp(since, UTC).isoformat(),
        }

    if path != ROUTE:
        return one(_named(models, path))
    asked = {name: values[-1] for name, values in parse_qs(query.decode("latin-1")).items()}
    limit = asked.get("limit", str(_USUAL))
    if not (limit.isascii() and limit.isdigit() and len(limit) < 5 and 1 <= int(limit) <= _MOST):
        bad(f"'limit' is {limit[:20]!r}, but must be from 1 to {_MOST}", "limit")
    if (after := asked.get("after_id")) is not None:
        start = _index(models, "after_id", after) + 1
        page, rest = models[start : start + int(limit)], models[start + int(limit) :]
    elif (before := asked.get("before_id")) is not None:
        end = _index(models, "before_id", before)
        page, rest = models[max(0, end - int(limit)) : end], models[: max(0, end - int(limit))]
    else:
        page, rest = models[: int(limit)], models[int(limit) :]
    ends = {"first_id": page[0], "last_id": page[-1]} if page else {"first_id": None, "last_id": None}
    return {"data": [one(each) for each in page], "has_more": bool(rest), **ends}


def _named(models: Sequence[str], path: str) -> str:
    name = path.removeprefix(ROUTE + "/")
    if name not in models:
        raise Refused(
            f"there is no model {name[:80]!r}; there are {', '.join(models)}", status=404, code="model_not_found"
        )
    return name


def _index(models: Sequence[str], field: str, name: str) -> int:
    if name not in models:
        bad(f"'{field}' is {name[:80]!r}, which is no model here", field)
    return models.index(name)
