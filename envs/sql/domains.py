"""The worlds that questions are asked about: sixteen domains, each of six to eight tables, written in a few lines.

A line is `singular/plural: column, …`. A column is `words:type`, where `?` says that it may be missing:
`name` a name; `one(a b c)` one of these words; `int(low high)`; `real(low high)`, in steps of a quarter; `date`.
`word>table` refers to a row of that table. A domain belongs to one split, by a stable hash of its name.
"""

from __future__ import annotations

import re
import zlib
from collections.abc import Mapping
from dataclasses import dataclass, field

__all__ = ["DOMAINS", "Column", "Entity", "domains_of", "split_of"]


@dataclass(frozen=True, kw_only=True)
class Column:
    """What a record says about itself, or to which record it belongs."""

    name: str  # in words
    kind: str  # name, one, int, real, date or ref
    values: tuple[str, ...] = ()  # of `one`
    low: int = 0  # of `int` and `real`
    high: int = 0
    target: str = ""  # of `ref`: the entity
    nullable: bool = False


@dataclass(frozen=True, kw_only=True)
class Entity:
    """A kind of record: a table."""

    name: str  # in words, singular
    plural: str
    columns: Mapping[str, Column] = field(default_factory=dict)

    def of_kind(self, *kinds: str) -> list[Column]:
        """Return the columns of these kinds."""
        return [column for column in self.columns.values() if column.kind in kinds]


