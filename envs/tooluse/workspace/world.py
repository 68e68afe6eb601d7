"""The generated office: people, rooms, events, mails and files as objects, which families change to fit their case.

Names, titles, subjects and file names are unique unless a family means otherwise; events of one person and of one room
never overlap, and lie within working hours and outside of lunch.
"""

from __future__ import annotations

import random
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import date, timedelta

from agentrl.envs.tooluse.case import World
from agentrl.envs.tooluse.words import FIRST_NAMES, LAST_NAMES, Codes
from agentrl.envs.tooluse.workspace.base import HOME, wall

__all__ = [
    "COMPANIES",
    "FOLDER_NAMES",
    "TEAMS",
    "Event",
    "File",
    "Mail",
    "Office",
    "Person",
    "ago",
    "populate",
    "workday",
]

TEAMS = ("Sales", "Finance", "Design", "Legal", "Support", "Research")
COMPANIES = ("Lumen", "Norden", "Vega", "Quarz", "Atlas", "Kite")
FOLDER_NAMES = ("plans", "reports", "drafts", "offers", "media", "data")
LUNCHES = tuple(range(11 * 60 + 30, 13 * 60 + 1, 15))
OPENS, CLOSES, LUNCH = 9 * 60, 17 * 60, 60  # minutes

_TOPICS = (
    "budget office website contract hiring travel security payroll survey warehouse brand pricing energy training "
    "newsletter insurance supplier museum garden parking kitchen tax audit launch festival archive network printer "
    "safety catalogue"
).split()
_MEETINGS = "review planning kickoff demo workshop update".split()
_PAPERS = "report plan sketch list table notes".split()
_SUBJECTS = "question offer reminder proposal feedback request".split()

_SIZES = {1: (5, 4, 4, 4), 2: (7, 6, 7, 7), 3: (12, 14, 16, 16), 4: (18, 22, 28, 30), 5: (28, 40, 56, 64)}
"""Level -> people, events, mails, files."""


@dataclass
class Person:
    """Somebody inside, or outside: then with a company and without a team."""

    address: str
    name: str
    company: str
    team: str
    manager: str
    phone: str
    lunch: int  # when it begins; 0: outside, where nobody knows

    @property
    def inside(self) -> bool:
        """Whether they work for the firm."""
        return not self.company


@dataclass
class Event:
    """An event; its organiser is among the guests."""

    code: str
    title: str
    organiser: str
    day: str
    start: int
    finish: int
    room: str
    guests: dict[str, str]  # address -> yes, no or none

    def goes(self, address: str) -> bool:
        """Return whether somebody is a guest and has not declined."""
        return self.guests.get(address, "no") != "no"


@dataclass
class Mail:
    """A mail of the user."""

    code: str
    thread: str
    folder: str
    label: str
    sender: str
    day: str
    time: str
    subject: str
    body: str
    to: list[str]


@dataclass
class File:
    """A file, with its versions as (day, author, size)."""

    code: str
    name: str
    folder: str
    owner: str
    day: str
    mb: int
    versions: list[tuple[str, str, int]]
    confidential: str = ""  # since when
    hold: str = ""  # the case for which it is held
    shares: dict[str, str] = field(default_factory=dict)  # address -> view or edit


