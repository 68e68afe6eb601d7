"""Measure Repo-v0 on this machine: `python -m agentrl.envs.repo.measure docker` prints a line for each level.

Beside times it tells what hidden uses catch: the reference with one small slip (an operator, a number, a condition, a
statement left out), put into the repository in place of the repair. A slip that is right on 300 further uses counts as
no mistake.
"""

from __future__ import annotations

import ast
import random
import signal
import sys
import time
from collections.abc import Callable, Iterator
from functools import partial
from statistics import median
from typing import Any

from agentrl.envs.repo.catalogue import KINDS
from agentrl.envs.repo.copying import is_test
from agentrl.envs.repo.env import RepoEnv
from agentrl.envs.repo.grading import judge
from agentrl.envs.repo.loading import Loaded
from agentrl.envs.repo.tasks import Task, generate
from agentrl.envs.tools.host import BACKENDS, shared_backend
from agentrl.envs.tools.syntax import parse_source
from agentrl.sandboxes import SandboxSpec

__all__ = ["main", "slips"]

EPISODES = 9
TASKS = 12
MUTANTS = 12  # of a task
FURTHER = 300
LIMIT_S = 2.0  # for one slip on all uses: it may loop for ever
_OTHER: dict[type[ast.AST], type[ast.AST]] = {
    ast.Lt: ast.LtE,
    ast.LtE: ast.Lt,
    ast.Gt: ast.GtE,
    ast.GtE: ast.Gt,
    ast.Eq: ast.NotEq,
    ast.NotEq: ast.Eq,
    ast.Add: ast.Sub,
    ast.Sub: ast.Add,
    ast.Mult: ast.Add,
    ast.And: ast.Or,
    ast.Or: ast.And,
    ast.In: ast.NotIn,
    ast.NotIn: ast.In,
}


def main(arguments: list[str]) -> None:
    """Print times of episodes by level, and what hidden uses catch."""
    name = arguments[0] if arguments else "auto"
    backend = shared_backend(BACKENDS[name])
    show = sys.stdout.write
    show("level  draw ms  lease ms  reset ms  oracle ms  grade ms  stopped ms  slips caught\n")
    with backend.lease(SandboxSpec()):
        pass
    for level in range(1, 6):
        env = RepoEnv(backend=name, level=level)
        env.reset(seed=0)
        env.close()
        figures = [median(_timed(partial(generate, seed, "train", level)) for seed in range(30))]
        figures.append(median(_timed(partial(_leased, backend)) for _ in range(EPISODES)))
        figures.append(median(_timed(partial(env.reset, seed=seed)) for seed in range(EPISODES)))
        figures.append(median(_timed(partial(_episode, env, seed)) for seed in range(EPISODES)))
        tasks = [generate(seed, "train", level) for seed in range(EPISODES)]
        for fixed in (True, False):
            figures.append(median(_timed(partial(_graded, backend, task, fixed)) for task in tasks))
        caught, tried = _caught(level)
        show(f"{level:5}" + "".join(f"{each * 1000:10.1f}" for each in figures) + f"  {caught} of {tried}\n")
        env.close()


def slips(source: str) -> Iterator[str]:
    """Yield the source with one small slip each."""
    for at in range(sum(1 for _ in ast.walk(parse_source(source)))):
        for change in (_operator, _number, _condition, _statement):
            tree = parse_source(source)
            twin = next(each for number, each in enumerate(ast.walk(tree)) if number == at)
            if change(twin):
                yield ast.unparse(tree)


def _operator(node: ast.AST) -> bool:
    if isinstance(node, ast.Compare) and type(node.ops[0]) in _OTHER:
        node.ops[0] = _OTHER[type(node.ops[0])]()  # type: ignore[call-overload]  # a comparison for one
        return True
    if isinstance(node, ast.BinOp | ast.BoolOp | ast.AugAssign) and type(node.op) in _OTHER:
        node.op = _OTHER[type(node.op)]()  # type: ignore[assignment]
        return True
    return False


def _number(node: ast.AST) -> bool:
    if isinstance(node, ast.Constant) and type(node.value) is int:
        node.value += 1
        return True
    return False


