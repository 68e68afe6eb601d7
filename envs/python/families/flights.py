"""What is asked of flights: wordings for both splits, and the cells that find the answers."""

from __future__ import annotations

from agentrl.envs.python.domains import flights as data
from agentrl.envs.python.family import Family

__all__ = ["FAMILIES"]

FAMILIES = (
    Family(
        name="flights-passengers",
        levels=(1,),
        world=data.world,
        ask=data.ask_passengers,
        train=("How many passengers flew to $to in all?", "Add up the passengers of the flights to $to."),
        test=(
            "What is the total of passengers who went to $to?",
            "Sum the passengers over all flights whose goal is $to.",
        ),
        cell='print(sum(f["passengers"] for f in flights if f["to"] == $to))',
    ),
    Family(
        name="flights-passengers-of-route",
        levels=(2, 3),
        world=data.world,
        ask=data.ask_passengers,
        train=(
            "How many passengers flew from $origin to $to in all?",
            "Add up the passengers of the flights from $origin to $to.",
        ),
        test=(
            "What is the total of passengers on the route $origin to $to?",
            "Sum the passengers who left $origin for $to.",
        ),
        cell='print(sum(f["passengers"] for f in flights if f["origin"] == $origin and f["to"] == $to))',
    ),
    Family(
        name="flights-mean-delay",
        levels=(1, 2, 3),
        world=data.world,
        ask=data.ask_mean_delay,
        train=("What is the mean delay of the flights to $to?", "How long is the delay of flights to $to on average?"),
        test=(
            "Find the average delay on the way to $to.",
            "Take all flights that go to $to: what is the mean of their delays?",
        ),
        cell="""
found = [f["delay"] for f in flights if f["to"] == $to]
print(round(sum(found) / len(found), 2))""",
    ),
    Family(
        name="flights-late",
        levels=(2, 3),
        world=data.world,
        ask=data.ask_late,
        train=(
            "How many flights from $origin had a delay of more than $limit minutes?",
            "Count the flights from $origin that were over $limit minutes late.",
        ),
        test=(
            "Of the flights that left $origin, how many were delayed by over $limit minutes?",
            "What number of flights out of $origin has a delay greater than $limit?",
        ),
        cell='print(sum(f["origin"] == $origin and f["delay"] > $limit for f in flights))',
    ),
    Family(
        name="flights-fullest-goal",
        levels=(2, 3),
        world=data.world,
        ask=data.ask_fullest,
        train=(
            "Of the flights from $origin with a delay of at most $limit minutes, those to which city have the "
            "most passengers on average?",
            "Flights from $origin with delays up to $limit minutes: to which city do they carry the highest mean "
            "of passengers?",
        ),
        test=(
            "Leave out delays over $limit minutes: to what city do flights out of $origin have the greatest "
            "average of passengers?",
            "Name the goal with the largest mean of passengers from $origin, flights delayed more than $limit "
            "minutes left out.",
        ),
        cell="""
found = {}
for f in flights:
    if f["origin"] == $origin and f["delay"] <= $limit:
        found.setdefault(f["to"], []).append(f["passengers"])
print(max(found, key=lambda city: sum(found[city]) / len(found[city])))""",
    ),
    Family(
        name="flights-time-of-route",
        levels=(4,),
        world=data.world,
        ask=data.ask_route_time,
        train=(
            "How many minutes is a flight from $origin to $to in the air on average, by departs and lands?",
            "What is the mean time in minutes from take-off to landing of the flights from $origin to $to?",
        ),
        test=(
            "Going by departs and lands, what do flights $origin to $to take on average, in minutes?",
            "Find the average duration, in minutes, of the route $origin to $to.",
        ),
        cell="""
found = [minutes(f) for f in flights if f["origin"] == $origin and f["to"] == $to]
print(round(sum(found) / len(found), 2))""",
    ),
    Family(
        name="flights-longest",
        levels=(4, 5),
        world=data.world,
        ask=data.ask_longest,
        train=(
            "Which flight from $origin was in the air the longest, when flights to $to are left out? Give its "
            "number from the column flight.",
            "Without those to $to, which flight (column flight) from $origin took the most time from departs to lands?",
        ),
        test=(
            "Ignore flights to $to: name by its column flight the one out of $origin with the greatest duration.",
            "Of all that left $origin for anywhere but $to, which one, by column flight, flew the longest time?",
        ),
        cell="""
found = [f for f in flights if f["origin"] == $origin and f["to"] != $to]
print(max(found, key=minutes)["flight"])""",
    ),
    Family(
        name="flights-minutes-into-country",
        levels=(4, 5),
        world=data.world,
        ask=data.ask_country_minutes,
        train=(
            "How many minutes were all flights in the air that came into the country $country from other "
            "countries and departed in $month by UTC?",
            "Add up the minutes in the air of flights into $country from abroad whose departure in UTC lies in $month.",
        ),
        test=(
            "For flights from other countries into $country, with a UTC departure in $month, what is the total "
            "duration in minutes?",
            "In $month (departure in UTC), how long did foreign flights to $country take altogether, in minutes?",
        ),
        cell="""
found = 0
for f in flights:
    into = airports[f["to"]]["country"] == $country != airports[f["origin"]]["country"]
    if into and f"{utc(f['departs'], f['origin']):%Y-%m}" == $month:
        found += minutes(f)
print(found)""",
    ),
    Family(
        name="flights-hours-of-pilot",
        levels=(5,),
        world=data.world,
        ask=data.ask_pilot_hours,
        train=(
            "How many hours was the pilot $pilot in the air on flights that began in the country $country?",
            "Add up the hours in the air of the flights of $pilot that left airports in $country.",
        ),
        test=(
            "In hours, what is the total duration of flights from $country that $pilot flew?",
            "For how many hours did $pilot fly on routes starting in $country?",
        ),
        cell="""
pilot = {p["plane"]: p["pilot"] for p in planes}
found = [f for f in flights if pilot[f["plane"]] == $pilot and airports[f["origin"]]["country"] == $country]
print(round(sum(map(minutes, found)) / 60, 2))""",
    ),
    Family(
        name="flights-occupancy",
        levels=(5,),
        world=data.world,
        ask=data.ask_occupancy,
        train=(
            "Of all seats of the planes of the model $model on flights to $city, how many percent were taken by "
            "passengers?",
            "On flights to $city with planes of the model $model, which percentage of all seats had a passenger?",
        ),
        test=(
            "What share, in percent, of the seats flown to $city by $model planes was filled, over all those "
            "flights together?",
            "Divide passengers by seats, both summed over flights to $city with model $model: how many percent "
            "is that?",
        ),
        cell="""
plane = {p["plane"]: p for p in planes}
found = [f for f in flights if f["to"] == $city and plane[f["plane"]]["model"] == $model]
print(round(100 * sum(f["passengers"] for f in found) / sum(plane[f["plane"]]["seats"] for f in found), 2))""",
    ),
    Family(
        name="flights-connections",
        levels=(5,),
        world=data.world,
        ask=data.ask_connections,
        train=(
            "How many connections with one stop lead from $a to $b: two flights, of which the second departs where the "
            "first landed, at least $least and at most $most minutes later? Delays do not count.",
            "Count the pairs of a flight from $a to some city and one from there to $b with $least to $most minutes "
            "(both allowed) from landing to departure, without regard to delays.",
        ),
        test=(
            "Changing planes once takes from $least up to $most minutes; in how many ways can two flights be joined "
            "from $a to $b, delays ignored?",
            "With no less than $least and no more than $most minutes between landing and leaving, how many pairs of "
            "flights lead from $a over any one city to $b? Ignore delays.",
        ),
        cell="""
ends = {}
for f in flights:
    if f["origin"] == $a and f["to"] != $b:
        ends.setdefault(f["to"], []).append(utc(f["lands"], f["to"]))
count = 0
for f in flights:
    if f["to"] == $b and f["origin"] in ends:
        start = utc(f["departs"], f["origin"])
        count += sum($least <= (start - end).total_seconds() / 60 <= $most for end in ends[f["origin"]])
print(count)""",
    ),
    Family(
        name="flights-latest-pilot",
        levels=(5,),
        world=data.world,
        ask=data.ask_best_pilot,
        train=(
            "Which pilot's flights to $to have the highest mean delay?",
            "Whose flights to $to are the most delayed on average? Name the pilot.",
        ),
        test=(
            "By average delay on the way to $to, which pilot comes last?",
            "Name the pilot with the greatest mean of delays over flights to $to.",
        ),
        cell="""
pilot = {p["plane"]: p["pilot"] for p in planes}
found = {}
for f in flights:
    if f["to"] == $to:
        found.setdefault(pilot[f["plane"]], []).append(f["delay"])
print(max(found, key=lambda name: sum(found[name]) / len(found[name])))""",
    ),
)
