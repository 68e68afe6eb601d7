"""The kind league: matches of a league and its table."""

from __future__ import annotations

import random

from agentrl.envs.repo.family import Bug, Kind, Params, Steps

__all__ = ["KIND"]

_MATCHES = '''
"""Matches of a league."""


class Match:
    """Two teams and their goals."""

    def __init__(self, home, away, home_goals, away_goals):
        if home == away:
            raise ValueError("a team does not play itself")
        self.goals = {home: home_goals, away: away_goals}
        self.home = home

    def points(self, team):
        """Return the points of a team: $win for a win, 1 for a draw."""
        own = self.goals[team]
        other = next(goals for name, goals in self.goals.items() if name != team)
        return $win if own > other else 1 if own == other else 0
'''

_ROWS = '''
"""Rows of a table."""


class Row:
    """What a team has done so far."""

    def __init__(self, team):
        self.team = team
        self.played = 0
        self.points = 0
        self.scored = 0
        self.taken = 0

    def add(self, match):
        """Count a match."""
        self.played += 1
        self.points += match.points(self.team)
        for team, goals in match.goals.items():
            if team == self.team:
                self.scored += goals
            else:
                self.taken += goals

    def key(self):
        """Return what rows are ordered by: points, difference of goals, goals, name."""
        return (-self.points, self.taken - self.scored, -self.scored, self.team)
'''

_LEAGUE = '''
"""A league."""

from @matches import Match
from @rows import Row


class $cls:
    """Matches and the table that they make."""

    def __init__(self):
        self.matches = []
        self.minus = {}

    def play(self, home, away, home_goals, away_goals):
        """Add a match."""
        self.matches.append(Match(home, away, home_goals, away_goals))

    def punish(self, team, points):
        """Take points away from a team."""
        self.minus[team] = self.minus.get(team, 0) + points

    def rows(self):
        """Return the rows in order."""
        found = {}
        for match in self.matches:
            for team in match.goals:
                found.setdefault(team, Row(team)).add(match)
        for team, points in self.minus.items():
            if team in found:
                found[team].points -= points
        return sorted(found.values(), key=Row.key)

    def table(self):
        """Return team, matches, points and difference of goals of each row."""
        return [(row.team, row.played, row.points, row.scored - row.taken) for row in self.rows()]

    def place(self, team):
        """Return the place of a team; teams with the same points and goals share one."""
        before = None
        place = 0
        for number, row in enumerate(self.rows(), 1):
            if row.key()[:3] != before:
                place, before = number, row.key()[:3]
            if row.team == team:
                return place
        return None

    def streak(self, team):
        """Return how many of its last matches a team has won in a row."""
        count = 0
        for match in self.matches:
            if team in match.goals:
                count = count + 1 if match.points(team) == $win else 0
        return count
'''


def _league(rng: random.Random, params: Params) -> Steps:
    steps: Steps = [(f"league:{params['cls']}=", [])]
    teams = ["Elm", "Oak", "Fir", "Ash"]
    for _ in range(rng.randrange(2, 8)):
        home, away = (rng.choice(teams) for _ in range(2))
        steps.append((".play", [home, away, rng.randrange(0, 4), rng.randrange(0, 3)]))
    if rng.random() < 0.3:
        steps.append((".punish", [rng.choice([*teams, "Yew"]), rng.randrange(1, 3)]))
    return [*steps, (".table", []), (".place", [rng.choice(teams)]), (".streak", [rng.choice(teams)])]


KIND = Kind(
    name="league",
    about="Matches of a league and its table.",
    modules={"matches": _MATCHES, "rows": _ROWS, "league": _LEAGUE},
    case=_league,
    packages=("standings", "season", "cupboard"),
    choices={"cls": ("League", "Season"), "win": ("3", "2")},
    bugs=(
        Bug(
            name="draw",
            module="matches",
            old="$win if own > other else 1 if own == other else 0",
            new="$win if own > other else 1 if own == other == 0 else 0",
            report="Some draws do not count.",
        ),
        Bug(
            name="taken",
            module="rows",
            old="                self.taken += goals\n",
            new="                self.taken = goals\n",
            report="The difference of goals is too good for some teams.",
        ),
        Bug(
            name="tie",
            module="rows",
            old="(-self.points, self.taken - self.scored, -self.scored, self.team)",
            new="(-self.points, -self.scored, self.taken - self.scored, self.team)",
            report="Of teams with the same points the one with the better difference of goals should come first.",
        ),
        Bug(
            name="shared",
            module="league",
            old="if row.key()[:3] != before:",
            new="if row.key() != before:",
            report="Teams with the same points and goals should share a place.",
        ),
        Bug(
            name="streak",
            module="league",
            old="count + 1 if match.points(team) == $win else 0",
            new="count + 1 if match.points(team) == $win else count",
            report="A streak should end with a match that is not won.",
        ),
        Bug(
            name="minus",
            module="league",
            old="self.minus[team] = self.minus.get(team, 0) + points",
            new="self.minus[team] = self.minus.get(team, 0) - points",
            report="A team that is punished gets points instead of losing them.",
        ),
    ),
)
"""Matches of a league and its table."""
