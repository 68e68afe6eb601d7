"""What all adapters share: lent generators, splits, and answers that are too much to evaluate."""

from __future__ import annotations

import random
import threading

import numpy as np
import pytest

from agentrl.cli.recipe import parsed
from agentrl.envs.adapters.foreign import package, settings_of, split_of
from agentrl.envs.adapters.games import ids_of
from agentrl.envs.adapters.generators import Generators
from agentrl.envs.adapters.plain import is_plain
from agentrl.envs.errors import UsageError
from agentrl.trainer.config import load_recipe


def test_lent_generators_go_on_where_they_were_and_leave_the_global_ones() -> None:
    before = random.getstate(), np.random.get_state()[1].tolist()  # type: ignore[index]
    alone = Generators(3)
    with alone.lent():
        wanted = [random.random(), float(np.random.rand()), random.random(), float(np.random.rand())]
    parts = Generators(3)
    heard: list[float] = []
    for _ in range(2):
        with Generators(9).lent():
            random.random()  # another episode in between
        with parts.lent():
            heard += [random.random(), float(np.random.rand())]
    assert heard == wanted
    assert (random.getstate(), np.random.get_state()[1].tolist()) == before  # type: ignore[index]


def test_lent_generators_come_back_after_an_error_and_in_threads() -> None:
    before = random.getstate()
    with pytest.raises(KeyError), Generators(1).lent():
        raise KeyError
    assert random.getstate() == before
    drawn: dict[int, list[float]] = {seed: [] for seed in range(4)}

    def draw(seed: int) -> None:
        generators = Generators(seed)
        for _ in range(200):
            with generators.lent():
                drawn[seed].append(random.random())

    threads = [threading.Thread(target=draw, args=(seed,)) for seed in drawn]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for seed, numbers in drawn.items():
        rng = random.Random(seed)
        assert numbers == [rng.random() for _ in range(200)]
    assert random.getstate() == before


def test_a_tenth_is_test() -> None:
    share = sum(split_of(str(seed)) == "test" for seed in range(20_000)) / 20_000
    assert 0.09 < share < 0.11


@pytest.mark.parametrize(
    ("answer", "kind"),
    [
        ("9**9**9**9", "algebra"),
        ("(((9**9)**9)**9)**9", "algebra"),
        ("(a + b + c + d + e)**9", "algebra"),
        ("(x + y + z)**20", "algebra"),
        ("*".join(["(x + y + z + 1)"] * 20), "algebra"),
        ("(((x+1)**9)**9)**9 + (x**2)**(3/2)", "algebra"),
        ("9**999", "algebra"),
        ("x**(9**9)", "algebra"),
        ("__import__('os').system('true')", "algebra"),
        ("x.func", "algebra"),
        ("factorial(99999)", "algebra"),
        ("f(x)", "words"),
        ("9**9**9**9", "words"),
        ("[[0, 1]]", "words"),
        ("9**9", "arithmetic"),
        ("abs(3)", "arithmetic"),
        ("9" * 100, "arithmetic"),
        ("1+" * 9000 + "1", "arithmetic"),
        ("９+１", "algebra"),
    ],
)
def test_what_is_not_evaluated(answer: str, kind: str) -> None:
    assert not is_plain(answer, kind)


@pytest.mark.parametrize(
    ("answer", "kind"),
    [
        ("94*4 - 61 - 6", "arithmetic"),
        ("2240*x**5 + 3584*x**4 - 896*x**3", "algebra"),
        ("-4*(-2*x - 8)**(3/2)/3 + C", "algebra"),
        ("x*sin(2*x)/2 + exp(-x)*log(x) + C", "algebra"),
        ("1 0 -1\n2 1 0", "words"),
        ("_ _ Q _\nQ _ _ _", "words"),
    ],
)
def test_what_is_evaluated(answer: str, kind: str) -> None:
    assert is_plain(answer, kind)


def test_what_is_missing_or_malformed_is_told() -> None:
    with pytest.raises(UsageError, match=r"needs no_such_suite.*pip install 'agentrl-gym\[adapters\]'"):
        package("no_such_suite", "AgentRL/ReasoningGym-v0", "pip install 'agentrl-gym[adapters]'")
    with pytest.raises(UsageError, match="is not JSON"):
        settings_of("{size: 3")
    with pytest.raises(UsageError, match="is no JSON object"):
        settings_of("[3]")
    with pytest.raises(UsageError, match="names none"):
        ids_of("game", " , ")


def test_any_argument_of_an_environment_can_be_given_to_train() -> None:
    words = ["quickstart", "--env", "AgentRL/ReasoningGym-v0", "--env_kwargs.dataset", "leg_counting"]
    config = parsed(load_recipe("quickstart"), [*words, "--env-kwargs.threshold=0.5", "--env-kwargs.max-turns", "2"])
    assert config.env_kwargs == {"dataset": "leg_counting", "threshold": 0.5, "max_turns": 2}
