"""Many events or many people at once: free slots, next events, replies that are missing, days off."""

from __future__ import annotations

import random

from agentrl.envs.tooluse.case import Case, Fact
from agentrl.envs.tooluse.workspace.base import wall
from agentrl.envs.tooluse.workspace.kit import do, family, listed, own_event, person_call, say, to
from agentrl.envs.tooluse.workspace.rules import MANY
from agentrl.envs.tooluse.workspace.world import Event, Office, workday

__all__ = ["CALENDAR", "missing_replies", "next_with"]


def next_with(rng: random.Random, office: Office, level: int) -> Case | None:
    """Ask for day and time of the next event with somebody."""
    me = office.me.address
    person = rng.choice(office.colleagues())
    shared = [each for each in office.events if each.goes(me) and each.goes(person.address)]
    if len(shared) < 2:
        new = [office.add_event(rng, person, [office.me]) for _ in range(2)]
        shared += [each for each in new if each is not None and each.goes(me)]
    if len(shared) < 2:
        return None
    first = min(shared, key=lambda each: (each.day, each.start))
    request = say(
        rng,
        office,
        f"When is my next event with {person.name}? Tell me day and start.",
        f"On which day and at what time do I meet {person.name} next?",
        f"My next event with {person.name}: which day, and when does it begin?",
    )
    steps = do(person_call(person), to("my_profile")) + do(to("list_events"), to("list_events", person=person.address))
    facts = (Fact(value=first.day, kind="date"), Fact(value=wall(first.start), kind="time"))
    return Case(request=request, steps=steps, tell=facts)


def missing_replies(rng: random.Random, office: Office, level: int) -> Case | None:
    """Ask who has not replied to an invitation."""
    event = _crowded(rng, office)
    if event is None:
        return None
    silent = [who for who, reply in event.guests.items() if reply == "none"]
    names = {who: office.person(who).name for who in event.guests}
    if not 1 <= len(silent) < len(names) - 1:
        return None
    request = say(
        rng,
        office,
        f'Who has not replied yet to the invitation to my event "{event.title}"? Give me their full names.',
        f'Whose reply to my event "{event.title}" is still missing? I need full names.',
        f'Tell me the full names of those who did not answer the invitation to my event "{event.title}".',
    )
    rivals = tuple(each.name for each in office.people if each is not office.me and each.address not in silent)
    facts = tuple(Fact(value=names[who], kind="name", rivals=rivals) for who in silent)
    steps = do(to("list_events", text=event.title)) + do(to("read_event", event=event.code))
    steps += do(*(to("find_people", who=who) for who in silent))
    return Case(request=request, steps=steps, tell=facts)


def _remind(rng: random.Random, office: Office, level: int) -> Case | None:
    """Write one mail to those who have not replied."""
    event = _crowded(rng, office)
    if event is None:
        return None
    silent = sorted(who for who, reply in event.guests.items() if reply == "none")
    if not 2 <= len(silent) <= MANY:
        return None
    request = say(
        rng,
        office,
        f'Remind all who have not replied to my event "{event.title}", in one mail to them alone.',
        f'Send one mail to everybody whose reply to my event "{event.title}" is missing, and to nobody else.',
        f'Those who did not answer the invitation to my event "{event.title}" should get a reminder: one mail to all.',
    )
    steps = do(to("list_events", text=event.title)) + do(to("read_event", event=event.code))
    steps += do(to("send_mail", to=", ".join(silent), subject=event.title, body="Please reply to the invitation."))
    return Case(request=request, steps=steps)


def _organisers_manager(rng: random.Random, office: Office, level: int) -> Case | None:
    me = office.me.address
    events = [each for each in office.events if each.organiser != me and each.goes(me)]
    events = [each for each in events if office.person(each.organiser).manager]
    if not events:
        return None
    event = rng.choice(events)
    organiser = office.person(event.organiser)
    manager = office.person(organiser.manager)
    if manager is office.me:
        return None
    request = say(
        rng,
        office,
        f'What is the phone number of the manager of whoever organises "{event.title}"?',
        f'I want to call the manager of the organiser of the event "{event.title}". Which number?',
        f'Which number has the boss of the one who organises the event "{event.title}"?',
    )
    steps = do(to("list_events", text=event.title)) + do(to("read_event", event=event.code))
    steps += do(to("find_people", who=organiser.address)) + do(to("find_people", who=manager.address))
    return Case(request=request, steps=steps, tell=(Fact(value=manager.phone, kind="number"),))


def _minutes_of_day(rng: random.Random, office: Office, level: int) -> Case | None:
    day = workday(office.today, rng.randint(1, 12))
    for _ in range(2):
        office.add_event(rng, rng.choice(office.colleagues()), [office.me], day=day)
    mine = [each for each in office.events if each.day == day and each.goes(office.me.address)]
    total = sum(each.finish - each.start for each in mine)
    if len(mine) < 2:
        return None
    request = say(
        rng,
        office,
        f"How many minutes do my events on {day} take in all?",
        f"Add up the length of all my events on {day}, in minutes.",
        f"For how many minutes am I at events on {day}?",
    )
    return Case(request=request, steps=do(to("list_events", day=day)), tell=(Fact(value=str(total), kind="number"),))


