"""The kinds of repositories: what every one of them, and every bug of them, has to be."""

from __future__ import annotations

import random
import sys

import pytest

from agentrl.envs.repo.catalogue import KINDS
from agentrl.envs.repo.family import Kind, half
from agentrl.envs.repo.layouts import STYLES, Part, lay_out, with_bugs
from agentrl.envs.repo.loading import Loaded
from agentrl.envs.repo.tasks import kinds_of
from agentrl.sandboxes.grader import canonical

USES = 250


def drawn(kind: Kind, rng: random.Random) -> Part:
    params = {name: rng.choice(values) for name, values in kind.choices.items()}
    return Part(kind=kind, params=params, package=kind.packages[0] if kind.packages else "")


@pytest.mark.parametrize("name", KINDS)
def test_every_bug_breaks_some_uses_and_leaves_others(name: str) -> None:
    kind = KINDS[name]
    rng = random.Random(name)
    part = drawn(kind, rng)
    layout = lay_out(rng, [part], "project", "modules" if kind.is_small else rng.choice(STYLES))

    def loaded(templates: dict[str, str]) -> Loaded:
        return Loaded({layout.dotted(name, each): layout.source(part, each, text) for each, text in templates.items()})

    right = loaded(dict(kind.modules))
    uses = [layout.steps(part, kind.case(rng, part.params)) for _ in range(USES)]
    wanted = [right.outcome(use) for use in uses]
    for outcome in wanted:
        canonical(outcome)  # plain values, that can come out of a box
    raised = sum(outcome[0][0] == "raises" for outcome in wanted if len(outcome) == 1)
    assert raised < USES / 2, "most uses are errors"
    for bug in kind.bugs:
        broken = loaded(with_bugs(kind, [bug]))
        wrong = sum(broken.outcome(use) != outcome for use, outcome in zip(uses, wanted, strict=True))
        assert 0 < wrong < USES, f"{bug.name} breaks {wrong} of {USES} uses"


@pytest.mark.parametrize("name", KINDS)
def test_a_kind_is_complete(name: str) -> None:
    kind = KINDS[name]
    assert len(kind.bugs) >= 2
    assert len({bug.name for bug in kind.bugs}) == len(kind.bugs)
    assert not set(kind.modules) & sys.stdlib_module_names, "a flat module would shadow the library"
    if kind.is_small:
        assert len(next(iter(kind.modules.values())).splitlines()) <= 26
        return
    assert len(kind.modules) == 3
    assert len(kind.packages) >= 3
    assert not set(kind.packages) & sys.stdlib_module_names
    assert sum(kind.is_far(bug) for bug in kind.bugs) >= 2, "level 4 has causes below what is called"
    for bug in kind.bugs:
        assert bug.report.endswith("."), f"{bug.name} has no report"
        assert ".py" not in bug.report


def test_there_are_enough_and_each_belongs_to_one_split() -> None:
    assert len(KINDS) >= 40
    for level in range(1, 6):
        train, test = kinds_of("train", level), kinds_of("test", level)
        assert len(train) >= 10
        assert len(test) >= 3
        assert not {kind.name for kind in train} & {kind.name for kind in test}
        assert all(half(kind.name) == "test" for kind in test)


def test_commands_and_packages_of_several_styles_load_as_python_loads_them() -> None:
    kind = KINDS["todo-cli"]
    for style in STYLES:
        rng = random.Random(style)
        part = drawn(kind, rng)
        layout = lay_out(rng, [part], "project", style)
        sources = {
            layout.dotted(kind.name, each): layout.source(part, each, kind.modules[each]) for each in kind.modules
        }
        (code, out) = Loaded(sources).outcome(layout.steps(part, [("$todo:main", ["- buy milk"])]))[0][1]
        assert (code, out) == (0, " 1 - buy milk\n")
