"""Code-v0 as a player meets it: questions, tools, grading, flags, boxes; on both backends."""

from __future__ import annotations

import random
import threading
import time
from typing import Any

import numpy as np
import pytest

from agentrl.envs.code.catalogue import FAMILIES
from agentrl.envs.code.env import CodeEnv
from agentrl.envs.code.grading import judge, spec_for
from agentrl.envs.code.policies import FLAWS, answered, demonstration
from agentrl.envs.code.tasks import generate
from agentrl.envs.errors import InfrastructureError, UsageError
from agentrl.envs.scripted import call
from agentrl.envs.tools.host import BACKENDS as NAMES
from agentrl.envs.tools.host import shared_backend
from agentrl.sandboxes import Backend, Capabilities, Sandbox, SandboxDied, SandboxSpec

Play = Any  # the fixtures of conftest.py


class Counted(Backend):
    """A real backend, whose leases are counted and, when asked, fail."""

    name = "counted"

    def __init__(self, inner: Backend) -> None:
        self.inner = inner
        self.out = 0  # boxes that are out now
        self.most = 0
        self.num_leases = 0
        self.broken = False
        self.lock = threading.Lock()

    def lease(self, spec: SandboxSpec | None = None, *, wait_s: float = 60.0) -> Sandbox:
        if self.broken:
            raise SandboxDied("the box is gone")
        box = self.inner.lease(spec, wait_s=wait_s)
        with self.lock:
            self.out += 1
            self.num_leases += 1
            self.most = max(self.most, self.out)
        close, given = box.close, threading.Event()

        def counted() -> None:
            if not given.is_set():
                given.set()
                with self.lock:
                    self.out -= 1
            close()

        box.close = counted  # type: ignore[method-assign]
        return box

    def capabilities(self) -> Capabilities:
        return self.inner.capabilities()

    def close(self) -> None:
        pass


@pytest.fixture
def counted(backend: str, monkeypatch: pytest.MonkeyPatch) -> Counted:
    made = Counted(shared_backend(NAMES[backend]))
    monkeypatch.setattr("agentrl.envs.code.env.shared_backend", lambda name: made)
    monkeypatch.setattr("agentrl.envs.core.shared_backend", lambda name: made)
    return made


# -- what is asked -----------------------------------------------------------------------------------------------------


def test_level_1_is_short_and_has_no_tools(env: CodeEnv) -> None:
    lengths = []
    for seed in range(30):
        question, info = env.reset(seed=seed)
        assert "tools" not in info
        lengths.append(len(question) + len(info["system"]))
    assert sorted(lengths)[15] < 450
    assert max(lengths) < 1000


@pytest.mark.parametrize("level", range(2, 6))
def test_other_levels_have_tools_unless_there_is_one_turn(level: int, env: CodeEnv, backend: str) -> None:
    _, info = env.reset(seed=1, options={"level": level})
    assert [tool["function"]["name"] for tool in info["tools"]] == ["run_code", "try_examples"]
    single = CodeEnv(backend=backend, level=level, max_turns=1)
    assert "tools" not in single.reset(seed=1)[1]
    single.close()


def test_code_is_never_run_in_this_process() -> None:
    with pytest.raises(UsageError, match="would run the model's code in this process"):
        CodeEnv(backend="local")


def test_a_family_or_topic_that_a_level_lacks_is_refused_at_once() -> None:
    with pytest.raises(UsageError, match="no task with family='frame-text' at level 4"):
        CodeEnv(family="frame-text", level=4)
    with pytest.raises(UsageError, match="did you mean 'graphs'"):
        CodeEnv(topic="graph")


# -- tools -------------------------------------------------------------------------------------------------------------


