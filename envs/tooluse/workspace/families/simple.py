"""Level 1: one call with what the request says, or one read and one fact. All splits have the same few words."""

from __future__ import annotations

import random

from agentrl.envs.tooluse.case import Case, Fact
from agentrl.envs.tooluse.workspace.kit import do, family, own_event, own_file, say, to
from agentrl.envs.tooluse.workspace.world import Office

__all__ = ["SIMPLE"]


def _delete(rng: random.Random, office: Office, level: int) -> Case:
    code = own_file(rng, office).code
    request = say(rng, office, f"Delete file {code}.", f"Delete: file {code}.", f"File {code}: delete.")
    return Case(request=request, steps=do(to("delete_file", file=code)))


def _cancel(rng: random.Random, office: Office, level: int) -> Case | None:
    event = own_event(rng, office)
    if event is None:
        return None
    code = event.code
    request = say(rng, office, f"Cancel event {code}.", f"Cancel: event {code}.", f"Event {code}: cancel.")
    return Case(request=request, steps=do(to("cancel_event", event=code)))


def _share(rng: random.Random, office: Office, level: int) -> Case | None:
    file = own_file(rng, office)
    people = [each for each in office.colleagues() if each.address not in file.shares]
    if not people:
        return None
    who, code = rng.choice(people).address, file.code
    request = say(
        rng, office, f"Share file {code} with {who}.", f"Share {code} with {who}.", f"File {code}: share with {who}."
    )
    return Case(request=request, steps=do(to("share_file", file=code, person=who)))


def _accept(rng: random.Random, office: Office, level: int) -> Case | None:
    me = office.me.address
    events = [each for each in office.events if each.guests.get(me) in ("yes", "no", "none") and each.organiser != me]
    new = office.add_event(rng, rng.choice(office.colleagues()), [office.me]) if not events else rng.choice(events)
    if new is None:
        return None
    event = new
    reply = rng.choice(("yes", "no"))
    event.guests[me] = "none"
    texts = (
        f"Reply {reply} to event {event.code}.",
        f"Reply {reply} to {event.code}.",
        f"Event {event.code}: reply {reply}.",
    )
    return Case(request=say(rng, office, *texts), steps=do(to("answer_event", event=event.code, reply=reply)))


def _archive(rng: random.Random, office: Office, level: int) -> Case | None:
    mails = [each for each in office.mails if each.folder == "inbox"]
    if not mails:
        return None
    code = rng.choice(mails).code
    texts = (f"Move mail {code} to archive.", f"Move {code} to archive.", f"Mail {code}: move to archive.")
    return Case(request=say(rng, office, *texts), steps=do(to("mark_mail", mail=code, folder="archive")))


def _size(rng: random.Random, office: Office, level: int) -> Case:
    file = rng.choice(office.files)
    code = file.code
    request = say(
        rng, office, f"How many MB has file {code}?", f"How many MB has {code}?", f"File {code}: how many MB?"
    )
    facts = (Fact(value=str(file.mb), kind="number"),)
    return Case(request=request, steps=do(to("read_file", file=code)), tell=facts)


def _day(rng: random.Random, office: Office, level: int) -> Case | None:
    if not office.events:
        return None
    event = rng.choice(office.events)
    code = event.code
    request = say(
        rng, office, f"On which day is event {code}?", f"On which day is {code}?", f"Event {code}: on which day?"
    )
    facts = (Fact(value=event.day, kind="date"),)
    return Case(request=request, steps=do(to("read_event", event=code)), tell=facts)


def _phone(rng: random.Random, office: Office, level: int) -> Case:
    person = rng.choice([each for each in office.people if each is not office.me])
    texts = (f"Which phone has {person.name}?", f"{person.name} has which phone?", f"{person.name}: which phone?")
    facts = (Fact(value=person.phone, kind="number"),)
    return Case(request=say(rng, office, *texts), steps=do(to("find_people", who=person.name)), tell=facts)


SIMPLE = (
    family("delete-file", (1,), _delete),
    family("cancel-event", (1,), _cancel),
    family("share-file", (1,), _share),
    family("answer-event", (1,), _accept),
    family("archive-mail", (1,), _archive),
    family("file-size", (1,), _size),
    family("event-day", (1,), _day),
    family("phone-of", (1,), _phone),
)
