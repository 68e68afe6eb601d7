"""A program as an environment: whatever it does, the episode ends, says how, and leaves nothing behind."""

from __future__ import annotations

import json
import os
import re
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, SupportsFloat

import gymnasium
import pytest

from agentrl.envs.errors import DataError, InfrastructureError, UsageError
from agentrl.envs.program import shared
from agentrl.envs.program.env import ProgramEnv
from tests.completions_server import serving

PROGRAMS = "tests.envs.program.programs"
TASKS = [{"question": f"{number} + {number}?", "answer": str(2 * number)} for number in range(40)]
CALL = '<think>Hm.</think><tool_call>{"name": "add", "arguments": {"a": %d, "b": %d}}</tool_call>'

Step = tuple[str, SupportsFloat, bool, bool, dict[str, Any]]


@contextmanager
def made(program: Any, **more: Any) -> Iterator[ProgramEnv]:
    given = {"tasks": TASKS, "silence_s": 20.0, **more}
    name = f"{PROGRAMS}:{program}" if isinstance(program, str) and program.isidentifier() else program
    env = ProgramEnv(program=name, **given)
    try:
        yield env
    finally:
        env.close()


def played(env: gymnasium.Env[str, str], act: Callable[[str, dict[str, Any]], str], seed: int = 0) -> list[Step]:
    """Play an episode; the first entry is the reset, as a step."""
    observation, info = env.reset(seed=seed)
    steps: list[Step] = [(observation, 0.0, False, False, info)]
    while not (steps[-1][2] or steps[-1][3]):
        steps.append(env.step(act(steps[-1][0], steps[-1][4])))
    return steps


def into(seen: list[Any]) -> Callable[..., bool]:
    """Return a rubric that takes down what programs gave, and is content."""

    def rubric(task: dict[str, Any], result: Any, transcript: Any) -> bool:
        seen.append(result)
        return True

    return rubric


def echo(observation: str, info: dict[str, Any]) -> str:
    return f"said: {observation}"


def test_a_program_that_calls_a_tool_is_played_to_its_end() -> None:
    with made("adder") as env:
        observation, info = env.reset(seed=1)
        number = int(observation.split()[0])
        assert (info["system"], [tool["function"]["name"] for tool in info["tools"]]) == ("Use tools.", ["add"])
        assert info["context"]["after"] is None
        assert [message["role"] for message in info["context"]["messages"]] == ["system", "user"]
        observation, reward, terminated, truncated, info = env.step(CALL % (number, number))
        assert (observation, reward, terminated, truncated) == (str(2 * number), 0.0, False, False)
        assert info["context"] == {
            "after": 0,
            "messages": [{"role": "tool", "name": "add", "content": str(2 * number)}],
        }
        observation, reward, terminated, truncated, info = env.step(observation)
        assert (reward, terminated, truncated, info["success"]) == (1.0, True, False, True)
        with pytest.raises(UsageError, match="reset"):
            env.step("more")
        assert env.reset(seed=1)[0] == f"{number} + {number}?"


def test_wrong_and_malformed_turns_are_data() -> None:
    with made("adder") as env:
        assert played(env, lambda *_: "7")[-1][1:4] == (0.0, True, False)
        assert played(env, lambda *_: "<tool_call>{oops")[-1][1:4] == (0.0, True, False)
        ended = played(env, lambda *_: '<tool_call>{"name": "add", "arguments": {"a": "x"}}</tool_call>')[-1]
        assert (ended[1:4], ended[4]["flags"]) == ((0.0, True, False), ["program:raised"])
        assert "KeyError" in ended[0] or "ValueError" in ended[0]