def _condition(node: ast.AST) -> bool:
    if isinstance(node, ast.If | ast.IfExp):
        node.test = ast.UnaryOp(op=ast.Not(), operand=node.test)
        return True
    return False


def _statement(node: ast.AST) -> bool:
    body = getattr(node, "body", None)
    if isinstance(node, ast.FunctionDef | ast.If | ast.For | ast.While) and isinstance(body, list):
        for at, each in enumerate(body):
            if isinstance(each, ast.Assign | ast.AugAssign | ast.Raise | ast.Continue) or (
                isinstance(each, ast.Expr) and isinstance(each.value, ast.Call)
            ):
                body[at] = ast.Pass()
                return True
    return False


def _caught(level: int) -> tuple[int, int]:
    """Return how many slips the hidden uses catch, of those that further uses show to be mistakes."""
    rng = random.Random(level)
    caught = tried = 0
    for seed in range(TASKS):
        task = generate(1000 + seed, "train", level)
        files = {**task.files, **task.fixes}
        right = _loaded(task, files)
        every = [(path, text) for path in task.modules for text in slips(files[path])]
        further = [check.steps for check in (*task.failing, *task.kept)]
        for path, text in rng.sample(every, min(MUTANTS, len(every))):
            wrong = _limited(partial(_fails, task, {**files, path: text}, right, further))
            if wrong is not None:
                tried += 1
                caught += wrong
    return caught, tried


def _fails(task: Task, files: dict[str, str], right: Loaded, uses: list[Any]) -> bool | None:
    """Return whether a hidden use shows that files are wrong; None where nothing does."""
    try:
        slip = _loaded(task, files)
        if any(slip.outcome(use) != right.outcome(use) for use in uses):
            return True
    except Exception:  # it cannot even be loaded
        return True
    return None if not _differs(task, slip, right) else False


def _differs(task: Task, slip: Loaded, right: Loaded) -> bool:
    rng = random.Random(7)
    for _ in range(FURTHER):
        steps = _renamed(task, KINDS[task.kind].case(rng, task.params))
        if slip.outcome(steps) != right.outcome(steps):
            return True
    return False


def _renamed(task: Task, steps: list[Any]) -> list[Any]:
    """Return steps with the names that modules have in this task."""
    names = {path.rpartition("/")[2].removesuffix(".py"): _dotted(task, path) for path in task.modules}
    out = []
    for where, args in steps:
        mark = "$" if where.startswith("$") else ""
        module, colon, name = where.removeprefix("$").partition(":")
        out.append((f"{mark}{names[module]}:{name}" if colon else where, args))
    return out


def _dotted(task: Task, path: str) -> str:
    return path.removeprefix(f"{task.root}/" if task.root else "").removesuffix(".py").replace("/", ".")


def _loaded(task: Task, files: dict[str, str]) -> Loaded:
    sources = {path: text for path, text in files.items() if path.endswith(".py") and not is_test(path)}
    return Loaded({_dotted(task, path).removesuffix(".__init__"): text for path, text in sources.items()})


def _limited(job: Callable[[], bool | None]) -> bool | None:
    """Run a job that may loop for ever; one that does is a mistake that is seen."""

    def stop(number: int, frame: object) -> None:
        raise TimeoutError

    before = signal.signal(signal.SIGALRM, stop)
    signal.setitimer(signal.ITIMER_REAL, LIMIT_S, 0.1)  # again: the driver takes errors for outcomes
    try:
        return job()
    except TimeoutError:
        return True
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


def _timed(job: Callable[[], object]) -> float:
    start = time.perf_counter()
    job()
    return time.perf_counter() - start


def _leased(backend: Any) -> None:
    backend.lease(SandboxSpec()).close()


def _episode(env: RepoEnv, seed: int) -> None:
    observation, info = env.reset(seed=seed)
    policy, done = env.oracle(), False
    while not done:
        observation, _, terminated, truncated, info = env.step(policy(observation, info))
        done = terminated or truncated
    assert info["success"], info


def _graded(backend: Any, task: Task, fixed: bool) -> None:
    files = {**task.files, **task.fixes} if fixed else task.files
    content = {path: text.encode() for path, text in files.items() if not is_test(path)}
    assert judge(backend, task, content, rng=random.Random(1)).passed == fixed


if __name__ == "__main__":
    main(sys.argv[1:])
