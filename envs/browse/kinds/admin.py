"""Tasks on an administration: accounts, settings that are checked, and a log that tells who did what."""

from __future__ import annotations

from collections.abc import Generator

from agentrl.envs.browse.case import Case, Kind, changed
from agentrl.envs.browse.site import Rows
from agentrl.envs.browse.sites.admin import ROLES, Admin, made
from agentrl.envs.browse.view import Script, View, answered, click, select, type_in
from agentrl.envs.browse.words import Draw

__all__ = ["KINDS", "listed", "open_account"]

Steps = Generator[str, View, View]


def open_account(view: View, name: str) -> Steps:
    """Filter the accounts by a name and open it."""
    view = yield click(view.ref("link", "Accounts"))
    view = yield type_in(view.ref("searchbox", "Name"), name, submit=True)
    return (yield click(view.ref("link", name)))


def listed(view: View, **filters: str) -> Generator[str, View, tuple[list[list[str]], View]]:
    """Return the rows of all pages of the accounts that a filter leaves, and the last page."""
    view = yield click(view.ref("link", "Accounts"))
    for label, option in filters.items():
        view = yield select(view.ref("combobox", label), option)
    view = yield click(view.ref("button", "Filter"))
    rows: list[list[str]] = []
    page = 1
    while True:
        rows += [[row[0].split('"')[1], *row[1:]] for row in view.rows() if "link" in row[0] and len(row) == 5]
        page += 1
        if not view.has("link", f"Page {page}"):
            return rows, view
        view = yield click(view.ref("link", f"Page {page}"))


def _key(site: Admin, name: str) -> str:
    return next(key for key, row in site.rows["accounts"].items() if row["name"] == name)


def change_role(draw: Draw) -> Case:
    """Give somebody another role."""
    site = made(draw, accounts=16)
    key, row = draw.pick(list(site.rows["accounts"].items())[2:])
    role = draw.pick([each for each in ROLES if each != row["role"]])

    def solve(view: View) -> Script:
        view = yield from open_account(view, row["name"])
        view = yield select(view.ref("combobox", "Role"), role)
        yield click(view.ref("button", "Save"))
        yield answered()

    def change(rows: Rows) -> None:
        rows["accounts"][key]["role"] = role

    ask = draw.say("Make {} an {}.", "Give {} the role {}.", "The role of {} should be {}.", "{} becomes {}.")
    return Case(
        ask=ask.format(row["name"], role), sites={"admin": site}, start="admin", solve=solve,
        wanted=changed(site, change),
    )  # fmt: skip


def phone(draw: Draw) -> Case:
    """Say the phone number of somebody."""
    site = made(draw, accounts=24)
    row = draw.pick(list(site.rows["accounts"].values()))

    def solve(view: View) -> Script:
        view = yield from open_account(view, row["name"])
        yield answered(view.after("Phone: "))

    ask = draw.say("Which phone number has {}?", "Answer with the phone number of {}.").format(row["name"])
    return Case(ask=ask, sites={"admin": site}, start="admin", solve=solve, answer=row["phone"])


def deactivate(draw: Draw) -> Case:
    """Deactivate an account."""
    site = made(draw, accounts=14)
    key, row = draw.pick(list(site.rows["accounts"].items())[2:])
    row["active"] = True

    def solve(view: View) -> Script:
        view = yield from open_account(view, row["name"])
        view = yield click(view.ref("checkbox", "Active"))
        yield click(view.ref("button", "Save"))
        yield answered()

    def change(rows: Rows) -> None:
        rows["accounts"][key]["active"] = False

    ask = draw.say("Deactivate the account of {}.", "{} has left: make the account inactive.").format(row["name"])
    return Case(ask=ask, sites={"admin": site}, start="admin", solve=solve, wanted=changed(site, change))


def create_account(draw: Draw) -> Case:
    """Create an account, as the form wants it."""
    site = made(draw, accounts=20)
    known = {row["name"] for row in site.rows["accounts"].values()}
    name = next(each for each in draw.people(25) if each not in known)
    role, team, number = draw.pick(ROLES), draw.pick(list(site.teams)), str(draw.whole(1_000_000, 9_999_999))
    dashed = f"{number[:3]}-{number[3:]}"

    def solve(view: View) -> Script:
        view = yield click(view.ref("link", "New account"))
        view = yield type_in(view.ref("textbox", "Name"), name)
        view = yield type_in(view.ref("textbox", "Phone"), number)
        view = yield select(view.ref("combobox", "Role"), role)
        view = yield select(view.ref("combobox", "Team"), team)
        view = yield click(view.ref("button", "Create"))  # what is wrong with it says how it must be
        domain = view.after("first.last@").split(",")[0]
        view = yield type_in(view.ref("textbox", "E-mail"), f"{name.lower().replace(' ', '.')}@{domain}")
        view = yield type_in(view.ref("textbox", "Phone"), dashed)
        yield click(view.ref("button", "Create"))
        yield answered()

    row = {
        "name": name, "email": f"{name.lower().replace(' ', '.')}@{site.domain}", "phone": dashed, "role": role,
        "team": team, "active": True, "seen": "never",
    }  # fmt: skip
    ask = draw.say(
        "Create an account for {}, {} in the team {}, phone {}. The e-mail must follow the form's rule.",
        "{0} joins the team {2} as {1} with the phone {3}: create the account, with the e-mail that the rules give.",
    )
    return Case(
        ask=ask.format(name, role, team, number), sites={"admin": site}, start="admin", solve=solve,
        wanted=changed(site, lambda rows: rows["accounts"].update({"+1": row})),
    )  # fmt: skip