_TEXT = """
library
author/authors: name:name, country:one(Norway Chile Japan Kenya), birth year:int(1930 1995)
book/books: title:name, author>author, genre:one(crime poetry history travel), pages:int(80 900), price:real(5 40)?
branch/branches: name:name, district:one(north south east west), floor area:int(100 900)
copy/copies: book>book, branch>branch, shelf:int(1 40), bought on:date
member/members: name:name, district:one(north south east west), joined on:date, age:int(8 90)?
loan/loans: copy>copy, member>member, taken on:date, returned on:date?, fine:real(0 12)?
visit/visits: member>member, branch>branch, visited on:date, minutes:int(5 240)

clinic
doctor/doctors: name:name, specialty:one(heart skin eyes bones), hired on:date, salary:int(3000 9000), chief>doctor?
patient/patients: name:name, city:one(Oslo Bergen Hamar Molde), born on:date, weight:int(40 120)?
drug/drugs: name:name, form:one(tablet syrup cream drops), price:real(2 60), stock:int(0 500)
appointment/appointments: doctor>doctor, patient>patient, held on:date, minutes:int(5 90), fee:real(20 200)?
prescription/prescriptions: appointment>appointment, drug>drug, amount:int(1 10), ends on:date?
ward/wards: name:name, level:int(0 9), beds:int(4 40), head>doctor?
admission/admissions: patient>patient, ward>ward, admitted on:date, discharged on:date?

store
customer/customers: name:name, city:one(Lyon Nice Lille Metz), since:date, credit:int(0 900)?
supplier/suppliers: name:name, country:one(Italy Spain Poland Greece), rating:int(1 5)?
product/products: name:name, supplier>supplier, category:one(tools toys lamps bags), price:real(3 90), stock:int(0 200)
purchase/purchases: customer>customer, placed on:date, shipped on:date?, status:one(open paid sent returned)
purchase line/purchase lines: purchase>purchase, product>product, quantity:int(1 9), discount:int(0 30)?
review/reviews: product>product, customer>customer, stars:int(1 5), written on:date
payment/payments: purchase>purchase, method:one(card cash transfer), amount:real(5 300), paid on:date

school
teacher/teachers: name:name, subject:one(maths music physics art), hired on:date, pay:int(2000 5000), mentor>teacher?
course/courses: title:name, teacher>teacher, room number:int(1 60), fee:real(0 90), level:one(basic middle advanced)
student/students: name:name, year:int(1 6), born on:date, town:one(Rieti Terni Narni Todi)?
enrolment/enrolments: student>student, course>course, enrolled on:date, mark:int(1 30)?
exam/exams: course>course, held on:date, minutes:int(30 240), kind:one(written oral practical)
result/results: exam>exam, student>student, points:int(0 100)?, attempt:int(1 3)
club/clubs: name:name, adviser>teacher?, founded on:date, budget:int(0 900)

airline
airport/airports: name:name, region:one(coast inland islands mountains), runways:int(1 6), opened on:date
aircraft/aircraft: name:name, maker:one(Arlo Brice Cadmus), seats:int(20 400), built on:date
pilot/pilots: name:name, rank:one(captain officer trainee), hired on:date, flown hours:int(50 9000), trainer>pilot?
flight/flights: origin>airport, destination>airport, aircraft>aircraft, pilot>pilot?, left on:date,
  distance:int(100 9000)
passenger/passengers: name:name, country:one(Peru Malta Nepal Ghana), miles:int(0 9000)?
ticket/tickets: flight>flight, passenger>passenger, price:real(30 600), bought on:date,
  seat class:one(economy business first)
repair/repairs: aircraft>aircraft, started on:date, finished on:date?, cost:int(100 9000)

cinema
director/directors: name:name, country:one(France India Brazil Korea), born on:date
film/films: title:name, director>director, genre:one(drama comedy thriller western), minutes:int(70 200),
  released on:date
hall/halls: name:name, seats:int(40 400), screen:one(small wide curved)
screening/screenings: film>film, hall>hall, shown on:date, price:real(4 20), sold:int(0 300)?
viewer/viewers: name:name, age:int(10 80)?, joined on:date, district:one(centre harbour hills park)
booking/bookings: screening>screening, viewer>viewer, seats taken:int(1 8), booked on:date, cancelled on:date?
rating/ratings: film>film, viewer>viewer, stars:int(1 10), given on:date

farm
field/fields: name:name, soil:one(clay sand loam peat), area:real(1 40), slope:int(0 30)?
crop/crops: name:name, season:one(spring summer autumn), days to ripen:int(40 200), price:real(1 20)
worker/workers: name:name, role:one(driver picker guard), hired on:date, wage:int(900 3000), foreman>worker?
harvest/harvests: field>field, crop>crop, worker>worker?, gathered on:date, weight:int(50 900)
machine/machines: name:name, kind:one(tractor drill mower), bought on:date, cost:int(500 9000)
service/services: machine>machine, worker>worker, done on:date, hours:real(1 20), bill:int(20 900)?
sowing/sowings: field>field, crop>crop, sown on:date, bags:int(1 40)

hotel
hotel/hotels: name:name, city:one(Faro Braga Evora Tomar), stars:int(1 5), opened on:date
room/rooms: hotel>hotel, room number:int(100 600), kind:one(single double suite), price:real(30 300)
guest/guests: name:name, country:one(Latvia Canada Egypt Jordan), born on:date?, points:int(0 900)
stay/stays: room>room, guest>guest, arrived on:date, left on:date?, paid:real(30 900)
extra/extras: stay>stay, item:one(breakfast parking spa laundry), price:real(3 60), quantity:int(1 5)
maid/maids: name:name, hotel>hotel, hired on:date, wage:int(900 2400), leader>maid?
cleaning/cleanings: room>room, maid>maid, cleaned on:date, minutes:int(10 90)

music
label/labels: name:name, country:one(Sweden Cuba Ireland Mali), founded on:date
band/bands: name:name, label>label?, style:one(jazz folk rock metal), formed on:date, members:int(1 12)
album/albums: title:name, band>band, released on:date, price:real(5 40), sold:int(10 9000)?
song/songs: title:name, album>album, seconds:int(90 600), plays:int(0 900)
venue/venues: name:name, town:one(Cork Sligo Ennis Tralee), capacity:int(50 900)
concert/concerts: band>band, venue>venue, played on:date, fee:int(100 5000)?, visitors:int(10 900)
fan/fans: name:name, favourite>band, age:int(12 80), joined on:date

league
stadium/stadiums: name:name, town:one(Gent Namur Mons Aalst), capacity:int(500 9000), built on:date
club/clubs: name:name, stadium>stadium?, founded on:date, budget:int(100 900), tier:one(top second third)
player/players: name:name, club>club, position:one(keeper back half forward), born on:date, salary:int(1000 9000)?
game/games: home>club, guest>club, played on:date, home goals:int(0 6), guest goals:int(0 6), visitors:int(100 9000)
goal/goals: game>game, player>player, minute:int(1 95), kind:one(foot head penalty)
coach/coaches: name:name, club>club, hired on:date, wins:int(0 90), mentor>coach?
transfer/transfers: player>player, seller>club, buyer>club, moved on:date, fee:int(0 900)?

bank
adviser/advisers: name:name, office:one(Basel Chur Thun Zug), hired on:date, bonus:int(0 900)?, manager>adviser?
client/clients: name:name, adviser>adviser?, segment:one(private business student), joined on:date, score:int(1 100)
account/accounts: client>client, kind:one(savings checking deposit), opened on:date, closed on:date?,
  balance:real(0 900)
movement/movements: account>account, booked on:date, amount:real(1 500), channel:one(branch web phone)
card/cards: account>account, brand:one(Velo Orbit Unita), expires on:date, day limit:int(100 2000)?
loan/loans: client>client, adviser>adviser, granted on:date, amount:int(500 9000), months:int(6 120)
complaint/complaints: client>client, filed on:date, solved on:date?, severity:int(1 5)

museum
artist/artists: name:name, country:one(Austria Mexico Turkey Iran), born on:date?, style:one(modern classic folk)
gallery/galleries: name:name, wing:one(old new garden), area:int(40 900), guide>guard?
piece/pieces: title:name, artist>artist?, gallery>gallery, acquired on:date, value:int(100 9000),
  material:one(oil wood bronze glass)
guard/guards: name:name, hired on:date, wage:int(1000 2600), shift:one(early late night)
exhibition/exhibitions: title:name, opened on:date, closed on:date?, ticket:real(4 30)
showing/showings: exhibition>exhibition, piece>piece, position:int(1 60), lit:int(1 10)?
restoration/restorations: piece>piece, started on:date, finished on:date?, cost:int(50 900)

harbour
port/ports: name:name, sea:one(Baltic Black Adriatic Ionian), depth:int(5 30), berths:int(2 40)
company/companies: name:name, seat:one(Riga Varna Split Patras), founded on:date, rating:int(1 9)?
ship/ships: name:name, company>company, kind:one(tanker ferry trawler barge), length:int(20 300), built on:date
captain/captains: name:name, licensed on:date, pay:int(3000 9000), coach>captain?
voyage/voyages: ship>ship, captain>captain, origin>port, destination>port, sailed on:date, arrived on:date?,
  distance:int(50 5000)
cargo/cargoes: voyage>voyage, goods:one(grain timber oil fish), weight:int(10 900), worth:real(10 900)?
inspection/inspections: ship>ship, port>port, made on:date, faults:int(0 20)

office
site/sites: name:name, city:one(Delft Breda Assen Zwolle), rent:int(500 5000), opened on:date
department/departments: name:name, site>site?, budget:int(100 900), founded on:date
employee/employees: name:name, department>department, manager>employee?, hired on:date,
  salary:int(2000 8000), grade:one(junior senior lead)
project/projects: title:name, department>department, started on:date, ended on:date?, budget:int(100 900)
assignment/assignments: employee>employee, project>project, hours:int(5 200), rate:real(20 90)?
task/tasks: project>project, owner>employee?, due on:date, points:int(1 21), status:one(open blocked done)
device/devices: employee>employee?, kind:one(laptop phone screen), bought on:date, price:real(50 900)

restaurant
cook/cooks: name:name, station:one(grill oven cold pastry), hired on:date, wage:int(1200 3600), trainer>cook?
dish/dishes: name:name, cook>cook, course:one(starter main dessert), price:real(4 40), calories:int(80 900)?
ingredient/ingredients: name:name, origin:one(local import wild), cost:real(1 30), stock:int(0 90)
recipe line/recipe lines: dish>dish, ingredient>ingredient, grams:int(5 400), step:int(1 9)
visitor/visitors: name:name, town:one(Agde Sete Nimes Albi), first seen on:date, age:int(16 90)?
meal/meals: visitor>visitor, served on:date, tip:real(0 20)?, seats:int(1 8)
meal line/meal lines: meal>meal, dish>dish, quantity:int(1 5), sent back on:date?

garage
owner/owners: name:name, town:one(Graz Wels Steyr Enns), since:date, phone calls:int(0 40)?
car/cars: name:name, owner>owner, colour:one(red grey blue white), built on:date, kilometres:int(100 9000)
mechanic/mechanics: name:name, skill:one(engine brakes body lights), hired on:date, hourly pay:real(15 60),
  master>mechanic?
job/jobs: car>car, mechanic>mechanic, started on:date, finished on:date?, hours:real(1 30)
part/parts: name:name, maker:one(Bosan Derlo Fimat), price:real(2 90), stock:int(0 90)
part use/part uses: job>job, part>part, pieces:int(1 9), discount:int(0 40)?
invoice/invoices: job>job, issued on:date, settled on:date?, amount:real(20 900)
"""
_TYPE = re.compile(r"(name|one|int|real|date)(?:\(([^)]*)\))?(\?)?")


