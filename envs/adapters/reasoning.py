"""`AgentRL/ReasoningGym-v0`: the procedural data sets of reasoning-gym, one question and one answer an episode.

The suite's scorers pay for any answer that contains the truth, and a little for taking part; here an answer is solved
from `threshold` on, by default only when it is wholly right, and the suite's own score is a component without a weight.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any, ClassVar

from agentrl.envs.adapters.foreign import ForeignEnv, always, package, reply, settings_of
from agentrl.envs.adapters.generators import Generators
from agentrl.envs.adapters.plain import EVALUATED, is_plain
from agentrl.envs.core import Turn, final_answers
from agentrl.envs.errors import UsageError, nearest
from agentrl.envs.protocol import Policy
from agentrl.envs.turns import expected

__all__ = ["ReasoningGymEnv"]

_OWN = ("seed", "size")  # what the seed of the episode decides
_MOST_LEVELS, _MOST_STEPS = 5, 8


class ReasoningGymEnv(ForeignEnv):
    """One data set of reasoning-gym.

    Args:
        dataset: Its name there, such as "leg_counting".
        config: Arguments of the data set, over those of the level, such as {"min_animals": 2}; a mapping or a
            JSON text.
        threshold: The suite's score from which on an answer counts as solved, above 0 and at most 1.
        arguments: Of `TextEnv`; levels are the steps of the data set's curriculum that differ and that it takes, at
            most 5.

    Raises:
        UsageError: No such data set, argument or level, or the suite is not installed.
    """

    components: ClassVar[Mapping[str, float]] = {"exact": 1.0, "score": 0.0}
    system = (
        "Think about the question. Then write your final answer, and nothing else, as <answer>your answer</answer>."
    )
    splits_by = "question"
    suite = "reasoning-gym"

    def __init__(
        self,
        *,
        dataset: str,
        config: Mapping[str, Any] | str | None = None,
        threshold: float = 1.0,
        max_turns: int = 3,
        **arguments: Any,
    ) -> None:
        if not isinstance(threshold, int | float) or not 0 < threshold <= 1:
            raise UsageError(
                f"threshold={threshold!r} must be a number above 0 and at most 1; 1 wants the whole answer"
            )
        package("reasoning_gym", "AgentRL/ReasoningGym-v0", "pip install 'agentrl-gym[adapters]'")
        self._factory = package("reasoning_gym.factory", "AgentRL/ReasoningGym-v0", "pip install -U reasoning-gym")
        known = set(self._factory.DATASETS) - {"composite"}  # which needs others
        if dataset not in known:
            raise UsageError(
                f"dataset={dataset!r} is none of reasoning-gym{nearest(str(dataset), known)}; there are "
                f"{', '.join(sorted(known))}"
            )
        self.dataset, self.threshold = dataset, float(threshold)
        self._config = settings_of(config)
        for name in self._config:
            fields = {each.name for each in dataclasses.fields(self._factory.DATASETS[dataset][1])}
            if name in _OWN or name not in fields:
                allowed = sorted(fields - set(_OWN))
                raise UsageError(
                    f"{dataset} has no {name!r}{nearest(name, allowed)}; config takes {', '.join(allowed)}"
                )
        self._of_level = self._curriculum()
        self.levels = range(1, len(self._of_level) + 1)  # type: ignore[misc]  # depends on the data set
        super().__init__(max_turns=max_turns, **arguments)
        self._entry: dict[str, Any] = {}
        self._scorer: Any = None
        self._generators = Generators(0)

    def begin(self, seed: int, split: str, level: int) -> str:
        """Generate the task of a seed."""
        self._generators = Generators(seed)
        with self._generators.lent():
            self._scorer = self._factory.create_dataset(
                self.dataset, **{**self._of_level[level - 1], "seed": seed, "size": 1}
            )
            self._entry = self._scorer[0]
        return str(self._entry["question"])

    def respond(self, text: str) -> Turn:
        """Score the answer of a turn."""
        answers = final_answers(text)
        if not answers:
            return Turn(replies=(reply(expected(text, ())),))
        if len(answers) > 1 or not answers[0]:
            return Turn(terminated=True, success=False)
        score = self._score(answers[0])
        solved = score >= self.threshold
        return Turn(terminated=True, success=solved, rewards={"exact": float(solved), "score": score})

    def references(self) -> tuple[str, ...]:
        """Return the suite's answer, where it gives one; others may be right too."""
        answer = self._entry.get("answer")
        return (answer,) if isinstance(answer, str) else ()

    @property
    def solves(self) -> bool:
        """Whether the suite gives an answer, as all data sets but a few do."""
        return bool(self.references()) or not self._entry

    def solver(self) -> Policy:
        """Return a policy that gives the suite's answer."""
        answer = self._entry["answer"]
        return lambda observation, info: f"<answer>{answer}</answer>"

    def cheats(self) -> dict[str, Policy]:
        """Return answers that hold the truth among other words, and some that hold none."""
        answer = self._entry.get("answer")
        guesses = {"nothing to say": "?", "a verdict": "correct", "a score": "1.0 of 1.0"}
        if isinstance(answer, str):
            guesses["the truth among others"] = f"Zanzibar, {answer} or Ouagadougou"
            guesses["the truth before a doubt"] = f"{answer} or not {answer}?"
        return {name: always(f"<answer>{text}</answer>") for name, text in guesses.items()}

    def _score(self, answer: str) -> float:
        """Return what the suite pays; an answer that its scorer cannot read is wrong."""
        kind = EVALUATED.get(self.dataset)
        if kind is not None and not is_plain(answer, kind):
            return float(answer == self._entry["answer"])
        try:
            with self._generators.lent():
                score = float(self._scorer.score_answer(answer, self._entry))
        except Exception:  # scorers index, convert and unpack what the model wrote
            return 0.0
        return min(1.0, max(0.0, score)) if score == score else 0.0

    def _curriculum(self) -> list[dict[str, Any]]:
        """Return what the data set of each level is made with: the different steps of its curriculum that are valid."""
        found: list[dict[str, Any]] = []
        if self.dataset in self._factory.CURRICULA:
            for step in range(_MOST_STEPS):
                curriculum = self._factory.CURRICULA[self.dataset]()
                curriculum.set_global_level(step)
                config = curriculum.generate_configuration({"seed": 0, "size": 1})
                made = {each.name: getattr(config, each.name) for each in dataclasses.fields(config)}
                arguments = {**made, **self._config}
                if (not found or arguments != found[-1]) and self._is_valid(arguments):
                    found.append(arguments)
        if not found:
            found = [dict(self._config)]
            if not self._is_valid(found[0]):
                raise UsageError(f"config={self._config!r} is refused by {self.dataset}; look at its limits")
        return found[:_MOST_LEVELS]

    def _is_valid(self, arguments: Mapping[str, Any]) -> bool:
        """Return whether the suite takes these arguments; some steps of its curricula break its own limits."""
        try:
            config = self._factory.DATASETS[self.dataset][1](**arguments)
            if hasattr(config, "validate"):
                config.validate()
        except (AssertionError, ValueError):
            return False
        return True