def test_run_code_tells_output_errors_and_the_end(env: CodeEnv) -> None:
    env.reset(seed=1, options={"level": 2})

    def told(code: str, **more: str) -> str:
        return env.step(call("run_code", code=code, **more))[0]

    assert told("print(int(input()) + 1)", stdin="41\n") == "The program ended well.\nOutput:\n42"
    assert told("```python\npass\n```") == "The program ended well.\nIt printed nothing."
    failed = told("print('so far')\n1 / 0")
    assert failed.startswith("The program ended with exit code 1.\nOutput:\nso far\nErrors:\nTraceback")
    assert failed.endswith("ZeroDivisionError: division by zero")
    endless = told("while True: pass")  # on a machine that others keep busy, the wall's limit may come first
    assert endless.startswith(
        ("The program was stopped: it took too much processor time.", "The program was stopped: it took too long.")
    )
    assert told("import os; os.kill(os.getpid(), 9)").startswith("The program ended by signal 9.")
    assert told("x = bytearray(10 ** 10)").splitlines()[0] in (
        "The program ended with exit code 1.",
        "The program was stopped: it took too much memory.",
    )
    assert told("print('still here')") == "The program ended well.\nOutput:\nstill here"


def test_try_examples_tells_each_example(env: CodeEnv) -> None:
    env.reset(seed=3, options={"level": 2})
    task = env._task
    assert task is not None
    assert task.kind == "function"
    examples = task.examples

    def told(code: str) -> list[str]:
        return env.step(call("try_examples", code=code))[0].split("\n")

    right = told(task.solution)
    assert right[0] == f"{len(examples)} of {len(examples)} examples are right."
    assert [line.endswith(": right") for line in right[1:]] == [True] * len(examples)
    wrong = told(f"def {task.function}(*args):\n    return 'nonsense'")
    assert wrong[0] == f"0 of {len(examples)} examples are right."
    for line, check in zip(wrong[1:], examples, strict=True):
        assert line == f"{check.call(task.function)} returned 'nonsense': wrong, {check.wanted()}"
    assert "gave no value: NameError: name 'oops' is not defined" in told(f"def {task.function}(*args): oops")[1]
    assert "SyntaxError" in told("def (")[1]
    assert told(f"def {task.function}(*args): print('hm')")[2] == "  printed: hm"


def test_examples_of_a_program_are_run_on_their_input(backend: str) -> None:
    env = CodeEnv(topic="programs", level=3, backend=backend)
    env.reset(seed=1)
    task = env._task
    assert task is not None
    assert env.step(call("try_examples", code=task.solution))[0].count(": right") == len(task.examples)
    told = env.step(call("try_examples", code="print('no')"))[0]
    assert told.startswith(f"0 of {len(task.examples)} examples are right.")
    assert f"Output:\nno\nExpected:\n{task.examples[0].expected}" in told
    env.close()


# -- grading -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("level", range(1, 6))
def test_the_oracle_solves_what_it_meets(level: int, env: CodeEnv, play: Play) -> None:
    for seed in range(4):
        episode = play(env, env.oracle(), seed=seed, level=level, split=("train", "test")[seed % 2])
        assert (episode.reward, episode.info["success"]) == (1.0, True), env._task
        assert "flags" not in episode.info


def test_every_family_s_hurried_sources_score_nothing_in_a_box(env: CodeEnv, play: Play, says: Play) -> None:
    rng = random.Random(4)
    for name in rng.sample(sorted(FAMILIES), 25):
        family = FAMILIES[name]
        task_env = CodeEnv(family=name, level=family.levels[0], backend=env.backend, max_turns=1)
        task_env.reset(seed=2)
        assert task_env._task is not None
        source = family.fill(rng.choice(family.wrong), task_env._task.params)
        assert play(task_env, says(answered(source)), seed=2).reward == 0.0, name
        task_env.close()