def test_coroutines_closures_and_commands_are_programs(tmp_path: Path) -> None:
    word = "closure"

    def local(task: dict[str, Any], base_url: str, api_key: str) -> str:
        from tests.envs.program.programs import ask, user

        return word + str(ask(base_url, api_key, [user(task["question"])])["content"])

    script = tmp_path / "agent.py"
    script.write_text(
        "import json, os, sys, urllib.request\n"
        "task = json.load(open(os.environ['AGENTRL_TASK']))\n"
        "body = {'model': 'm', 'messages': [{'role': 'user', 'content': task['question'] + ' '.join(sys.argv[1:])}]}\n"
        "url = os.environ['OPENAI_BASE_URL'] + '/chat/completions'\n"
        "request = urllib.request.Request(url, json.dumps(body).encode(),\n"
        "    {'Authorization': 'Bearer ' + os.environ['OPENAI_API_KEY']})\n"
        "said = json.load(urllib.request.urlopen(request))['choices'][0]['message']['content']\n"
        "print('noise', file=sys.stderr)\n"
        "if '--file' in sys.argv:\n"
        "    open(os.environ['AGENTRL_RESULT'], 'w').write(json.dumps({'said': said}))\n"
        "print(said)\n"
    )
    seen: list[Any] = []

    def rubric(task: dict[str, Any], result: Any, transcript: Any) -> float:
        seen.append(result)
        return 0.5

    for program, wanted in {
        "waits": "fine", local: "closurefine", f"python {script} --fast": "fine", ("python", str(script), "--file"):
        {"said": "fine"},
    }.items():  # fmt: skip
        with made(program, rubric=rubric) as env:
            steps = played(env, lambda *_: "fine")
            assert steps[-1][1:4] == (0.5, True, False), steps[-1]
            assert seen.pop() == wanted
            assert "success" not in steps[-1][4]


def test_helpers_in_parallel_are_conversations_of_one_episode() -> None:
    def act(observation: str, info: dict[str, Any]) -> str:
        found = re.search(r"#\d", observation)
        assert found is not None
        return f"answer {found[0]}"

    seen: list[Any] = []
    with made("helpers", rubric=into(seen)) as env:
        steps = played(env, act)
    assert seen == [[f"answer #{number}" for number in range(4)]]
    contexts = [step[4]["context"] for step in steps[:-1]]
    assert len(contexts) == 8
    opening = {
        index: context["messages"][0]["content"][-2:]
        for index, context in enumerate(contexts)
        if context["after"] is None
    }
    going_on = {
        context["after"]: context["messages"][0]["content"][-2:] for context in contexts if context["after"] is not None
    }
    assert len(opening) == len(going_on) == 4
    assert opening == going_on  # each goes on in the conversation with its own marker


def test_a_rewritten_history_is_a_conversation_given_anew() -> None:
    with made("rewrites", rubric=lambda *_: True) as env:
        steps = played(env, echo)
    assert [step[4]["context"]["after"] for step in steps[:-1]] == [None, 0, None]
    assert steps[2][4]["replies"][0]["content"].startswith("summary: said: ")


def test_the_form_of_an_answer_is_told_to_the_policy() -> None:
    with made("structured", rubric=lambda task, result, transcript: result == {"sum": 4}) as env:
        _, info = env.reset(seed=0)
        assert info["system"] == 'Be exact.\n\nAnswer with one JSON object alone. Its schema: {"type": "object"}'
        _, _, _, _, info = env.step('{"sum": 4}')
        assert info["context"]["after"] == 0
        assert env.step("fine")[4]["success"]


def test_two_answers_are_two_turns() -> None:
    seen: list[Any] = []
    numbers = iter("12")
    with made("twice", rubric=into(seen)) as env:
        steps = played(env, lambda *_: next(numbers))
    assert (len(steps), seen) == (3, [["1", "2"]])


def test_other_models_are_answered_elsewhere_and_not_by_the_policy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OTHER_KEY", "sesame")
    seen: list[Any] = []
    with serving(lambda handler, body: f"{body['model']} heard {body['messages'][0]['content']}") as server:
        other = {"big-*": {"base_url": server.url, "key_env": "OTHER_KEY"}}
        with made("consults", passthrough=other, rubric=into(seen)) as env:
            steps = played(env, lambda *_: "mine")
        assert (len(steps), seen) == (2, ["mine big-2 heard check: mine"])
        sent = {name.lower(): value for name, value in server.headers[0].items()}
        assert sent["authorization"] == "Bearer sesame"


def test_a_lost_answer_is_given_to_who_asks_again() -> None:
    def slow(observation: str, info: dict[str, Any]) -> str:
        time.sleep(1.0)
        return "late"

    with made("gives_up", rubric=lambda task, result, transcript: result == "late") as env:
        steps = played(env, slow)
    assert (len(steps), steps[-1][4]["success"]) == (2, True)


def test_strangers_and_garbage_are_refused_and_harm_nobody() -> None:
    with made("stranger", rubric=lambda task, result, transcript: result == [401, 401, 400, 400, 400]) as env:
        assert played(env, echo)[-1][4]["success"]