def split_of(text: str) -> str:
    """Return the split that a name, a wording or a domain belongs to; one in four is for testing.

    >>> split_of("Torvel"), split_of("Nils")
    ('train', 'test')
    """
    return "test" if zlib.crc32(text.encode()) % 4 == 0 else "train"


def _column(text: str) -> Column:
    nullable = text.endswith("?")
    if ">" in text:
        name, _, target = text.rstrip("?").partition(">")
        return Column(name=name, kind="ref", target=target, nullable=nullable)
    name, _, rest = text.partition(":")
    match = _TYPE.fullmatch(rest)
    assert match, f"{text!r} is no column"
    kind, inner = match[1], (match[2] or "").split()
    if kind == "one":
        return Column(name=name, kind=kind, values=tuple(inner), nullable=nullable)
    low, high = (int(each) for each in inner) if inner else (0, 0)
    return Column(name=name, kind=kind, low=low, high=high, nullable=nullable)


def _entity(line: str) -> Entity:
    names, _, rest = line.partition(": ")
    name, plural = names.split("/")
    columns = (_column(each) for each in rest.split(", "))
    return Entity(name=name, plural=plural, columns={column.name: column for column in columns})


def _read() -> dict[str, dict[str, Entity]]:
    found = {}
    for block in _TEXT.strip().replace(",\n  ", ", ").split("\n\n"):
        name, *lines = block.splitlines()
        found[name] = {entity.name: entity for entity in map(_entity, lines)}
    return found


DOMAINS: Mapping[str, Mapping[str, Entity]] = _read()
"""Domain -> its entities by name."""


def domains_of(split: str) -> list[str]:
    """Return the domains of a split."""
    return [name for name in DOMAINS if split_of(f"domain of {name}") == split]
