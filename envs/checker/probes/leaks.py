"""Whether the answer can be read before it is earned: in texts, in error messages, in the box."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from agentrl.envs.checker.disguises import DISGUISES
from agentrl.envs.checker.episodes import Episode, Task, shown
from agentrl.envs.checker.leakage import field_of, leak_of, place_of
from agentrl.envs.checker.players import tool_call
from agentrl.envs.checker.record import Check, Failed, NotApplicable
from agentrl.envs.checker.subject import Subject

__all__ = ["CHECKS"]

_MOST_TASKS = 100
_NO_ACTION = (
    "I do not know.",
    "<tool_call>{",
    "<answer>",
    '<tool_call>{"name": "no such tool", "arguments": {}}</tool_call>',
)

_NOWHERE = "qzxvkj"  # as an argument: names nothing
_NO_NUMBER = 987_654_321
_MOST_CALLS = 8

# Runs in the box: where do these texts stand?
_SEARCH = r"""
import json, os, sys
needles = json.load(sys.stdin)
found = []
def look(place, text):
    for index, needle in enumerate(needles):
        at = text.find(needle)
        if at >= 0:
            found.append([index, place, text[max(0, at - 8):at]])
for pid in [name for name in os.listdir("/proc") if name.isdigit()]:
    for name in ("environ", "cmdline"):
        try:
            text = open(f"/proc/{pid}/{name}", errors="replace").read()
            look("variables" if name == "environ" else "arguments", text)
        except OSError:
            pass
look("variables", "\0".join(f"{key}={value}" for key, value in os.environ.items()))
for root in ("/work", "/tmp", "/home", "/root", "/var/tmp", "/mnt", "/srv", "/opt", "/dev/shm"):
    for folder, folders, files in os.walk(root):
        if os.statvfs(folder).f_flag & os.ST_RDONLY:  # of the image, not of the episode
            folders.clear()
            continue
        for name in files + folders:
            look("a name", name)
        for name in files:
            path = os.path.join(folder, name)
            try:
                if os.path.isfile(path) and os.path.getsize(path) < 4_000_000:
                    look(path, open(path, errors="replace").read())
            except OSError:
                pass
