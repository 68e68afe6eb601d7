"""An administration: accounts with roles and teams, settings that depend on each other, and a log of changes."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any, ClassVar

from agentrl.envs.browse.site import Request, Response, Site, page_of, slug
from agentrl.envs.browse.words import Draw

__all__ = ["PAGE", "ROLES", "Admin", "made"]

PAGE = 10  # accounts, or lines of the log, of a page
ROLES = ("Viewer", "Editor", "Owner")
_MOST = 10  # accounts that a visitor may add


class Admin(Site):
    """An administration. Tables: accounts, settings. The log is of the time before, and no table."""

    routes: ClassVar = (
        ("GET", "/", "home"),
        ("GET", "/accounts", "accounts"),
        ("GET", "/accounts/new", "new"),
        ("POST", "/accounts/new", "create"),
        ("GET", "/accounts/([0-9]+)", "account"),
        ("POST", "/accounts/([0-9]+)", "save"),
        ("GET", "/settings", "settings"),
        ("POST", "/settings", "set"),
        ("GET", "/log", "log_page"),
    )
    log: Sequence[dict[str, str]] = ()  # the newest first
    domain = ""  # of every e-mail address
    teams: Sequence[str] = ()

    def home(self, request: Request) -> Response:
        """Show what there is."""
        return self.show("home")

    def accounts(self, request: Request) -> Response:
        """Show accounts, filtered as the query says, page by page."""
        words, team, role = request.value("q").lower(), request.value("team"), request.value("role")
        found = [
            (key, row)
            for key, row in self.rows["accounts"].items()
            if words in row["name"].lower() and team in ("", row["team"]) and role in ("", row["role"])
        ]
        shown, number, num = page_of(found, request, PAGE)
        kept = {name: request.value(name) for name in ("q", "team", "role") if request.value(name)}
        return self.show("accounts", found=shown, number=number, num=num, kept=kept, count=len(found))

    def account(self, request: Request, key: str) -> Response:
        """Show the form of an account."""
        found = self.rows["accounts"].get(key)
        return self.show("account", key=key, given=found, errors=()) if found else self.lost()

    def save(self, request: Request, key: str) -> Response:
        """Change role, team and state of an account."""
        found = self.rows["accounts"].get(key)
        if found is None or request.value("role") not in ROLES or request.value("team") not in self.teams:
            return self.lost()
        given = {"role": request.value("role"), "team": request.value("team"), "active": bool(request.value("active"))}
        owners = [each for each, row in self.rows["accounts"].items() if row["role"] == "Owner" and row["active"]]
        if owners == [key] and (given["role"] != "Owner" or not given["active"]):
            return self.show("account", key=key, given={**found, **given}, errors=["There must be an active owner."])
        found.update(given)
        self.tell(f"The account of {found['name']} was saved.")
        return self.to(f"/accounts/{key}")

    def new(self, request: Request) -> Response:
        """Show the form of a new account."""
        return self.show("new", given={}, errors=())

    def create(self, request: Request) -> Response:
        """Add an account, or say what is wrong with the form."""
        given = {name: request.value(name)[:80] for name in ("name", "email", "phone", "role", "team")}
        errors = self._errors(given)
        if errors or sum(key.startswith("+") for key in self.rows["accounts"]) >= _MOST:
            return self.show("new", given=given, errors=errors)
        self.add("accounts", **given, active=True, seen="never")
        self.tell(f"The account of {given['name']} was created.")
        return self.to("/accounts")

    def settings(self, request: Request) -> Response:
        """Show the form of the settings."""
        return self.show("settings", given=self._values(), errors=())

    def set(self, request: Request) -> Response:
        """Change the settings, or say what is wrong with them."""
        given = {name: request.value(slug(name)) for name in self.rows["settings"]}
        errors = [f"{name} must be a number from 1 to 500." for name, value in given.items() if not _is_number(value)]
        names = list(given)
        if not errors and int(given[names[0]]) > int(given[names[1]]):
            errors = [f"{names[0]} may not be more than {names[1]}."]
        if errors:
            return self.show("settings", given=given, errors=errors)
        for name, value in given.items():
            self.rows["settings"][name]["value"] = int(value)
        self.tell("The settings were saved.")
        return self.to("/settings")

    def log_page(self, request: Request) -> Response:
        """Show the log, page by page."""
        shown, number, num = page_of(self.log, request, PAGE)
        return self.show("log", log=shown, number=number, num=num)

    def show(self, view: str, **values: Any) -> Response:
        """Render a view of the template."""
        return self.page("admin.html", view=view, roles=ROLES, **values)

    def _values(self) -> dict[str, str]:
        return {name: str(row["value"]) for name, row in self.rows["settings"].items()}

    def _errors(self, given: dict[str, str]) -> list[str]:
        errors = []
        if not re.fullmatch(r"\S+ \S+", given["name"]):
            errors.append("The name must be a first and a last name.")
        elif given["email"] != f"{given['name'].lower().replace(' ', '.')}@{self.domain}":
            errors.append(f"The e-mail must be first.last@{self.domain}, in small letters.")
        if any(row["email"] == given["email"] for row in self.rows["accounts"].values()):
            errors.append("This e-mail is taken.")
        if not re.fullmatch(r"\d{3}-\d{4}", given["phone"]):
            errors.append("The phone must be written as 123-4567.")
        if given["role"] not in ROLES or given["team"] not in self.teams:
            errors.append("Choose a role and a team.")
        return errors


def _is_number(text: str) -> bool:
    return text.isdecimal() and len(text) < 4 and 1 <= int(text) <= 500


def made(draw: Draw, *, accounts: int, log: int = 0, teams: int = 3, name: str = "admin") -> Admin:
    """Return an administration.

    Args:
        draw: Where all comes from.
        accounts: How many.
        log: How many lines the log has.
        teams: How many.
        name: Of the site.
    """
    groups = [each.capitalize() for each in draw.some("topics", teams)]
    people = draw.people(accounts)
    domain = f"{draw.one('words')}.example"
    first, second, third = draw.some("things", 3)
    limits = sorted(draw.numbers(2, 20, 300))
    names = (f"{first} warning", f"{first} limit", f"{second} limit", f"{third} limit")
    values = (*limits, draw.whole(10, 400), draw.whole(10, 400))
    rows: dict[str, dict[str, dict[str, Any]]] = {
        "accounts": {
            str(index + 1): {
                "name": each, "email": f"{each.lower().replace(' ', '.')}@{domain}", "role": draw.pick(ROLES),
                "phone": f"{draw.whole(100, 999)}-{draw.whole(1000, 9999)}",
                "team": draw.pick(groups), "active": draw.chance(0.85), "seen": draw.day().isoformat(),
            }
            for index, each in enumerate(people)
        },
        "settings": {each: {"value": value} for each, value in zip(names, values, strict=True)},
    }  # fmt: skip
    for key in ("1", "2"):
        rows["accounts"][key] |= {"role": "Owner", "active": True}
    site = Admin(name, f"{draw.one('styles')} Admin", rows)
    site.domain, site.teams = domain, groups
    site.log = _log(draw, rows, log)
    return site


def _log(draw: Draw, rows: dict[str, dict[str, dict[str, Any]]], num: int) -> list[dict[str, str]]:
    """Draw changes of settings back in time from what they are now."""
    now = {name: row["value"] for name, row in rows["settings"].items()}
    days = sorted({draw.day().isoformat() for _ in range(3 * num)}, reverse=True)[:num]
    lines = []
    for day in days:
        setting, before = draw.pick(list(now)), draw.whole(10, 400)
        who = draw.pick([row["name"] for row in rows["accounts"].values()])
        lines.append({"day": day, "who": who, "what": setting, "before": str(before), "after": str(now[setting])})
        now[setting] = before
    return lines