@dataclass(kw_only=True)
class Office(World):
    """The world as objects; `settle` writes them into `rows`."""

    codes: Codes
    level: int
    me: Person
    people: list[Person] = field(default_factory=list)
    rooms: list[tuple[str, int, int]] = field(default_factory=list)  # code, floor, seats
    events: list[Event] = field(default_factory=list)
    mails: list[Mail] = field(default_factory=list)
    files: list[File] = field(default_factory=list)
    book: dict[str, Person] = field(default_factory=dict)  # by address
    texts: set[str] = field(default_factory=set)  # names, titles and subjects that are taken

    # -- looking -------------------------------------------------------------------------------------------------

    def person(self, address: str) -> Person:
        """Return who has an address."""
        return self.book[address]

    def colleagues(self) -> list[Person]:
        """Return everybody inside but the user."""
        return [each for each in self.people if each.inside and each is not self.me]

    def outsiders(self) -> list[Person]:
        """Return everybody outside."""
        return [each for each in self.people if not each.inside]

    def team(self, name: str) -> list[Person]:
        """Return the members of a team but the user."""
        return [each for each in self.colleagues() if each.team == name]

    def busy(self, address: str, day: str, but: Event | None = None) -> list[tuple[int, int]]:
        """Return when somebody is at an event or has lunch, in minutes."""
        taken = [
            (each.start, each.finish)
            for each in self.events
            if each.day == day and each is not but and each.goes(address)
        ]
        lunch = self.person(address).lunch
        return [*taken, (lunch, lunch + LUNCH)] if lunch else taken

    def taken(self, people: Iterable[str], day: str, room: str = "", but: Event | None = None) -> list[tuple[int, int]]:
        """Return when one of several people is busy or a room is in use."""
        found = [span for who in people for span in self.busy(who, day, but)]
        if room:
            uses = (each for each in self.events if each.room == room and each.day == day and each is not but)
            found += [(each.start, each.finish) for each in uses]
        return found

    def room_free(self, room: str, day: str, start: int, finish: int, but: Event | None = None) -> bool:
        """Return whether no event has a room at a time."""
        return _apart(self.taken((), day, room, but), start, finish)

    def slots(
        self, people: Iterable[str], day: str, length: int, room: str = "", but: Event | None = None
    ) -> list[int]:
        """Return the starts, on half hours of the working day, at which people and a room are free for so long."""
        taken = self.taken(people, day, room, but)
        return [start for start in range(OPENS, CLOSES - length + 1, 30) if _apart(taken, start, start + length)]

    # -- adding --------------------------------------------------------------------------------------------------

    def text(self, rng: random.Random, kinds: Iterable[str]) -> str:
        """Return a new pair of words for a title, a subject or a name."""
        kinds = list(kinds)
        while True:
            found = f"{rng.choice(_TOPICS)} {rng.choice(kinds)}"
            if found in self.texts:
                found = f"{rng.choice(_TOPICS)} {found}"
            if found not in self.texts:
                self.texts.add(found)
                return found

    def add_person(self, rng: random.Random, *, company: str = "", team: str = "", name: str = "") -> Person:
        """Add a person with a name of their own, or with the one that is given."""
        taken = {each.name for each in self.people}
        while not name or (name in taken and not company and not team):
            name = f"{rng.choice(FIRST_NAMES)} {rng.choice(LAST_NAMES)}"
        host = f"{company.lower()}.test" if company else HOME
        login = name.lower().replace(" ", ".")
        number = sum(each.name == name and each.company == company for each in self.people) + 1
        address = f"{login}{number if number > 1 else ''}@{host}"
        phones = {each.phone for each in self.people}
        phone = next(each for each in iter(lambda: str(rng.randint(1000, 9999)), "") if each not in phones)
        lunch = 0 if company else rng.choice(LUNCHES)
        found = Person(address, name, company, team, "", phone, lunch)
        self.people.append(found)
        self.book[address] = found
        return found

    def add_event(
        self, rng: random.Random, organiser: Person, others: list[Person], *, length: int = 0, day: str = ""
    ) -> Event | None:
        """Add an event at a time at which all are free, in a room that is free and fits, if there is one.

        Returns:
            The event; None where no time was found.
        """
        who = [organiser.address, *(each.address for each in others)]
        length = length or rng.choice((30, 60, 90))
        for _ in range(8):
            on = day or workday(self.today, rng.randint(1, 12))
            starts = self.slots(who, on, length)
            if not starts:
                continue
            start = rng.choice(starts)
            rooms = [
                code
                for code, _, seats in self.rooms
                if seats >= len(who) and self.room_free(code, on, start, start + length)
            ]
            guests = {each: rng.choice(("yes", "yes", "no", "none")) for each in who}
            guests[organiser.address] = "yes"
            title = self.text(rng, _MEETINGS)
            room = rng.choice(rooms) if rooms else ""
            found = Event(self.codes.draw(), title, organiser.address, on, start, start + length, room, guests)
            self.events.append(found)
            return found
        return None

    def add_mail(
        self, rng: random.Random, sender: Person, to: list[Person], *, day: str = "", subject: str = ""
    ) -> Mail:
        """Add a mail of its own thread, in the inbox, or in sent where it is the user's."""
        code = self.codes.draw()
        found = Mail(
            code=code,
            thread=self.codes.draw(),
            folder="sent" if sender is self.me else "inbox",
            label="",
            sender=sender.address,
            day=day or ago(self.today, rng.randint(1, 40)),
            time=wall(rng.randrange(9 * 60, 17 * 60)),
            subject=subject or self.text(rng, _SUBJECTS),
            body=rng.choice(("Please have a look.", "What do you think?", "More on this soon.", "Thank you for this.")),
            to=[each.address for each in to],
        )
        self.mails.append(found)
        return found

    def add_file(self, rng: random.Random, owner: Person, *, folder: str = "") -> File:
        """Add a file with one to three versions."""
        days = sorted(ago(self.today, each) for each in rng.sample(range(2, 400), rng.randint(1, 3)))
        versions = [(day, owner.address, rng.randint(2, 900)) for day in days]
        found = File(
            code=self.codes.draw(),
            name=self.text(rng, _PAPERS),
            folder=folder or rng.choice(FOLDER_NAMES),
            owner=owner.address,
            day=days[-1],
            mb=versions[-1][2],
            versions=versions,
        )
        self.files.append(found)
        return found

    def settle(self) -> None:
        """Write all objects into `rows`."""
        guests = [[each.code, *pair] for each in self.events for pair in each.guests.items()]
        to = [[each.code, person] for each in self.mails for person in each.to]
        shares = [[each.code, *pair] for each in self.files for pair in each.shares.items()]
        versions = [
            [each.code, number, *line] for each in self.files for number, line in enumerate(each.versions, start=1)
        ]
        self.rows = {
            "me": [[self.me.address]],
            "people": [
                [
                    each.address,
                    each.name,
                    each.company,
                    each.team,
                    each.manager,
                    each.phone,
                    wall(each.lunch) if each.lunch else "",
                ]
                for each in self.people
            ],
            "rooms": [list(each) for each in self.rooms],
            "events": [
                [each.code, each.title, each.organiser, each.day, wall(each.start), wall(each.finish), each.room]
                for each in self.events
            ],
            "guests": _keyed("g", guests),
            "mails": [
                [m.code, m.thread, m.folder, m.label, m.sender, m.day, m.time, m.subject, m.body, "", ""]
                for m in self.mails
            ],
            "recipients": _keyed("r", to),
            "files": [
                [f.code, f.name, f.folder, f.owner, f.day, f.mb, len(f.versions), f.confidential, f.hold]
                for f in self.files
            ],
            "shares": _keyed("s", shares),
            "versions": _keyed("v", versions),
        }