@pytest.mark.slow
@pytest.mark.parametrize("topic", ["refactoring"])
def test_the_slow_source_runs_into_the_limit(topic: str, env: CodeEnv) -> None:
    for seed, level in ((1, 2),):
        task = generate(seed, "train", level, topic=topic)
        slow = FAMILIES[task.family].fill(FAMILIES[task.family].given, task.params)
        where = shared_backend(NAMES[env.backend])
        verdict = judge(where, task, slow, rng=random.Random(0), fraction=True)
        assert not verdict.passed
        assert verdict.flags in (("cpu_timeout",), ("timeout",))
        assert judge(where, task, task.solution, rng=random.Random(0)).passed


def test_the_share_of_right_inputs_is_measured_where_it_counts(backend: str, play: Play, says: Play) -> None:
    env = CodeEnv(backend=backend, weights={"tests": 0.5, "fraction": 0.5, "format": 0.25})
    env.reset(seed=6)
    task = env._task
    assert task is not None
    some = [check.args for check in task.hidden[::2]]
    half = (
        f"{task.solution}\n_right = {task.function}\n"
        f"def {task.function}(*args):\n    return _right(*args) if args in {some!r} else object"
    )
    episode = play(env, says(answered(half)), seed=6)
    share = len(some) / len(task.hidden)
    assert episode.info["rewards"] == {"tests": 0.0, "fraction": share, "format": 1.0}
    assert episode.reward == pytest.approx(0.5 * share + 0.25)
    episode = play(env, says(answered(f"{half}\nimport os\nif os.fork() == 0: pass")), seed=6)
    assert episode.info["flags"]
    assert (episode.reward, episode.info["rewards"]["format"]) == (0.0, 0.0)
    env.close()


def test_grading_that_stops_at_a_failure_is_faster(env: CodeEnv) -> None:
    task, where = generate(7, "train", 3, topic="lists"), shared_backend(NAMES[env.backend])
    wrong = f"def {task.function}(*args):\n    return None"
    tried = [judge(where, task, wrong, rng=random.Random(0), fraction=whole).num_tried for whole in (False, True)]
    assert tried == [1, len(task.hidden)]


