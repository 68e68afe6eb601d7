"""Many files or many people at once: sums, teams, cleaning up."""

from __future__ import annotations

import random

from agentrl.envs.tooluse.case import Case, Fact
from agentrl.envs.tooluse.workspace.kit import confirmed, do, family, listed, own_file, person_call, say, to
from agentrl.envs.tooluse.workspace.world import FOLDER_NAMES, File, Office, ago

__all__ = ["FILES", "size_sum"]


def size_sum(rng: random.Random, office: Office, level: int) -> Case:
    """Ask for the size of the user's files in a folder, from level 4 on of the old ones."""
    folder = rng.choice(FOLDER_NAMES)
    while len(_own(office, folder)) < 3:
        office.add_file(rng, office.me, folder=folder)
    files = _own(office, folder)
    me, when, before = office.me.address, "", ""
    if level >= 4:
        before = sorted(each.day for each in files)[rng.randint(2, len(files) - 1)]
        when = f" that were last changed before {before}"
        files = [each for each in files if each.day < before]
        if len(files) < 2:
            before, when, files = "", "", _own(office, folder)
    request = say(
        rng,
        office,
        f'How many MB do my files in the folder "{folder}"{when} have in all?',
        f'Add up the MB of my files in "{folder}"{when}.',
        f'What is the sum, in MB, of the files of mine in the folder "{folder}"{when}?',
    )
    search = {"owner": me, "folder": folder} | ({"before": before} if before else {})
    steps = do(to("my_profile")) + do(to("search_files", **search))
    return Case(request=request, steps=steps, tell=(Fact(value=str(sum(each.mb for each in files)), kind="number"),))


def _largest(rng: random.Random, office: Office, level: int) -> Case | None:
    folder = rng.choice(FOLDER_NAMES)
    while len(_own(office, folder)) < 3:
        office.add_file(rng, office.me, folder=folder)
    files = sorted(_own(office, folder), key=lambda each: each.mb)
    if files[-1].mb == files[-2].mb:
        return None
    request = say(
        rng,
        office,
        f'Which of my files in the folder "{folder}" is the largest? I need its code.',
        f'Tell me the code of my largest file in "{folder}".',
        f'My largest file in the folder "{folder}": which code has it?',
    )
    steps = do(to("my_profile")) + do(to("search_files", owner=office.me.address, folder=folder))
    return Case(request=request, steps=steps, tell=(Fact(value=files[-1].code, kind="code"),))


def _share_team(rng: random.Random, office: Office, level: int) -> Case | None:
    """Share with a team but for one; from level 4 on somebody has the access already."""
    team = rng.choice(sorted({each.team for each in office.colleagues()}))
    members = office.team(team)
    if len(members) < 3:
        return None
    file, access = own_file(rng, office), rng.choice(("view", "edit"))
    but, has, *rest = rng.sample(members, len(members))
    for each in members:
        file.shares.pop(each.address, None)
    if level >= 4:
        file.shares[has.address] = access
    else:
        rest.append(has)
    request = say(
        rng,
        office,
        f'Share my file "{file.name}" with all of the team {team} but {but.name}. They should be able to {access} it.',
        f'Everybody of {team} except {but.name} should be able to {access} my file "{file.name}".',
        f'Let the whole team {team} {access} my file "{file.name}", only {but.name} not.',
    )
    steps = do(to("search_files", text=file.name), to("find_people", team=team)) + do(to("read_file", file=file.code))
    shared = sorted(each.address for each in rest)
    steps += do(*(to("share_file", file=file.code, person=each, access=access) for each in shared))
    return Case(request=request, steps=steps)


def _unshare(rng: random.Random, office: Office, level: int) -> Case:
    """Take somebody off all files of the user, but off nobody else's."""
    person = rng.choice(office.colleagues())
    mine = [each for each in office.files if each.owner == office.me.address]
    for file in rng.sample(mine, min(len(mine), rng.randint(2, 4))):
        file.shares[person.address] = rng.choice(("view", "edit"))
    held = sorted(each.code for each in mine if person.address in each.shares)
    request = say(
        rng,
        office,
        f"{person.name} should not see any of my files any more. End that access.",
        f"Take {person.name} off all files that I own.",
        f"I no longer work with {person.name}: end their access to every file of mine.",
    )
    steps = do(to("my_profile"), person_call(person))
    steps += do(to("search_files", owner=office.me.address, shared=person.address))
    steps += do(*(to("unshare_file", file=code, person=person.address) for code in held))
    return Case(request=request, steps=steps)


