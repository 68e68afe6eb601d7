"""Sixty-four programs at once through one endpoint: none is lost, and no answer reaches another conversation."""

from __future__ import annotations

import re
import threading
from collections import Counter
from concurrent.futures import ThreadPoolExecutor

import pytest

from agentrl.envs.program.env import ProgramEnv
from tests.envs.program.test_env import PROGRAMS, into

NUM = 64


@pytest.mark.timeout(600)
def test_many_programs_at_once_keep_their_conversations_apart() -> None:
    seen: list[list[str]] = []
    counts: Counter[str] = Counter()
    together = threading.Barrier(NUM)

    def play(number: int) -> None:
        tasks = {"train": [{"question": f"program {number}"}]}
        env = ProgramEnv(program=f"{PROGRAMS}:marked", tasks=tasks, rubric=into(seen), start_s=120.0, silence_s=120.0)
        try:
            together.wait(60)
            observation, info = env.reset(seed=number)
            done = False
            last: dict[int, str] = {}
            turn = 0
            while not done:
                (mark,) = re.findall(r"<[^>]*>", observation)
                assert f"program {number}/" in mark
                talk = mark.rpartition(":")[0]
                after = info["context"]["after"]
                assert (None if after is None else last[after]) == (None if mark.endswith(":0>") else talk)
                last[turn] = talk
                turn += 1
                observation, reward, terminated, truncated, info = env.step(f"heard {mark}")
                done = terminated or truncated
            counts[f"{reward} {info.get('failure')}"] += 1
            counts["turns"] += turn
        finally:
            env.close()

    with ThreadPoolExecutor(NUM) as pool:
        list(pool.map(play, range(NUM)))
    assert counts == {"1.0 None": NUM, "turns": NUM * 6}
    assert seen == [["kept", "kept"]] * NUM
