"""The kind router: finds what answers a request."""

from __future__ import annotations

import random

from agentrl.envs.repo.family import Bug, Kind, Params, Steps

__all__ = ["KIND"]

_PATTERNS = '''
"""Patterns of paths."""


def split(path):
    """Return the parts of a path."""
    return [part for part in path.split("?")[0].split("/") if part]


def fit(pattern, path):
    """Return what the fields of a pattern stand for, None where it does not fit."""
    wanted, parts = split(pattern), split(path)
    fields = {}
    for at, each in enumerate(wanted):
        if each.startswith("*"):
            fields[each[1:]] = "/".join(parts[at:])
            return fields
        if at >= len(parts):
            return None
        if each.startswith("$mark"):
            name, _, kind = each[1:].partition("=")
            if kind == "int" and not parts[at].isdigit():
                return None
            fields[name] = int(parts[at]) if kind == "int" else parts[at]
        elif each != parts[at]:
            return None
    return fields if len(parts) == len(wanted) else None
'''

_ROUTES = '''
"""Routes in the order in which they are tried."""

from @patterns import fit, split


class Route:
    """A pattern, the methods it takes, and the name of what answers."""

    def __init__(self, methods, pattern, name):
        self.methods = [method.upper() for method in methods]
        self.pattern = pattern
        self.name = name

    def weight(self):
        """Return how general the route is: fields after words, and the rest last."""
        parts = split(self.pattern)
        fields = sum(part.startswith("$mark") for part in parts)
        return (sum(part.startswith("*") for part in parts), fields, -len(parts))

    def fields(self, path):
        """Return the fields of a path, None where the route does not fit."""
        return fit(self.pattern, path)
'''

_ROUTER = '''
"""Find what answers a request."""

from @routes import Route


class $cls:
    """Routes; the most special one that fits wins."""

    def __init__(self, prefix=""):
        self.prefix = prefix.rstrip("/")
        self.routes = []

    def add(self, methods, pattern, name):
        """Add a route; methods are separated by commas."""
        self.routes.append(Route(methods.split(","), self.prefix + pattern, name))
        self.routes.sort(key=Route.weight)

    def find(self, method, path):
        """Return status, name and fields: 404 where nothing fits, 405 where only the method does not."""
        is_known = False
        for route in self.routes:
            fields = route.fields(path)
            if fields is None:
                continue
            is_known = True
            if method.upper() in route.methods or (method.upper() == "HEAD" and "GET" in route.methods):
                return 200, route.name, fields
        return (405 if is_known else 404), None, {}

    def url(self, name, **fields):
        """Return the path of a route."""
        return self.link(name, fields)

    def link(self, name, fields):
        """Return the path of the first route of a name, with its fields filled."""
        for route in self.routes:
            if route.name == name:
                out = []
                for part in route.pattern.split("/"):
                    if part[:1] in ("$mark", "*"):
                        part = str(fields[part[1:].partition("=")[0]])
                    out.append(part)
                return "/".join(out)
        raise KeyError(name)
'''


def _router(rng: random.Random, params: Params) -> Steps:
    m = params["mark"]
    prefix = rng.choice(["", "", "/api/", "/v1"])
    steps: Steps = [(f"router:{params['cls']}=", [prefix] if prefix else [])]
    every = ["/users", f"/users/{m}id=int", f"/users/{m}name", "/users/new", "/files/*path", f"/{m}page", "/", "*rest"]
    every += [f"/users/{m}id=int/files/{m}file"]
    for at, pattern in enumerate(rng.sample(every, rng.randrange(2, 6))):
        steps.append((".add", [rng.choice(["GET", "get,post", "POST", "PUT"]), pattern, f"r{at}"]))
    start = prefix.rstrip("/")
    paths = [
        "/users",
        "/users/7",
        "/users/ada",
        "/users/new",
        "/files/a/b",
        "/about",
        "/users/7/files/x",
        "/",
        "/users/7?a=1/2",
        "/files",
    ]
    for _ in range(rng.randrange(2, 5)):
        steps.append((".find", [rng.choice(["GET", "get", "POST", "HEAD", "PUT"]), start + rng.choice(paths)]))
    fields = {"id": 4, "name": "bo", "path": "a/c", "page": "x", "file": "f", "rest": "r"}
    return [*steps, (".link", [f"r{rng.randrange(4)}", fields])]


KIND = Kind(
    name="router",
    about="Finds what answers a request.",
    modules={"patterns": _PATTERNS, "routes": _ROUTES, "router": _ROUTER},
    case=_router,
    packages=("routing", "webpaths", "dispatch"),
    choices={"cls": ("Router", "Switch"), "mark": (":", "@")},
    bugs=(
        Bug(
            name="query",
            module="patterns",
            old='path.split("?")[0].split("/")',
            new='path.split("/")',
            report="Requests with a question mark are not found, or their fields are wrong.",
        ),
        Bug(
            name="whole",
            module="patterns",
            old="return fields if len(parts) == len(wanted) else None",
            new="return fields",
            report="Paths that are longer than any route are answered.",
        ),
        Bug(
            name="number",
            module="patterns",
            old='int(parts[at]) if kind == "int" else parts[at]',
            new="parts[at]",
            report="Numbers in paths arrive as text.",
        ),
        Bug(
            name="weight",
            module="routes",
            old='return (sum(part.startswith("*") for part in parts), fields, -len(parts))',
            new="return (fields, -len(parts))",
            report="A general route wins where a special one fits.",
        ),
        Bug(
            name="head",
            module="router",
            old=' or (method.upper() == "HEAD" and "GET" in route.methods):',
            new=":",
            report="HEAD is to be answered wherever GET is, but the status is 405.",
            feature=True,
        ),
        Bug(
            name="status",
            module="router",
            old="            is_known = True\n",
            new="            is_known = method.upper() in route.methods\n",
            report="Where only the method is wrong, the status is 404.",
        ),
    ),
)
"""Finds what answers a request."""