print(json.dumps(found[:200]))
"""


def _answers(subject: Subject) -> dict[Task, str]:
    subject.require("oracle")
    episodes = [each for each in subject.played("oracle") if each.ended and not each.error]
    spread = episodes[:: -(-len(episodes) // _MOST_TASKS) or 1]  # of every level
    answers = {each.task: subject.right_answer(each.task) for each in spread}
    found = {task: answer for task, answer in answers.items() if answer}
    if not found:
        raise NotApplicable("the oracle's last turn holds no answer that could be looked for")
    return found


def _leak(subject: Subject) -> dict[str, Any]:
    answers = _answers(subject)
    begun = {task: subject.solution(task) for task in answers}
    systems = {task: str(_mapping(each.info).get("system", "")) for task, each in begun.items()}
    questions = {task: str(each.observation) for task, each in begun.items()}
    about = {task: f"{systems[task]}\n{questions[task]}" for task in begun}
    wrong_calls = {task: _wrong(each.info) for task, each in begun.items()}
    for name, texts in (
        ("info at reset", {task: _info(each) for task, each in begun.items()}),
        ("the system prompt", systems),
        ("the schema of the tools", {task: _tools(each) for task, each in begun.items()}),
        ("replies to turns that do nothing", _replies(subject, dict.fromkeys(answers, _NO_ACTION))),
        ("replies to calls with wrong arguments", _replies(subject, wrong_calls)),
    ):
        found = leak_of(texts, answers)
        if found:
            raise Failed(f"the answer stands in {name} {found}")
        _not_disguised(name, texts, answers, {} if name == "info at reset" else about)
    field = field_of({task: _without_texts(each) for task, each in begun.items()}, answers)
    if field:
        raise Failed(f"the answer stands in info at reset: {field}")
    place = place_of(questions, answers)
    if place:
        raise Failed(
            f"the question gives the answer away: {place}, such as {shown(next(iter(answers.values())))!r}",
            "take it out of question(), or have the answer depend on more than the words there",
        )
    _not_disguised("the first observation", questions, answers, about)
    return {"tasks": len(answers)}


def _not_disguised(
    name: str, texts: Mapping[Task, str], answers: Mapping[Task, str], about: Mapping[Task, str]
) -> None:
    """Look for answers that a policy has to turn round or to decode; `about` may say that this is the task."""
    for how, disguise in DISGUISES.items():
        other = {
            task: answer
            for task, answer in answers.items()
            if disguise.undo(answer) != answer and not disguise.named.search(about.get(task, ""))
        }
        undone = {task: disguise.undo(texts[task]) for task in other}
        found = leak_of(undone, other) or place_of(undone, other)
        if found:
            raise Failed(f"the answer stands in {name}, {how}: {found}")


def _without_texts(episode: Episode) -> dict[str, Any]:
    return {key: value for key, value in _mapping(episode.info).items() if key not in ("system", "tools")}


def _tools(episode: Episode) -> str:
    return json.dumps(_mapping(episode.info).get("tools", ""), default=str)


def _info(episode: Episode) -> str:
    return json.dumps(_without_texts(episode), default=str, ensure_ascii=False)


def _wrong(info: Any) -> Sequence[str]:
    """Write well-formed calls whose arguments find nothing, of the tools that take one which can be wrong.

    What is no list of schemas is passed over: that it is none is for the check "protocol" to say.
    """
    calls: list[str] = []
    tools = _mapping(info).get("tools")
    for tool in tools if isinstance(tools, list) else ():
        function = _mapping(_mapping(tool).get("function"))
        parameters = _mapping(function.get("parameters"))
        properties, required = _mapping(parameters.get("properties")), parameters.get("required")
        names = [name for name in required if isinstance(name, str)] if isinstance(required, list) else []
        arguments = {name: _nothing(_mapping(properties.get(name))) for name in names}
        if any(value in (_NOWHERE, _NO_NUMBER) for value in arguments.values()):
            calls.append(tool_call(str(function.get("name", "")), arguments))
    return calls[:_MOST_CALLS]


def _mapping(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, dict) else {}


def _nothing(schema: Mapping[str, Any]) -> Any:
    """Return a value of the right type that stands for nothing; where the schema lists the values, the first."""
    if isinstance(schema.get("enum"), list) and schema["enum"]:
        return schema["enum"][0]
    plain = {"string": _NOWHERE, "integer": _NO_NUMBER, "number": _NO_NUMBER, "boolean": False, "array": []}
    kind = schema.get("type", "string")
    kinds = kind if isinstance(kind, list) else [kind]
    return next((value for name, value in plain.items() if name in kinds), {})  # of several one that can be wrong


def _replies(subject: Subject, said: Mapping[Task, Sequence[str]]) -> dict[Task, str]:
    env = subject.make()
    heard: dict[Task, str] = {}
    for task, actions in said.items():
        texts: list[str] = []
        ended = True
        for action in actions:
            if ended:
                subject.reset(env, task)
            step = subject.step(env, action, task)
            ended = step.ended
            told = {key: value for key, value in step.info.items() if key != "replies"} if step.info else {}
            texts.append(f"{step.observation}\n{json.dumps(told, default=str, ensure_ascii=False)}")
        heard[task] = "\n".join(texts)
    return heard


def _box(subject: Subject) -> dict[str, Any]:
    if not subject.facts.runs_code:
        raise NotApplicable("it runs no code of the policy in a box")
    answers = _answers(subject)
    env = subject.make()
    texts: dict[Task, str] = {}
    by_place: dict[tuple[str, str], int] = {}
    for task in list(answers)[:20]:
        subject.reset(env, task)
        inner: Any = env.unwrapped
        if inner.box_spec() is None:  # this task needs none
            continue
        answer = _bare(answers[task])
        if len(answer) < 3:
            continue
        done = inner.box.run(_SEARCH, stdin=json.dumps([answer]).encode(), timeout_s=20)
        if done.status != "ok":
            raise Failed(f"{task}: the box could not be searched: {done.status} {done.stderr_text[-300:]}")
        found = json.loads(done.stdout_text)
        texts[task] = answer
        long = len(answer) >= 40 or "\n" in answer
        for _, place, _before in found:
            if long or place in ("arguments", "a name"):
                raise Failed(f"{task}: the answer {shown(answer)!r} stands in {place} of the box")
        for key in {(place, before) for _, place, before in found}:
            by_place[key] = by_place.get(key, 0) + 1
    for (place, before), times in by_place.items():
        if times >= 3 and times >= 0.8 * len(texts):
            raise Failed(f"in {times} of {len(texts)} tasks the answer stands in {place} of the box, behind {before!r}")
    if not texts:
        raise NotApplicable("no task has a box and an answer that could be looked for")
    return {"tasks": len(texts)}


def _bare(answer: str) -> str:
    """Return an answer without a code fence."""
    lines = answer.strip().splitlines()
    return "\n".join(each for each in lines if not each.startswith("```")).strip()


CHECKS = (
    Check(
        id="leak",
        what="the answer stands in no text before it is earned, plain or disguised",
        hint="name tasks by a number drawn for that, and let no message quote the truth",
        run=_leak,
        needs=("starts", "oracle"),
    ),
    Check(
        id="box-leak",
        what="the answer is neither in the box's files nor its variables",
        hint="keep expected answers on the host: send the box inputs, compare its outputs outside",
        run=_box,
        needs=("starts", "oracle"),
    ),
)
