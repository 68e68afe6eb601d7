"""Two people of one name, and several wishes in one request."""

from __future__ import annotations

import random

from agentrl.envs.tooluse.case import Ask, Case, Fact, Reveal
from agentrl.envs.tooluse.workspace.families.calendar import missing_replies, next_with
from agentrl.envs.tooluse.workspace.families.events import move_allowed
from agentrl.envs.tooluse.workspace.families.files import size_sum
from agentrl.envs.tooluse.workspace.families.mail import forward_to_manager, label_all, reply
from agentrl.envs.tooluse.workspace.families.sharing import share_refused
from agentrl.envs.tooluse.workspace.kit import Draw, do, family, own_file, person_call, say, to
from agentrl.envs.tooluse.workspace.world import COMPANIES, TEAMS, Office, Person

__all__ = ["MIXED"]


def _namesakes(rng: random.Random, office: Office) -> list[Person]:
    """Return three people inside of one name, each of another team."""
    first = rng.choice(office.colleagues())
    teams = [each for each in TEAMS if each != first.team]
    more = [office.add_person(rng, name=first.name, team=team) for team in rng.sample(teams, 2)]
    for each in more:
        each.manager = office.me.manager
    return [first, *more]


def _share_namesake(rng: random.Random, office: Office, level: int) -> Case:
    """Share with one of three people of a name, whom the request tells apart."""
    file, person = own_file(rng, office), rng.choice(_namesakes(rng, office))
    file.shares.pop(person.address, None)
    request = say(
        rng,
        office,
        f'Let {person.name} of {person.team} edit my file "{file.name}".',
        f'Share my file "{file.name}" with {person.name}, the one in {person.team}, to edit.',
        f'{person.name} from the team {person.team} should be able to edit my file "{file.name}".',
    )
    steps = do(to("search_files", text=file.name), person_call(person)) + do(to("read_file", file=file.code))
    return Case(
        request=request, steps=steps + do(to("share_file", file=file.code, person=person.address, access="edit"))
    )


def _which_namesake(rng: random.Random, office: Office, level: int) -> Case:
    """Share with one of three people of a name; which, the user has to be asked."""
    file, person = own_file(rng, office), rng.choice(_namesakes(rng, office))
    file.shares.pop(person.address, None)
    request = say(
        rng,
        office,
        f'Let {person.name} edit my file "{file.name}".',
        f'Share my file "{file.name}" with {person.name}, to edit.',
        f'{person.name} should be able to edit my file "{file.name}".',
    )
    steps = do(to("search_files", text=file.name), person_call(person))
    steps += (Ask(f"There are three people called {person.name}. Of which team is yours?"),)
    steps += do(to("share_file", file=file.code, person=person.address, access="edit"))
    says = f"The one in {person.team}."
    reveals = (Reveal(cues=("which", "what team", "team", "who", "whom"), says=says, again=f"As I said: {says}"),)
    return Case(request=request, steps=steps, reveals=reveals)


def _phone_of_namesake(rng: random.Random, office: Office, level: int) -> Case:
    """Ask for the number of the manager of one of two people of a name, one inside and one outside."""
    inside = rng.choice([each for each in office.colleagues() if each.manager])
    company = rng.choice(COMPANIES)
    outside = office.add_person(rng, name=inside.name, company=company)
    person = rng.choice((inside, outside))
    where = f"at {company}" if person is outside else f"in our team {inside.team}"
    request = say(
        rng,
        office,
        f"Which phone number has {person.name} {where}?",
        f"I want to call {person.name}, the one {where}. What is the number?",
        f"Give me the number of the {person.name} who is {where}.",
    )
    facts = (Fact(value=person.phone, kind="number"),)
    return Case(request=request, steps=do(person_call(person)), tell=facts)


def _both(rng: random.Random, office: Office, level: int, *draws: Draw) -> Case | None:
    """Join several cases; the draws must not disturb each other, and one at most refuses."""
    cases = [draw(rng, office, level) for draw in draws]
    if any(case is None for case in cases):
        return None
    found = [case for case in cases if case is not None]
    joint = say(rng, office, " Then something else: ", " And also: ", " Another thing: ")
    request = joint.join(case.request for case in found)
    if any(fact.value in request for case in found for fact in case.tell):
        return None
    return Case(
        request=request,
        steps=tuple(step for case in found for step in case.steps),
        tell=tuple(fact for case in found for fact in case.tell),
        refuse=next((case.refuse for case in found if case.refuse is not None), None),
        reveals=tuple(reveal for case in found for reveal in case.reveals),
    )


def _forward_and_move(rng: random.Random, office: Office, level: int) -> Case | None:
    return _both(rng, office, level, forward_to_manager, move_allowed)


def _refuse_and_reply(rng: random.Random, office: Office, level: int) -> Case | None:
    return _both(rng, office, level, share_refused, reply)


def _sum_and_label(rng: random.Random, office: Office, level: int) -> Case | None:
    return _both(rng, office, level, size_sum, label_all)


def _next_and_sum(rng: random.Random, office: Office, level: int) -> Case | None:
    return _both(rng, office, level, forward_to_manager, next_with, size_sum)


def _replies_and_forward(rng: random.Random, office: Office, level: int) -> Case | None:
    return _both(rng, office, level, missing_replies, forward_to_manager)


MIXED = (
    family("share-namesake", (4, 5), _share_namesake),
    family("which-namesake", (3, 4, 5), _which_namesake),
    family("phone-of-namesake", (2, 3, 4), _phone_of_namesake),
    family("forward-and-move", (5,), _forward_and_move),
    family("refuse-and-reply", (5,), _refuse_and_reply),
    family("sum-and-label", (5,), _sum_and_label),
    family("forward-next-and-sum", (5,), _next_and_sum),
    family("replies-and-forward", (5,), _replies_and_forward),
)
