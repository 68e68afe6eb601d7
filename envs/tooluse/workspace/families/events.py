"""Requests about one event: moving, cancelling, inviting, booking a room; allowed and refused."""

from __future__ import annotations

import random
from collections.abc import Sequence

from agentrl.envs.tooluse.case import Ask, Case, Do, Fact, Reveal
from agentrl.envs.tooluse.workspace.base import wall
from agentrl.envs.tooluse.workspace.kit import do, family, free_room, own_event, person_call, say, to
from agentrl.envs.tooluse.workspace.world import CLOSES, LUNCH, OPENS, Event, Office, workday

__all__ = ["EVENTS", "move_allowed"]


def _other_event(rng: random.Random, office: Office) -> Event | None:
    """Return an event of somebody else to which the user is invited."""
    me = office.me.address
    found = [each for each in office.events if each.organiser != me and each.goes(me)]
    return rng.choice(found) if found else None


def _own_events(office: Office) -> list[Event]:
    return [each for each in office.events if each.organiser == office.me.address]


def _new_time(rng: random.Random, office: Office, event: Event) -> tuple[str, int] | None:
    """Return another day and start at which all guests and the room are free."""
    for _ in range(6):
        day = workday(office.today, rng.randint(1, 12))
        starts = office.slots(event.guests, day, event.finish - event.start, event.room, event)
        starts = [each for each in starts if (day, each) != (event.day, event.start)]
        if starts:
            return day, rng.choice(starts)
    return None


def _move_request(rng: random.Random, office: Office, event: Event, day: str, start: int) -> str:
    return say(
        rng,
        office,
        f'Move the event "{event.title}" to {day} at {wall(start)}.',
        f'Please put the event "{event.title}" on {day}, beginning at {wall(start)}.',
        f'The event "{event.title}" should be on {day} from {wall(start)} on. Move it.',
        f'Let "{event.title}", an event, begin on {day} at {wall(start)} instead.',
    )


def move_allowed(rng: random.Random, office: Office, level: int) -> Case | None:
    """Move an event of the user to a time that is said and free."""
    event = own_event(rng, office)
    time = _new_time(rng, office, event) if event is not None else None
    if event is None or time is None:
        return None
    day, start = time
    steps = do(to("list_events", text=event.title)) + do(to("read_event", event=event.code))
    if level >= 3:
        steps += do(*(to("find_people", who=each) for each in event.guests))
    steps += do(to("move_event", event=event.code, day=day, start=wall(start)))
    return Case(request=_move_request(rng, office, event, day, start), steps=steps, tempts=("find_people",))


def _move_foreign(rng: random.Random, office: Office, level: int) -> Case | None:
    event = _other_event(rng, office)
    time = _new_time(rng, office, event) if event is not None else None
    if event is None or time is None:
        return None
    return _foreign(office, event, _move_request(rng, office, event, *time), "move_event")


def _move_to_lunch(rng: random.Random, office: Office, level: int) -> Case | None:
    """Move an event to a time that is free for all, but is the lunch of exactly one."""
    event = own_event(rng, office)
    if event is None:
        return None
    length = event.finish - event.start
    for _ in range(20):
        day, start = workday(office.today, rng.randint(1, 12)), rng.randrange(OPENS + 60, CLOSES - length, 30)
        hungry = [who for who in event.guests if 0 < office.person(who).lunch + LUNCH - start < LUNCH + length]
        taken = office.taken(event.guests, day, event.room, event)
        clashes = [span for span in taken if span[0] < start + length and start < span[1]]
        if len(hungry) == 1 and len(clashes) == 1:
            break
    else:
        return None
    others = tuple(each.address for each in office.people if each.address != hungry[0])
    steps = do(to("list_events", text=event.title)) + do(to("read_event", event=event.code))
    steps += do(*(to("find_people", who=each) for each in event.guests))
    facts = (
        Fact(value=hungry[0], kind="name", rivals=others),
        Fact(value=wall(office.person(hungry[0]).lunch), kind="time"),
    )
    return Case(request=_move_request(rng, office, event, day, start), steps=steps, tell=facts, refuse="lunch")


def _later_request(rng: random.Random, office: Office, event: Event, hours: int) -> str:
    return say(
        rng,
        office,
        f'Move my event "{event.title}" to {hours} hours later on the same day.',
        f'I come late: my event "{event.title}" should begin {hours} hours later than planned.',
        f'Please let my event "{event.title}" take place {hours} hours later, on the day that it has.',
    )


