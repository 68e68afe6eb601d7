"""Environments that run what a model wrote, in a box."""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np

from agentrl.envs.core import TextEnv, Turn
from agentrl.envs.errors import InfrastructureError
from agentrl.envs.protocol import Policy, Reply
from agentrl.envs.tools import Tool
from agentrl.sandboxes import SandboxSpec


class Sums(TextEnv):
    """Add the numbers in a file; programs run in the box."""

    levels: ClassVar[range] = range(1, 3)
    runs_code: ClassVar[bool] = True
    state: ClassVar[tuple[str, ...]] = ("_numbers",)
    system = "Add the numbers in /work/numbers.txt. Call run with a Python program; write <answer>sum</answer>."

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**{"max_turns": 4, **kwargs})
        self._numbers: list[int] = []

    @property
    def tools(self) -> tuple[Tool, ...]:
        return (Tool.of(self.run),)

    def run(self, program: str) -> str:
        """Run a Python program.

        Args:
            program: Its source.
        """
        done = self.box.run(program, timeout_s=5)
        return done.stdout_text or f"Error: {done.stderr_text[-200:]}"

    def files(self) -> dict[str, str]:
        return {"/work/numbers.txt": "\n".join(map(str, self._numbers))}

    def box_spec(self) -> SandboxSpec | None:
        return SandboxSpec(files={path: text.encode() for path, text in self.files().items()})

    def new_task(self, rng: np.random.Generator, split: str, level: int) -> str:
        # The number of train sums is even, that of test sums odd, by their first number.
        self._numbers = [int(each) for each in rng.integers(10_000, 90_000, size=10 * level)]
        self._numbers[0] += (self._numbers[0] + (split == "test")) % 2
        return f"{split}-{level}-{self._numbers[0]}-{self._numbers[1]}"

    def question(self) -> str:
        return f"The file has {len(self._numbers)} numbers and begins with {self._numbers[0]}. What is their sum?"

    def answer(self, text: str, turn: str) -> Turn:
        right = text == str(sum(self._numbers))
        return Turn(rewards={"exact_match": float(right)}, terminated=True, success=right)

    def oracle(self) -> Policy:
        program = "print(sum(map(int, open('/work/numbers.txt'))))"
        call = f'<tool_call>{{"name": "run", "arguments": {{"program": "{program}"}}}}</tool_call>'

        def play(observation: str, info: dict[str, Any]) -> str:
            return f"<answer>{observation.strip()}</answer>" if observation.strip().isdigit() else call

        return play

    def cheats(self) -> dict[str, Policy]:
        return {"the first": lambda observation, info: f"<answer>{self._numbers[0]}</answer>"}


class Exposed(Sums):
    """Puts the sum into the box."""

    def files(self) -> dict[str, str]:
        return {**super().files(), "/work/.meta/expected.txt": f"expected={sum(self._numbers)}"}


class Excused(Sums):
    """Shows the policy an error where its box is gone."""

    def _run(self, call: Any) -> Reply:
        try:
            return super()._run(call)
        except InfrastructureError as error:
            return {"role": "tool", "name": "run", "content": f"Error: {error}"}