def populate(rng: random.Random, split: str, level: int) -> Office:
    """Draw an office.

    Args:
        rng: Decides everything.
        split: Of the episode.
        level: 1 to 5; the office is larger by it.
    """
    num_people, num_events, num_mails, num_files = _SIZES[level]
    today = workday("2026-01-01", rng.randint(0, 220))
    office = Office(
        rows={}, today=today, split=split, codes=Codes(rng), level=level, me=Person("", "", "", "", "", "", 0)
    )
    _fill_people(rng, office, num_people)
    seats = rng.sample(range(3, 30), 3 + level)
    office.rooms = [(office.codes.draw(), rng.randint(1, 4), each) for each in seats]
    colleagues = office.colleagues()
    days = [workday(today, each) for each in range(1, 13)]
    rng.shuffle(days)
    for index in range(num_events):
        organiser = office.me if index % 3 == 0 else rng.choice(office.people)
        others = rng.sample(colleagues, min(len(colleagues), rng.randint(1, 3)))
        if index % 3 == 1 and organiser is not office.me:
            others.append(office.me)
        others = [each for each in others if each is not organiser]
        if organiser.inside and others:
            office.add_event(rng, organiser, others, day=days[index] if index < len(days) else "")
    ages = rng.sample(range(1, 90), num_mails) if num_mails < 80 else [rng.randint(1, 90) for _ in range(num_mails)]
    others = [each for each in office.people if each is not office.me]
    for index, age in enumerate(ages):
        sender = office.me if index % 4 == 3 else rng.choice(others)
        to = [office.me] if sender is not office.me else [rng.choice(others)]
        office.add_mail(rng, sender, to, day=ago(today, age))
    for index in range(num_files):
        file = office.add_file(rng, office.me if index % 2 == 0 else rng.choice(colleagues))
        for person in rng.sample(others, rng.randint(0, 2)):
            if person.inside and person.address != file.owner:
                file.shares[person.address] = rng.choice(("view", "edit"))
    return office


def workday(first: str, count: int) -> str:
    """Return the day that is so many working days after a day; 0: the next that is one, or the day itself.

    >>> workday("2026-03-06", 1)
    '2026-03-09'
    """
    day = date.fromisoformat(first)
    while day.weekday() > 4:
        day += timedelta(days=1)
    weeks, rest = divmod(day.weekday() + count, 5)
    return (day + timedelta(days=7 * weeks + rest - day.weekday())).isoformat()


def _apart(taken: list[tuple[int, int]], start: int, finish: int) -> bool:
    return not any(first < finish and start < last for first, last in taken)


def _fill_people(rng: random.Random, office: Office, count: int) -> None:
    """Add the user, and people of two or more teams with a manager each; about one in four is from outside."""
    teams = rng.sample(TEAMS, max(2, min(len(TEAMS), count // 5)))
    companies = rng.sample(COMPANIES, max(1, min(len(COMPANIES), count // 6)))
    office.me = office.add_person(rng, team=teams[0])
    num_outside = max(1, count // 4)
    inside = [office.me] + [
        office.add_person(rng, team=teams[index % len(teams)]) for index in range(1, count - num_outside)
    ]
    for index in range(num_outside):
        office.add_person(rng, company=companies[index % len(companies)])
    heads = {team: next((each for each in inside[1:] if each.team == team), inside[-1]) for team in teams}
    for each in inside:
        head = heads[each.team]
        each.manager = head.address if head is not each else ""


def ago(today: str, days: int) -> str:
    """Return the day that is so many days before a day."""
    return (date.fromisoformat(today) - timedelta(days=days)).isoformat()


def _keyed(prefix: str, rows: Sequence[Sequence[object]]) -> list[list[object]]:
    return [[f"{prefix}{number}", *row] for number, row in enumerate(rows, start=1)]