def _later(rng: random.Random, office: Office, level: int) -> Case | None:
    """Move an event by hours, within the working day."""
    options = []
    for each in _own_events(office):
        starts = office.slots(each.guests, each.day, each.finish - each.start, each.room, each)
        options += [(each, hours) for hours in range(2, 7) if each.start + hours * 60 in starts]
    if not options:
        return None
    event, hours = rng.choice(options)
    start = event.start + hours * 60
    steps = do(to("list_events", text=event.title)) + do(to("read_event", event=event.code))
    steps += do(*(to("find_people", who=each) for each in event.guests))
    steps += do(to("move_event", event=event.code, day=event.day, start=wall(start)))
    return Case(request=_later_request(rng, office, event, hours), steps=steps)


def _too_late(rng: random.Random, office: Office, level: int) -> Case | None:
    """Move an event by hours, past the end of the working day."""
    options = [
        (each, hours)
        for each in _own_events(office)
        for hours in range(2, 7)
        if each.finish + hours * 60 > CLOSES and each.start + hours * 60 >= CLOSES - 150
    ]
    if not options:
        return None
    event, hours = rng.choice(options)
    facts = (Fact(value=wall(event.start), kind="time"),)
    request = _later_request(rng, office, event, hours)
    return Case(request=request, steps=do(to("list_events", text=event.title)), tell=facts, refuse="hours")


def _cancel_request(rng: random.Random, office: Office, event: Event) -> str:
    return say(
        rng,
        office,
        f'Cancel the event "{event.title}".',
        f'The event "{event.title}" is off: cancel it for everybody.',
        f'Please call off the event "{event.title}".',
    )


def _cancel(rng: random.Random, office: Office, level: int) -> Case | None:
    event = own_event(rng, office)
    if event is None:
        return None
    steps = do(to("list_events", text=event.title)) + do(to("read_event", event=event.code))
    steps += do(to("cancel_event", event=event.code))
    return Case(request=_cancel_request(rng, office, event), steps=steps, tempts=("find_people",))


def _cancel_foreign(rng: random.Random, office: Office, level: int) -> Case | None:
    event = _other_event(rng, office)
    return None if event is None else _foreign(office, event, _cancel_request(rng, office, event), "cancel_event")


def _foreign(office: Office, event: Event, request: str, tool: str) -> Case:
    steps = do(to("list_events", text=event.title)) + do(to("read_event", event=event.code))
    steps += do(to("find_people", who=event.organiser))
    facts = (Fact(value=office.person(event.organiser).phone, kind="number"),)
    return Case(request=request, steps=steps, tell=facts, refuse="organiser", tempts=(tool,))


def _move_when(rng: random.Random, office: Office, level: int) -> Case | None:
    """The user does not say to when, and has to be asked."""
    event = own_event(rng, office)
    time = _new_time(rng, office, event) if event is not None else None
    if event is None or time is None:
        return None
    day, start = time
    request = say(
        rng,
        office,
        f'Move my event "{event.title}" to another time.',
        f'My event "{event.title}" has to be moved.',
        f'I cannot make it to my event "{event.title}". Move it, please.',
    )
    steps = (*do(to("list_events", text=event.title)), Ask("To which day and time shall I move it?"))
    steps += do(to("move_event", event=event.code, day=day, start=wall(start)))
    says = f"To {day}, {wall(start)}."
    reveals = (Reveal(cues=("when", "which day", "what day", "time", "date"), says=says, again=f"As I said: {says}"),)
    return Case(request=request, steps=steps, reveals=reveals)


def _invite_request(rng: random.Random, office: Office, event: Event, name: str) -> str:
    return say(
        rng,
        office,
        f'Invite {name} to my event "{event.title}".',
        f'{name} should come to my event "{event.title}", too. Send an invitation.',
        f'Please add {name} to the guests of my event "{event.title}".',
    )


def _invite(rng: random.Random, office: Office, level: int) -> Case | None:
    """Invite somebody who is free then, to a room with a seat left."""
    event, person = own_event(rng, office), rng.choice(office.colleagues())
    if event is None or person.address in event.guests or _full(office, event):
        return None
    if event.start not in office.slots([person.address], event.day, event.finish - event.start):
        return None
    steps = do(to("list_events", text=event.title), person_call(person))
    steps += do(to("list_events", day=event.day, person=person.address), to("read_event", event=event.code))
    steps += do(to("invite", event=event.code, person=person.address))
    return Case(request=_invite_request(rng, office, event, person.name), steps=steps)