@pytest.mark.parametrize("topic", ["lists", "programs"])
@pytest.mark.parametrize("fraction", [False, True])
def test_all_inputs_together_have_a_deadline(
    topic: str, fraction: bool, backend: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    task, where = generate(7, "train", 3, topic=topic), shared_backend(NAMES[backend])
    assert judge(where, task, task.solution, rng=random.Random(0), fraction=fraction).passed
    monkeypatch.setattr("agentrl.envs.code.grading.DEADLINE_S", 1.0)
    sleeps = f"import time\ntime.sleep(0.6)\n{task.solution}"  # right, and within the limit for each input
    verdict = judge(where, task, sleeps, rng=random.Random(0), fraction=fraction)
    assert (verdict.passed, verdict.fraction, verdict.flags) == (False, 0.0, ("deadline",))
    assert 1 <= verdict.num_tried <= 2 < len(task.hidden)


def test_an_answer_that_is_too_long_or_no_text_is_wrong_and_no_error(env: CodeEnv, play: Play, says: Play) -> None:
    for text in ("x" * 300_000, "\ud800", "\0", "def f(:\n" * 100, "(" * 5000, "é" * 10, "```\n```", "1" * 10_000):
        episode = play(env, says(f"<answer>{text}</answer>"), seed=1)
        assert (episode.reward, episode.info["success"]) == (0.0, False)


def test_hostile_arguments_of_tools_are_answered(env: CodeEnv) -> None:
    env.max_turns = 100
    env.reset(seed=1, options={"level": 2})
    for name in ("run_code", "try_examples"):
        for code in (
            "\ud800",
            "\0",
            "(" * 5000,
            "",
            "x" * 100_000,
            "import sys; sys.exit(3)",
            "while 1: print('x' * 999)",
        ):
            observation, reward, terminated, _, info = env.step(call(name, code=code))
            assert observation in env.observation_space
            assert (reward, terminated, "failure" in info) == (0.0, False, False)
    assert "The program" in env.step(call("run_code", code="print(input())", stdin="\ud800"))[0]


# -- boxes -------------------------------------------------------------------------------------------------------------


def test_an_episode_holds_one_box_at_most_and_gives_it_back(counted: Counted, backend: str, play: Play) -> None:
    env = CodeEnv(backend=backend)
    for level in (1, 3):
        leases = counted.num_leases
        assert play(env, env.oracle(), seed=1, level=level).reward == 1.0
        assert counted.num_leases - leases == (1 if level == 1 else 2)  # without tools it is graded and no more
        assert (counted.most, counted.out) == (1, 0)
    env.reset(seed=1, options={"level": 3})
    env.close()
    assert counted.out == 0


def test_files_of_earlier_calls_are_not_there_when_it_is_graded(env: CodeEnv, play: Play, says: Play) -> None:
    env.reset(seed=2, options={"level": 3})
    task = env._task
    assert task is not None
    looks = f"{task.solution}\nimport os\nassert not os.path.exists('/work/left'), os.listdir('/work')"
    writes = call("run_code", code="open('/work/left', 'w').write('x')")
    reads = call("run_code", code="print(open('/work/left').read())")
    episode = play(env, says(writes, reads, answered(looks)), seed=2, level=3)
    assert "Output:\nx" in episode.observations[1]  # it was there for the tools
    assert episode.reward == 1.0


def test_a_box_that_fails_is_a_failure_and_no_reward(counted: Counted, backend: str, play: Play) -> None:
    env = CodeEnv(backend=backend)
    env.reset(seed=1)
    counted.broken = True
    _, reward, terminated, truncated, info = env.step("<answer>x = 1</answer>")
    assert (reward, terminated, truncated) == (0.0, False, True)
    assert info == {"failure": {"kind": "died", "boundary": "sandbox", "message": "the box is gone"}}
    with pytest.raises(InfrastructureError, match="the box is gone"):
        env.reset(seed=1, options={"level": 2})
    counted.broken = False
    assert play(env, env.oracle(), seed=1, level=2).reward == 1.0


@pytest.mark.slow
def test_64_episodes_at_once_all_score(backend: str, play: Play) -> None:
    rewards: dict[int, float] = {}
    envs = [CodeEnv(backend=backend) for _ in range(64)]

    def episode(number: int) -> None:
        env = envs[number]
        rewards[number] = play(env, env.oracle(), seed=number, level=1 + number % 5).reward
        env.close()

    threads = [threading.Thread(target=episode, args=(number,)) for number in range(64)]
    start = time.perf_counter()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert rewards == dict.fromkeys(range(64), 1.0), time.perf_counter() - start


# -- scripted players --------------------------------------------------------------------------------------------------


def test_the_demonstrator_errs_about_as_often_as_said(env: CodeEnv, play: Play) -> None:
    rewards = []
    for seed in range(30):
        policy = env.demonstrator(np.random.default_rng(seed))
        rewards.append(play(env, policy, seed=seed, level=1 + seed % 2).reward)
    assert 0.2 < sum(rewards) / 30 < 0.65
    always = {"none": 1.0}
    assert play(env, env.demonstrator(np.random.default_rng(1), flaws=always), seed=1).reward == 1.0


@pytest.mark.parametrize("flaw", [flaw for flaw in FLAWS if flaw not in ("none", "repairs")])
def test_each_flaw_is_a_different_source(flaw: str) -> None:
    rng = random.Random(1)
    differ = 0
    for seed in range(40):
        task = generate(seed, "train", 1 + seed % 5)
        *_, last = demonstration(rng, task, False, {flaw: 1.0})
        differ += last != answered(task.solution)
    assert differ >= 38


def test_the_limit_is_on_processor_time() -> None:
    assert spec_for(2.0).cpu_s == 2.0
    assert spec_for(2.0).wall_s == 12.0