@pytest.mark.parametrize(("program", "kind"), [("says_nothing", "start"), ("sleeps_first", "timeout"), ("no", "start")])
def test_a_program_that_never_asks_is_a_failure_of_the_infrastructure(program: str, kind: str) -> None:
    with made(program, start_s=2.0 if kind == "timeout" else 60.0) as env, pytest.raises(InfrastructureError) as raised:
        env.reset(seed=0)
    assert (raised.value.kind, raised.value.boundary) == (kind, "program")


@pytest.mark.parametrize(
    ("program", "ended", "flag"),
    [
        ("hangs", (0.0, False, True), "program:limit"),
        ("asks_for_ever", (0.0, False, True), "program:limit"),
        ("raises", (0.0, True, False), "program:raised"),
        ("exits", (0.0, True, False), "program:exited"),
        ("leaves_at_once", (0.0, True, False), "program:exited"),
    ],
)
def test_a_program_that_fails_after_the_policy_spoke_is_data(program: str, ended: tuple[Any, ...], flag: str) -> None:
    with made(program, silence_s=1.0, max_turns=3) as env:
        step = played(env, echo)[-1]
        assert (step[1:4], step[4]["flags"], step[4]["success"]) == (ended, [flag], False)
        assert "failure" not in step[4]


def test_a_program_that_the_machine_kills_is_no_data() -> None:
    with made("is_killed") as env:
        step = played(env, echo)[-1]
        assert (step[1:4], step[4]["failure"]["kind"]) == ((0.0, False, True), "signal")


def test_nothing_outlives_an_episode() -> None:
    mark = f"mark{time.time_ns()}"

    def left() -> int:
        return subprocess.run(["pgrep", "-cf", mark], capture_output=True, text=True, check=False).stdout.strip() != "0"

    with made("daemons", tasks={"train": [{"question": "?", "mark": mark}]}, rubric=lambda *_: True) as env:
        env.reset(seed=0)
        assert left()
        env.step("ended by itself")
        assert not left()
        env.reset(seed=0)
        env.reset(seed=0)
        env.close()
        assert not left()
    assert shared._served == {}


def test_a_flood_of_output_and_odd_results_do_no_harm() -> None:
    with made("floods", rubric=lambda task, result, transcript: True) as env:
        assert played(env, echo)[-1][4]["success"]
    with made("unpicklable", rubric=lambda task, result, transcript: result["n"] == 1) as env:
        assert played(env, echo)[-1][4]["success"]


def test_a_rubric_in_toml_reads_what_the_program_gave() -> None:
    rubric = '[[component]]\nuse = "exact_match"\nweight = 2.0\n'
    with made("adder", rubric=rubric) as env:
        assert played(env, lambda observation, info: str(2 * int(observation.split()[0])))[-1][1] == 2.0
        assert played(env, lambda *_: "no")[-1][1] == 0.0


def test_a_rubric_that_fails_is_a_failure_and_no_reward() -> None:
    with made("adder", rubric=lambda *_: 1 / 0) as env:
        step = played(env, lambda *_: "no")[-1]
        assert (step[1], step[4]["failure"]["boundary"]) == (0.0, "rubric")
        assert "ZeroDivisionError" in step[4]["failure"]["message"]


def test_only_what_the_program_gave_is_paid() -> None:
    rubric = '[[component]]\nuse = "exact_match"\n'
    tasks = [{"question": "?", "answer": "Paris"}] * 2
    for program, more in (("raises", {}), ("asks_for_ever", {"max_turns": 1}), ("wraps", {})):
        for text in ("<answer>Paris</answer>", "</answer></think><answer>Paris"):
            with made(program, rubric=rubric, tasks={"train": tasks}, **more) as env:
                step = played(env, lambda *_, text=text: text)[-1]
                assert (step[1], step[4]["success"]) == (0.0, False), (program, text)


@pytest.mark.parametrize(
    ("answer", "said", "right"),
    [
        ("15", "1.5", 0),
        ("5", "-5", 0),
        ("12", "1/2", 0),
        ("1,234", "1234", 1),
        ("0.5", "1/2", 1),
        ("The Hague", "hague.", 1),
        ("C++", "C", 0),
    ],
)
def test_a_number_is_compared_as_a_number(answer: str, said: str, right: int) -> None:
    with made("waits", tasks={"train": [{"question": "?", "answer": answer}]}) as env:
        assert played(env, lambda *_: said)[-1][1] == right