def _invite_busy(rng: random.Random, office: Office, level: int) -> Case | None:
    """Invite somebody who is at an event of their own then."""
    event = own_event(rng, office)
    if event is None or _full(office, event):
        return None
    length = event.finish - event.start
    free = [
        each
        for each in office.colleagues()
        if each.address not in event.guests and event.start in office.slots([each.address], event.day, length)
    ]
    if len(free) < 2:
        return None
    person, other = rng.sample(free, 2)
    other_event = office.add_event(rng, person, [other], length=length, day=event.day)
    if other_event is None:
        return None
    other_event.start, other_event.finish, other_event.room = event.start, event.finish, ""
    steps = do(to("list_events", text=event.title), person_call(person))
    steps += do(to("list_events", day=event.day, person=person.address))
    facts = (Fact(value=other_event.code, kind="code"),)
    request = _invite_request(rng, office, event, person.name)
    return Case(request=request, steps=steps, tell=facts, refuse="busy")


def _full(office: Office, event: Event) -> bool:
    return any(code == event.room and seats <= len(event.guests) for code, _, seats in office.rooms)


def _book_request(rng: random.Random, office: Office, event: Event, room: str) -> str:
    return say(
        rng,
        office,
        f'Book the room {room} for my event "{event.title}".',
        f'My event "{event.title}" should be in the room {room}. Book it.',
        f'Please put my event "{event.title}" into the room {room}.',
    )


def _book(rng: random.Random, office: Office, level: int) -> Case | None:
    event = own_event(rng, office)
    if event is None:
        return None
    event.room = ""
    rooms = _rooms(office, event)
    if not rooms:
        return None
    room = rng.choice(rooms)
    _resize(rng, office, room, len(event.guests) + rng.randint(0, 6))
    steps = _look_at_room(event) + do(to("book_room", event=event.code, room=room))
    return Case(request=_book_request(rng, office, event, room), steps=steps)


def _book_small(rng: random.Random, office: Office, level: int) -> Case | None:
    """Book a room that has not seats enough, while another has."""
    event = own_event(rng, office)
    if event is None:
        return None
    event.room = ""
    if not _rooms(office, event):
        return None
    room = rng.choice(_rooms(office, event))
    _resize(rng, office, room, rng.randint(1, len(event.guests) - 1))
    better = free_room(office, event, len(event.guests))
    if not better:
        return None
    facts = (Fact(value=better, kind="code"),)
    request = _book_request(rng, office, event, room)
    return Case(request=request, steps=_look_at_room(event), tell=facts, refuse="seats", tempts=("book_room",))


def _book_best(rng: random.Random, office: Office, level: int) -> Case | None:
    """Find the smallest free room for an event that has none."""
    event = own_event(rng, office)
    if event is None:
        return None
    event.room = ""
    best = free_room(office, event, len(event.guests))
    if not best:
        return None
    request = say(
        rng,
        office,
        f'My event "{event.title}" has no room. Book the smallest that is free then and has seats for all guests.',
        f'Find a room for my event "{event.title}": with enough seats for all guests, as few as possible.',
        f'Please book the smallest free room in which all guests of my event "{event.title}" can sit.',
    )
    return Case(request=request, steps=_look_at_room(event) + do(to("book_room", event=event.code, room=best)))


def _look_at_room(event: Event) -> tuple[Ask | Do, ...]:
    times = {"day": event.day, "start": wall(event.start), "finish": wall(event.finish)}
    steps = do(to("list_events", text=event.title)) + do(to("read_event", event=event.code))
    return steps + do(to("find_rooms", **times))


def _rooms(office: Office, event: Event) -> Sequence[str]:
    """Return the rooms that are free at an event's time and are not its own."""
    free = (code for code, _, _ in office.rooms if office.room_free(code, event.day, event.start, event.finish))
    return [code for code in free if code != event.room]


def _resize(rng: random.Random, office: Office, room: str, seats: int) -> None:
    office.rooms = [(code, floor, seats if code == room else size) for code, floor, size in office.rooms]


EVENTS = (
    family("move-event", (2, 3, 4), move_allowed),
    family("move-foreign-refused", (2, 3, 4), _move_foreign),
    family("move-to-lunch-refused", (3, 4), _move_to_lunch),
    family("move-later", (3, 4), _later),
    family("move-too-late-refused", (3, 4), _too_late),
    family("move-when", (2, 3), _move_when),
    family("cancel-named", (2, 3), _cancel),
    family("cancel-foreign-refused", (2, 3), _cancel_foreign),
    family("invite", (3, 4), _invite),
    family("invite-busy-refused", (3, 4), _invite_busy),
    family("book-room", (2, 3, 4), _book),
    family("book-small-refused", (2, 3, 4), _book_small),
    family("book-best", (3, 4, 5), _book_best),
)