def _old_and_large(rng: random.Random, office: Office) -> tuple[list[File], str, int] | None:
    """Return three to five files of the user that are older than a day and larger than a size."""
    mine = [each for each in office.files if each.owner == office.me.address]
    for _ in range(40):
        before, above = ago(office.today, rng.randint(20, 150)), rng.randrange(50, 700, 50)
        found = [each for each in mine if each.day < before and each.mb > above]
        if 3 <= len(found) <= 5:
            return sorted(found, key=lambda each: each.code), before, above
    return None


def _clean_request(rng: random.Random, office: Office, before: str, above: int) -> str:
    return say(
        rng,
        office,
        f"Clean up: delete all my files last changed before {before} and above {above} MB.",
        f"I need space. Delete those of my files that are larger than {above} MB and were not changed since {before}.",
        f"Please delete every file of mine with more than {above} MB whose last change was before {before}.",
    )


def _clean_but(rng: random.Random, office: Office, level: int) -> Case | None:
    """The user keeps one of the files when asked to confirm."""
    found = _old_and_large(rng, office)
    if found is None:
        return None
    files, before, above = found
    kept = rng.choice(files)
    steps = do(to("my_profile"))
    steps += do(to("search_files", owner=office.me.address, before=before, above_mb=above))
    steps += do(*(to("read_file", file=each.code) for each in files))
    codes = listed([each.code for each in files])
    asked, reveals = confirmed(f"These are {codes}. I am about to delete them.", f'Yes, but keep "{kept.name}".')
    steps += asked + do(*(to("delete_file", file=each.code) for each in files if each is not kept))
    return Case(request=_clean_request(rng, office, before, above), steps=steps, reveals=reveals)


def _clean_held(rng: random.Random, office: Office, level: int) -> Case | None:
    """One of the files is on hold, and stays."""
    found = _old_and_large(rng, office)
    if found is None:
        return None
    files, before, above = found
    held = rng.choice(files)
    held.hold = office.codes.draw()
    steps = do(to("my_profile"))
    steps += do(to("search_files", owner=office.me.address, before=before, above_mb=above))
    steps += do(*(to("read_file", file=each.code) for each in files))
    gone = [each.code for each in files if each is not held]
    asked, reveals = confirmed(f"I am about to delete {listed(gone)}.")
    request = _clean_request(rng, office, before, above) + " If one of them must stay, delete the others."
    return Case(
        request=request,
        steps=steps + asked + do(*(to("delete_file", file=code) for code in gone)),
        tell=(Fact(value=held.hold, kind="code"),),
        refuse="hold",
        reveals=reveals,
    )


def _share_some(rng: random.Random, office: Office, level: int) -> Case | None:
    """Share several files with somebody outside, one of them confidential."""
    person = rng.choice(office.outsiders())
    mine = [each for each in office.files if each.owner == office.me.address and person.address not in each.shares]
    if len(mine) < 3:
        return None
    files = rng.sample(mine, 3)
    secret = rng.choice(files)
    secret.confidential = ago(office.today, rng.randint(5, 300))
    names = listed([f'"{each.name}"' for each in files])
    request = say(
        rng,
        office,
        f"Let {person.name} view my files {names}, as far as you may.",
        f"Share my files {names} with {person.name}, to view. If one must not be shared, share the others.",
        f"{person.name} should see what is allowed of my files {names}.",
    )
    steps = do(person_call(person), *(to("search_files", text=each.name) for each in files))
    steps += do(*(to("read_file", file=each.code) for each in files))
    open_ones = [each for each in files if each is not secret]
    steps += do(*(to("share_file", file=each.code, person=person.address, access="view") for each in open_ones))
    facts = (Fact(value=secret.confidential, kind="date"),)
    return Case(request=request, steps=steps, tell=facts, refuse="confidential")


def _own(office: Office, folder: str) -> list[File]:
    return [each for each in office.files if each.owner == office.me.address and each.folder == folder]


FILES = (
    family("size-sum", (3, 4, 5), size_sum),
    family("largest-file", (3, 4), _largest),
    family("share-team-but", (3, 4, 5), _share_team),
    family("unshare-all", (4, 5), _unshare),
    family("clean-up-but", (4, 5), _clean_but),
    family("clean-up-held", (4, 5), _clean_held),
    family("share-some", (4, 5), _share_some),
)