def test_a_result_survives_what_the_program_does_to_its_surroundings() -> None:
    with made("wrecks", rubric=lambda task, result, transcript: result == "fine") as env:
        step = played(env, lambda *_: "fine")[-1]
        assert step[4].get("success"), step
    with made("odd_keys", rubric=lambda *_: True) as env:
        step = played(env, echo)[-1]
        assert (step[4]["flags"], "no plain data" in step[0]) == (["program:raised"], True)


def test_a_forked_process_holds_nothing_up_and_plays_on_its_own() -> None:
    with made("hangs", rubric=lambda *_: True) as env:
        env.reset(seed=0)
        reads, writes = os.pipe()
        pid = os.fork()
        if pid == 0:
            with suppress(BaseException):
                os.write(writes, env.reset(seed=1)[0].encode())
            os._exit(0)
        os.close(writes)
        began = time.monotonic()
        env.close()
        assert time.monotonic() - began < 8
        with os.fdopen(reads) as heard:
            assert "+" in heard.read()
        os.waitpid(pid, 0)


def test_what_the_rubric_needs_is_hidden_from_the_program() -> None:
    def shows(task: dict[str, Any], base_url: str, api_key: str) -> str:
        from tests.envs.program.programs import ask, user

        return str(ask(base_url, api_key, [user(json.dumps(sorted(task)))])["content"])

    row = {"question": "?", "answer": "4", "_tests": [1], "id": "a", "level": 2, "split": "test"}
    with made(shows, tasks=[row], split="test", level=2) as env:
        observation, info = env.reset(seed=0)
        assert (observation, info["task"]) == ('["id", "question"]', {"id": "a", "split": "test", "level": 2})
        assert env.step("4")[4]["success"]


def test_oracles_play(tmp_path: Path) -> None:
    with made("adder", oracle=lambda task, messages: str(task["answer"])) as env:
        assert played(env, env.oracle(), seed=3)[-1][4]["success"]
        assert not played(env, env.noop(), seed=3)[-1][4]["success"]
    with made("adder") as env, pytest.raises(UsageError, match="oracle="):
        env.oracle()


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"program": ""}, "is no program"),
        ({"program": "x:y", "backend": "bwrap"}, "python3 agent.py"),
        ({"program": "agents/mine.py:run"}, "write 'agents.mine:run'"),
        ({"program": "no_such_module_here:run"}, "there is no module 'no_such_module_here'"),
        ({"program": "no-such-command --fast"}, "there is no command 'no-such-command'"),
        ({"program": "x:y", "oracle": 5}, "oracle=5"),
        ({"program": "x:y", "passthrough": []}, "passthrough"),
        ({"program": "x:y", "tasks": [{}]}, "write a 'question'"),
        ({"program": "x:y", "tasks": [5]}, "item 1: 5 is no dict"),
        ({"program": "x:y", "tasks": [{"question": "?"}]}, "has no 'answer'"),
        ({"program": "x:y", "folder": "."}, "backend='auto'"),
        ({"program": "x:y", "tasks": 5}, "JSON lines"),
        ({"program": "x:y", "tasks": "none.jsonl"}, "none.jsonl"),
        ({"program": "x:y", "max_turns": 0}, "max_turns"),
        ({"program": "x:y", "silence_s": -1}, "silence_s"),
        ({"program": "x:y", "split": "tset"}, "did you mean 'test'"),
        ({"program": "x:y", "rubric": 5}, "rubric"),
        ({"program": "x:y", "passthrough": {"gpt": {"url": "x"}}}, "base_url"),
    ],
)
def test_what_cannot_work_is_refused_with_what_to_type(given: dict[str, Any], words: str) -> None:
    with pytest.raises((UsageError, DataError), match=re.escape(words)):
        ProgramEnv(**({"tasks": TASKS} | given))


def test_it_is_registered_and_many_play_at_once() -> None:
    envs = gymnasium.make_vec(
        "AgentRL/Program-v0",
        num_envs=4,
        vectorization_mode="sync",
        program=f"{PROGRAMS}:adder",
        tasks=TASKS,
        vector_kwargs={"autoreset_mode": gymnasium.vector.AutoresetMode.DISABLED},
    )
    observations, _ = envs.reset(seed=5)
    answers = tuple(str(2 * int(text.split()[0])) for text in observations)
    _, rewards, terminations, _, _ = envs.step(answers)
    assert rewards.tolist() == [1.0] * 4
    assert terminations.all()
    envs.close()