def raise_limits(draw: Draw) -> Case:
    """Set a warning, which may not be above its limit, so that the limit must be raised too."""
    site = made(draw, accounts=6)
    warning, limit = list(site.rows["settings"])[:2]
    now = site.rows["settings"][limit]["value"]
    wanted = now + draw.whole(5, 90)

    def solve(view: View) -> Script:
        view = yield click(view.ref("link", "Settings"))
        view = yield type_in(view.ref("textbox", warning), str(wanted))
        view = yield type_in(view.ref("textbox", limit), str(wanted + 10))
        yield click(view.ref("button", "Save"))
        yield answered()

    def change(rows: Rows) -> None:
        rows["settings"][warning]["value"], rows["settings"][limit]["value"] = wanted, wanted + 10

    ask = draw.say(
        "Set the {0} to {2}, and the {1} to 10 more than that.",
        "The {0} must become {2}; the {1} is always 10 above it. Change both.",
    )
    return Case(
        ask=ask.format(warning, limit, wanted), sites={"admin": site}, start="admin", solve=solve,
        wanted=changed(site, change),
    )  # fmt: skip


def move_team(draw: Draw) -> Case:
    """Move all active accounts of a team that have a role to another team."""
    while True:
        site = made(draw, accounts=28)
        source, target = draw.shuffled(list(site.teams))[:2]
        role = draw.pick(("Viewer", "Editor"))
        keys = [
            key
            for key, row in site.rows["accounts"].items()
            if (row["team"], row["role"]) == (source, role) and row["active"]
        ]
        if 1 < len(keys) < 5:
            break

    def solve(view: View) -> Script:
        rows, view = yield from listed(view, Team=source, Role=role)
        for name in [row[0] for row in rows if row[3] == "active"]:
            view = yield from open_account(view, name)
            view = yield select(view.ref("combobox", "Team"), target)
            view = yield click(view.ref("button", "Save"))
        yield answered()

    def change(rows: Rows) -> None:
        for key in keys:
            rows["accounts"][key]["team"] = target

    ask = draw.say(
        "Move every active {0} of the team {1} to the team {2}.",
        "All accounts of {1} that are active and have the role {0} go to {2}.",
    )
    return Case(
        ask=ask.format(role, source, target), sites={"admin": site}, start="admin", solve=solve,
        wanted=changed(site, change),
    )  # fmt: skip


def audit(draw: Draw) -> Case:
    """Find in the log who changed a setting last, undo that, and deactivate the account."""
    while True:
        site = made(draw, accounts=22, log=34)
        setting = draw.pick(list(site.rows["settings"])[2:])
        line = next((each for each in site.log if each["what"] == setting), None)
        if line is not None and site.log.index(line) > 2 and _key(site, line["who"]) not in ("1", "2"):
            break
    key = _key(site, line["who"])
    site.rows["accounts"][key]["active"] = True

    def solve(view: View) -> Script:
        view = yield click(view.ref("link", "Log"))
        page = 1
        while not (hits := [row for row in view.rows() if len(row) == 5 and row[2] == setting]):
            page += 1
            view = yield click(view.ref("link", f"Page {page}"))
        _, who, _, before, _ = hits[0]
        view = yield click(view.ref("link", "Settings"))
        view = yield type_in(view.ref("textbox", setting), before)
        view = yield click(view.ref("button", "Save"))
        view = yield from open_account(view, who)
        view = yield click(view.ref("checkbox", "Active"))
        yield click(view.ref("button", "Save"))
        yield answered()

    def change(rows: Rows) -> None:
        rows["settings"][setting]["value"] = int(line["before"])
        rows["accounts"][key]["active"] = False

    ask = draw.say(
        "The last change of the {} was a mistake: set it back to what it was before, and deactivate who made it.",
        "Undo the newest change of the {} that the log shows, and make the account of who did it inactive.",
    )
    return Case(
        ask=ask.format(setting), sites={"admin": site}, start="admin", solve=solve, wanted=changed(site, change)
    )


KINDS = (
    Kind(name="change-role", levels=(3,), make=change_role),
    Kind(name="find-phone", levels=(3,), make=phone),
    Kind(name="deactivate", levels=(3,), make=deactivate),
    Kind(name="create-account", levels=(4,), make=create_account),
    Kind(name="raise-limits", levels=(4,), make=raise_limits),
    Kind(name="move-team", levels=(4,), make=move_team),
    Kind(name="audit-log", levels=(5,), make=audit),
)
"""Every kind of this file."""
