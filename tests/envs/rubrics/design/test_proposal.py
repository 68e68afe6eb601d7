"""Only a rubric of the box is taken from a model; what would run code or send data elsewhere is refused."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from agentrl.envs.errors import UsageError
from agentrl.envs.rubrics.design import rubric_of, toml_of

GOOD = '[[component]]\nuse = "exact_match"\n'


@pytest.mark.parametrize(
    "text",
    [
        f"It pays for this.\n```toml\n{GOOD}```",
        f"<think>First ```toml\nx = 1\n``` no.</think>\n```toml\n{GOOD}```\nDone.",
        f"```\n{GOOD}```",
        f'The form:\n```toml\n[[component]]\nuse = "f1"\n```\nMine:\n```TOML rubric\n{GOOD}```',
        f"```toml\n{GOOD}```\n```python\nprint(1)\n```",
        f"A turn has <think> tags, so:\n```toml\n{GOOD}```",
        GOOD,
    ],
)
def test_the_last_block_of_toml_is_the_rubric(text: str) -> None:
    assert toml_of(text) == GOOD


@pytest.mark.parametrize("text", ["", "I cannot help with that.", "```python\nprint(1)\n```", "```toml\nunfinished"])
def test_without_toml_there_is_no_rubric(text: str) -> None:
    with pytest.raises(UsageError, match="there is no TOML in"):
        toml_of(text)


@pytest.mark.parametrize(
    ("toml", "told"),
    [
        ('[[component]]\nuse = "exact_mtach"\n', "there is no such component; did you mean 'exact_match'?"),
        ("[[component]\n", "it is no TOML: "),
        ('[judge]\nmodel = "m"\n' + GOOD, "a table [judge], which is not yours to choose"),
        ('[judge]\ncache = "/etc/passwd"\n' + GOOD, "a table [judge], which is not yours to choose"),
        (
            '[[component]]\nuse = "judge"\n[component.with]\ncriteria = "x"\n'
            '[component.with.judge]\nkey_env = "HOME"\n',
            "judge has settings of its judge, which are not yours to choose",
        ),
        ('[[component]]\nuse = "judge"\nwith = {criteria = "is it right?"}\n', "there is no judge to ask"),
        ("deadline_s = 1e9\n" + GOOD, "deadline_s is 1000000000.0, but may be at most 300"),
        ("deadline_s = true\nx = 1\n" + GOOD, "a rubric has no key 'x'"),
        ('name = "x"\n', "a rubric has at least one component"),
        ('[[component]]\nname = "x"\n', "component 1 has no use"),
        ("component = 3\n", "a rubric has at least one component"),
        (GOOD + 'weight = "much"\n', "weight is 'much', but must be a finite number"),
        ("# " + "x" * 40_000 + "\n" + GOOD, "characters; write one of at most 32000"),
        ("x = " + "[" * 5_000, "nested too deeply"),
    ],
)
def test_what_is_no_rubric_of_the_box_is_refused_with_the_reason(toml: str, told: str) -> None:
    with pytest.raises(UsageError) as caught:
        rubric_of(toml)
    assert told in str(caught.value)


def test_a_models_own_component_is_refused_before_it_is_imported(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "planted_scorer.py").write_text("from pathlib import Path\nPath('touched').write_text('x')\n")
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(UsageError, match="a component of your own would run code"):
        rubric_of('[[component]]\nuse = "planted_scorer:make"\n')
    assert "planted_scorer" not in sys.modules
    assert not Path("touched").exists()


def test_a_judge_is_the_users_where_the_user_gave_one() -> None:
    asks = '[[component]]\nuse = "judge"\nwith = {criteria = "is it right?"}\n'
    given = {"model": "mine", "base_url": "http://127.0.0.1:9/v1"}
    assert rubric_of(asks, given).judge == given
    assert rubric_of(GOOD, given).judge == {}  # asks none