def _day_off(rng: random.Random, office: Office, level: int) -> Case | None:
    """Cancel the user's own events of a day, decline the others'."""
    day = workday(office.today, rng.randint(1, 12))
    for organiser in (office.me, *rng.sample(office.colleagues(), 2)):
        others = rng.sample([each for each in office.people if each not in (organiser, office.me)], 1)
        office.add_event(rng, organiser, others if organiser is office.me else [office.me, *others], day=day)
    mine = [each for each in office.events if each.day == day and each.goes(office.me.address)]
    own = sorted(each.code for each in mine if each.organiser == office.me.address)
    others_ = sorted(each.code for each in mine if each.organiser != office.me.address)
    if not own or not others_:
        return None
    request = say(
        rng,
        office,
        f"I am away on {day}. Cancel the events that I organise on that day and decline all others.",
        f"On {day} I take a day off: decline what others organise, and cancel what I organise myself.",
        f"Clear my calendar on {day}: my own events are cancelled, all others declined.",
    )
    steps = do(to("my_profile"), to("list_events", day=day))
    steps += do(*(to("read_event", event=each.code) for each in mine))
    writes = [to("cancel_event", event=each) for each in own]
    writes += [to("answer_event", event=each, reply="no") for each in others_]
    return Case(request=request, steps=steps + do(*writes))


def _find_slot(rng: random.Random, office: Office, level: int) -> Case | None:
    """Find the earliest slot for four people, and the smallest room that is free then."""
    day = workday(office.today, rng.randint(1, 12))
    three = rng.sample(office.colleagues(), 3)
    for person in (office.me, *three):
        office.add_event(rng, person, rng.sample([each for each in three if each is not person], 1), day=day)
    who = [office.me.address, *(each.address for each in three)]
    length = rng.choice((30, 60, 90))
    starts = office.slots(who, day, length)
    if not starts:
        return None
    start = starts[0]
    rooms = sorted(
        (seats, code)
        for code, _, seats in office.rooms
        if seats >= len(who) and office.room_free(code, day, start, start + length)
    )
    if not rooms or (len(rooms) > 1 and rooms[0][0] == rooms[1][0]):
        return None
    names = listed([each.name for each in three])
    request = say(
        rng,
        office,
        f"Set up an event of {length} minutes with {names} on {day}: at the earliest time, on the hour or half past, "
        "at which all of us can, in the smallest free room that has seats for us all.",
        f"I need {length} minutes with {names} on {day}. Take the first full or half hour at which nobody of us is "
        "busy, and the smallest free room for us all.",
        f"Find the earliest slot of {length} minutes, starting at a full or half hour, for {names} and me on {day}, "
        "and create the event in the smallest free room in which we all can sit.",
    )
    steps = do(to("my_profile"), *(person_call(each) for each in three))
    steps += do(*(to("list_events", day=day, person=each) for each in who))
    times = {"day": day, "start": wall(start), "finish": wall(start + length)}
    steps += do(to("find_rooms", **times, seats=len(who)))
    people = ", ".join(sorted(who[1:]))
    steps += do(to("create_event", title="Meeting", people=people, room=rooms[0][1], **times))
    return Case(request=request, steps=steps)


def _move_and_tell(rng: random.Random, office: Office, level: int) -> Case | None:
    """Move an event to the earliest time of a day, and tell the other guests in one mail."""
    event = own_event(rng, office)
    if event is None:
        return None
    day = workday(office.today, rng.randint(1, 12))
    starts = office.slots(event.guests, day, event.finish - event.start, event.room, event)
    if not starts or (day, starts[0]) == (event.day, event.start) or day == event.day:
        return None
    others = sorted(who for who in event.guests if who != office.me.address)
    request = say(
        rng,
        office,
        f'Move my event "{event.title}" to {day}, to the first full or half hour at which all guests and its room are '
        "free, and tell the other guests in one mail.",
        f'My event "{event.title}" has to move to {day}: the earliest full or half hour that suits all guests and the '
        "room. Then write one mail about it to all other guests.",
        f'Put my event "{event.title}" on {day} as early as all guests can (full or half hours, the room must be free) '
        "and let the other guests know by one mail.",
    )
    steps = do(to("list_events", text=event.title)) + do(to("read_event", event=event.code))
    steps += do(*(to("find_people", who=each) for each in event.guests))
    steps += do(*(to("list_events", day=day, person=each) for each in event.guests))
    steps += do(to("move_event", event=event.code, day=day, start=wall(starts[0])))
    body = f"It is on {day} at {wall(starts[0])} now."
    return Case(
        request=request, steps=steps + do(to("send_mail", to=", ".join(others), subject=event.title, body=body))
    )


def _crowded(rng: random.Random, office: Office) -> Event | None:
    """Return an event of the user with some more guests, of whom some have not replied."""
    event = own_event(rng, office)
    if event is None:
        return None
    more = [each for each in office.colleagues() if each.address not in event.guests]
    replies = ["none", "none", "yes", *(rng.choice(("yes", "no", "none")) for _ in range(rng.randint(0, 2)))]
    for person, reply in zip(rng.sample(more, min(len(more), len(replies))), replies, strict=False):
        event.guests[person.address] = reply
    return event


CALENDAR = (
    family("next-with", (3, 4, 5), next_with),
    family("missing-replies", (3, 4, 5), missing_replies),
    family("remind-silent", (3, 4, 5), _remind),
    family("organisers-manager", (3, 4), _organisers_manager),
    family("minutes-of-day", (3, 4), _minutes_of_day),
    family("day-off", (4, 5), _day_off),
    family("find-slot", (4, 5), _find_slot),
    family("move-and-tell", (4, 5), _move_and_tell),
)
