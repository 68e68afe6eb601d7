"""Rubrics as data: what is written is read back, and what is wrong is named."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import pytest

from agentrl.envs.errors import UsageError
from agentrl.envs.rubrics import Component, Rubric, Transcript, from_toml, load_rubric, to_toml

WHOLE = """
name = "search"
clip = [0, 1]
deadline_s = 20.0

[[component]]
name = "correct"
use = "exact_match"
gate = 1.0
with = {reference = "Paris"}

[[component]]
use = "num_turns"
weight = 0.25
at = "end"
normalise = [0.0, 2.0]
clip = [0.0, 1.0]
with = {soft = 2, hard = 4}
"""


def test_a_rubric_is_read_and_written_back() -> None:
    rubric = from_toml(WHOLE)
    assert [each.name for each in rubric.components] == ["correct", "num_turns"]
    again = from_toml(to_toml(rubric))
    assert again == rubric
    episode = Transcript(messages=({"role": "assistant", "content": "<answer>Paris</answer>"},))
    assert again.score(episode) == rubric.score(episode)
    assert rubric.score(episode).reward == 1.0  # 1 + 0.25 * 0.5, clipped


def test_a_rubric_is_read_from_a_file(tmp_path: Path) -> None:
    path = tmp_path / "rubric.toml"
    path.write_text(WHOLE)
    assert load_rubric(path) == from_toml(WHOLE)
    with pytest.raises(UsageError, match=r"nowhere.toml' cannot be read"):
        load_rubric(tmp_path / "nowhere.toml")


def test_a_factory_of_the_user(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "rubric_parts_of_mine.py").write_text(
        "def shouting(*, mark='!'):\n    return lambda episode: float(mark in episode.turns[-1])\n"
    )
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    rubric = from_toml("[[component]]\nuse = 'rubric_parts_of_mine:shouting'\nwith = {mark = '?'}")
    assert rubric.score(Transcript(messages=({"role": "assistant", "content": "What?"},))).values == {"shouting": 1.0}
    assert from_toml(to_toml(rubric)) == rubric


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("[[component", "is no TOML"),
        ("", "at least one component"),
        ("component = 3", "at least one component"),
        ("[[component]]\nweight = 1.0", "component 1 has no use"),
        ("[[component]]\nuse = 'exact_mach'", "did you mean 'exact_match'"),
        ("[[component]]\nuse = 'exact_match'\nwieght = 1", "did you mean 'weight'"),
        ("[[component]]\nuse = 'exact_match'\nwith = {referense = 'a'}", "did you mean 'reference'"),
        ("[[component]]\nuse = 'exact_match'\nwith = 3", r"write \[component.with\]"),
        ("[[component]]\nuse = 'nowhere:f'", "'nowhere' cannot be imported"),
        ("[[component]]\nuse = 'json:loads'", "cannot be made"),
        ("[[component]]\nuse = 'builtins:dict'", "is no factory"),
        ("[[component]]\nuse = 'string:Formatter'", "a factory returns a function"),
        ("[[component]]\nuse = 'exact_match'\nclip = [1, 0]", "the lower first"),
        ("judge = 3\n[[component]]\nuse = 'exact_match'", r"write \[judge\]"),
        ("nme = 'x'\n[[component]]\nuse = 'exact_match'", "did you mean 'name'"),
        ("[judge]\nmodl = 'x'\n[[component]]\nuse = 'exact_match'", "did you mean 'model'"),
        ("deadline_s = true\n[[component]]\nuse = 'exact_match'", "deadline_s is True"),
        ("[[component]]\nuse = 'exact_match'\nname = 'tamper'", "'tamper' of a component is taken"),
        (f"[[component]]\nuse = 'exact_match'\nweight = {'9' * 400}", "must be a finite number"),
        (f"clip = [0, {'9' * 400}]\n[[component]]\nuse = 'exact_match'", "the lower first"),
        (f"[[component]]\nuse = 'num_turns'\nwith = {{soft = 1, hard = {'9' * 400}}}", "num_turns"),
        (f"a = {'[' * 5000}", "is no TOML"),
        ("[[component]]\nuse = 'json_schema'\nwith = {schema = {'$schema' = 3}}", "json_schema"),
        ("[[component]]\nuse = '../x:y'", "cannot be imported"),
        ("deadline_s = -1\n[[component]]\nuse = 'num_turns'\nwith = {soft = 1, hard = 2}", "deadline_s is -1"),
    ],
)
def test_what_is_wrong_is_named(text: str, told: str) -> None:
    with pytest.raises(UsageError, match=told):
        from_toml(text, place="mine.toml")


@pytest.mark.parametrize(
    ("source", "told"),
    [
        ("raise RuntimeError('x')", "cannot be imported: RuntimeError: x"),
        ("def f(:", "cannot be imported: SyntaxError"),
        ("import sys; sys.exit(7)", "cannot be imported: SystemExit: 7"),
        ("def f(): return {}['a']", "cannot be made: KeyError"),
        ("def f(): raise SystemExit(7)", "cannot be made: SystemExit: 7"),
        ("def f(): return f()", "cannot be made: RecursionError"),
    ],
)
def test_what_a_rubric_names_may_be_broken(
    source: str, told: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "broken_parts_of_mine.py").write_text(source)
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.delitem(sys.modules, "broken_parts_of_mine", raising=False)
    with pytest.raises(UsageError, match=told):
        from_toml("[[component]]\nuse = 'broken_parts_of_mine:f'")


def test_a_function_is_no_data() -> None:
    def scorer(episode: Transcript) -> Any:
        return 1.0

    with pytest.raises(UsageError, match="is a function, and not data"):
        to_toml(Rubric(components=(Component(name="a", use=scorer),)))
