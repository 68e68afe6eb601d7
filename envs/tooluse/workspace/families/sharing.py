"""Who may see which file, and what becomes of deleted ones: requests about one file, allowed and refused."""

from __future__ import annotations

import random

from agentrl.envs.tooluse.case import Ask, Case, Fact, Reveal
from agentrl.envs.tooluse.workspace.kit import confirmed, do, family, own_file, person_call, say, some_file, to
from agentrl.envs.tooluse.workspace.rules import ATTACH_MB
from agentrl.envs.tooluse.workspace.world import File, Office, Person, ago

__all__ = ["SHARING", "share_refused"]

_DELETING = ("my_profile", "find_people", "delete_file")  # offered whether a file may be deleted or not


def _share_request(rng: random.Random, office: Office, file: File, person: Person, access: str) -> str:
    return say(
        rng,
        office,
        f'Share my file "{file.name}" with {person.name}, who should be able to {access} it.',
        f'Please let {person.name} {access} my file "{file.name}".',
        f'{person.name} needs to {access} "{file.name}", a file of mine. Share it.',
        f'Give {person.name} the right to {access} my file "{file.name}".',
    )


def _share_allowed(rng: random.Random, office: Office, level: int) -> Case | None:
    """Share what is not confidential with somebody outside, or what is with somebody inside."""
    file, access = own_file(rng, office), rng.choice(("view", "edit"))
    inside = rng.random() < 0.5
    person = rng.choice(office.colleagues() if inside else office.outsiders())
    if person.address in file.shares:
        return None
    if inside:
        file.confidential = ago(office.today, rng.randint(5, 300))
    steps = do(to("search_files", text=file.name), person_call(person), to("read_file", file=file.code))
    steps += do(to("share_file", file=file.code, person=person.address, access=access))
    return Case(request=_share_request(rng, office, file, person, access), steps=steps)


def share_refused(rng: random.Random, office: Office, level: int) -> Case:
    """Ask to share a confidential file with somebody outside."""
    file, access = own_file(rng, office), rng.choice(("view", "edit"))
    person = rng.choice(office.outsiders())
    file.confidential = ago(office.today, rng.randint(5, 300))
    return Case(
        request=_share_request(rng, office, file, person, access),
        steps=do(to("search_files", text=file.name), person_call(person), to("read_file", file=file.code)),
        tell=(Fact(value=file.confidential, kind="date"),),
        refuse="confidential",
        tempts=("share_file",),
    )


def _delete_request(rng: random.Random, office: Office, file: File) -> str:
    return say(
        rng,
        office,
        f'Delete the file "{file.name}".',
        f'Please remove the file "{file.name}" for good.',
        f'I want the file "{file.name}" to be gone.',
        f'Get rid of the file "{file.name}", please.',
    )


def _delete_allowed(rng: random.Random, office: Office, level: int) -> Case | None:
    """Delete a file of the user's; from level 3 on they have to confirm, and may have meant another."""
    file = own_file(rng, office)
    others = [each for each in office.files if each.owner == file.owner and each is not file]
    steps = do(to("search_files", text=file.name), to("read_file", file=file.code))
    request = _delete_request(rng, office, file)
    if level < 3:
        return Case(request=request, steps=steps + do(to("delete_file", file=file.code)), tempts=_DELETING)
    if not others:
        return None
    asked, reveals = confirmed(f"I am about to delete {file.code}.")
    if rng.random() < 0.5:
        return Case(request=request, steps=steps + asked + do(to("delete_file", file=file.code)), reveals=reveals)
    meant = rng.choice(others)
    says = f'No, wait, keep that one. I confirm that you delete "{meant.name}" instead.'
    asked, reveals = confirmed(f"I am about to delete {file.code}.", says)
    steps += asked + do(to("search_files", text=meant.name), to("read_file", file=meant.code))
    return Case(request=request, steps=steps + do(to("delete_file", file=meant.code)), reveals=reveals)


def _delete_held(rng: random.Random, office: Office, level: int) -> Case:
    file = own_file(rng, office)
    file.hold = office.codes.draw()
    return Case(
        request=_delete_request(rng, office, file),
        steps=do(to("search_files", text=file.name), to("read_file", file=file.code)),
        tell=(Fact(value=file.hold, kind="code"),),
        refuse="hold",
        tempts=_DELETING,
    )


def _delete_foreign(rng: random.Random, office: Office, level: int) -> Case:
    file = some_file(rng, office)
    steps = do(to("search_files", text=file.name), to("my_profile"), to("find_people", who=file.owner))
    return Case(
        request=_delete_request(rng, office, file),
        steps=steps,
        tell=(Fact(value=office.person(file.owner).phone, kind="number"),),
        refuse="owner",
        tempts=_DELETING,
    )


def _share_with_whom(rng: random.Random, office: Office, level: int) -> Case | None:
    """The user does not say with whom, and has to be asked."""
    file, access = own_file(rng, office), rng.choice(("view", "edit"))
    people = [each for each in office.colleagues() if each.address not in file.shares]
    if not people:
        return None
    person = rng.choice(people)
    request = say(
        rng,
        office,
        f'Share my file "{file.name}" with a colleague.',
        f'A colleague needs my file "{file.name}". Share it, please.',
        f'I promised a colleague my file "{file.name}": please share it.',
    )
    steps = (*do(to("search_files", text=file.name)), Ask("With whom shall I share it, to view or to edit?"))
    steps += do(person_call(person), to("share_file", file=file.code, person=person.address, access=access))
    cues = ("who", "whom", "colleague", "person", "name", "address")
    says = f"With {person.name}, to {access}."
    return Case(request=request, steps=steps, reveals=(Reveal(cues=cues, says=says, again=f"As I said: {says}"),))


def _owner_phone(rng: random.Random, office: Office, level: int) -> Case:
    file = some_file(rng, office)
    request = say(
        rng,
        office,
        f'What is the phone number of the owner of the file "{file.name}"?',
        f'I want to call whoever owns the file "{file.name}". Which number is it?',
        f'Under which number do I reach the owner of "{file.name}", a file?',
    )
    steps = do(to("search_files", text=file.name)) + do(to("find_people", who=file.owner))
    return Case(request=request, steps=steps, tell=(Fact(value=office.person(file.owner).phone, kind="number"),))


def _restore(rng: random.Random, office: Office, level: int) -> Case:
    """Go back to the last version that a colleague wrote."""
    file = own_file(rng, office)
    one, two = rng.sample(office.colleagues(), 2)
    num_versions = 3 + min(level, 4)
    days = sorted(ago(office.today, each) for each in rng.sample(range(2, 200), num_versions))
    authors = [rng.choice((one.address, two.address, office.me.address)) for _ in days]
    authors[-1] = rng.choice((two.address, office.me.address))
    authors[rng.randrange(num_versions - 1)] = one.address
    file.versions = [(day, author, rng.randint(2, 900)) for day, author in zip(days, authors, strict=True)]
    file.day, file.mb = file.versions[-1][0], file.versions[-1][2]
    version = max(number for number, author in enumerate(authors, start=1) if author == one.address)
    request = say(
        rng,
        office,
        f'Put my file "{file.name}" back to the last version that {one.name} wrote.',
        f'Restore the latest version by {one.name} of my file "{file.name}".',
        f'My file "{file.name}" is broken. Go back to the last version of {one.name}.',
    )
    steps = do(to("search_files", text=file.name), person_call(one)) + do(to("read_file", file=file.code))
    steps += do(to("restore_version", file=file.code, version=version))
    return Case(request=request, steps=steps)


def _send_file(rng: random.Random, office: Office, level: int) -> Case | None:
    """Attach a file when it is small, share it when it is not."""
    file = own_file(rng, office)
    people = [each for each in office.colleagues() if each.address not in file.shares]
    if not people:
        return None
    person = rng.choice(people)
    small = rng.random() < 0.5
    file.mb = rng.randint(2, ATTACH_MB) if small else rng.randint(ATTACH_MB + 1, 90)
    file.versions[-1] = (*file.versions[-1][:2], file.mb)
    request = say(
        rng,
        office,
        f'Get my file "{file.name}" to {person.name}, by mail if possible.',
        f'{person.name} should have my file "{file.name}", attached to a mail if that can be.',
        f'Please send {person.name} my file "{file.name}" by mail, if the policy lets you.',
    )
    steps = do(to("search_files", text=file.name), person_call(person))
    if small:
        mail = to("send_mail", to=person.address, subject=file.name, body="Here it is.", file=file.code)
        return Case(request=request, steps=steps + do(mail))
    return Case(
        request=request, steps=steps + do(to("share_file", file=file.code, person=person.address, access="view"))
    )


SHARING = (
    family("share-allowed", (2, 3, 4), _share_allowed),
    family("share-confidential-refused", (2, 3, 4), share_refused),
    family("delete-named", (2, 3, 4), _delete_allowed),
    family("delete-held-refused", (2, 3, 4), _delete_held),
    family("delete-foreign-refused", (2, 3), _delete_foreign),
    family("share-with-whom", (2, 3), _share_with_whom),
    family("owner-phone", (2, 3), _owner_phone),
    family("restore-version-of", (3, 4, 5), _restore),
    family("send-file", (3, 4), _send_file),
)
