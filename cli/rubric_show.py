"""`agentrl rubric show ENV | FILE.toml`: what an episode is rewarded for, with the weights."""

from __future__ import annotations

import argparse
import inspect
import json
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import gymnasium
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from agentrl.cli.registry import find_env
from agentrl.envs.errors import UsageError
from agentrl.trainer.transcripts import visible

if TYPE_CHECKING:
    from agentrl.envs.rubrics import Component, Rubric

__all__ = ["run"]

_EXAMPLES = """examples:
  agentrl rubric show AgentRL/Search-v0              what the environment itself rewards
  agentrl rubric show AgentRL/Search-v0 --toml       the same as a rubric, to start from
  agentrl rubric show rubric.toml                    a rubric of yours
  agentrl rubric show --components                   what a rubric can be made of"""


def run(args: Sequence[str]) -> int:
    """Print a rubric, or the components of the box; return 0."""
    options = _parser().parse_args(args)
    if (options.of is None) == (not options.components):
        raise UsageError("name an environment or a file, or type: agentrl rubric show --components")
    if options.components:
        return _box(options)
    is_file = options.of.endswith(".toml") or Path(options.of).is_file()
    rubric, told = (_of_file(options.of), "") if is_file else _of_env(find_env(options.of))
    if options.toml:
        from agentrl.envs.rubrics import to_toml

        print(to_toml(rubric), end="")
        return 0
    rows = [_row(each) for each in rubric.components]
    if options.json:
        whole = {"name": rubric.name, "clip": rubric.clip, "judge": dict(rubric.judge), "components": rows}
        print(json.dumps(whole, indent=2))
        return 0
    console = Console(highlight=False)
    table = _table("component", "weight", "how", "what")
    for row in rows:
        table.add_row(*(escape(visible(cell)) for cell in (row["name"], f"{row['weight']:g}", row["how"], row["what"])))
    console.print(table)
    notes = [told] if told else []
    notes.append(f"the reward is their weighted sum{_within(rubric.clip)}")
    if rubric.judge:
        notes.append(f"judged by {rubric.judge.get('model', '?')} at {rubric.judge.get('base_url', '?')}")
    if not is_file:
        notes.append(f"as a rubric to start from: agentrl rubric show {options.of} --toml > rubric.toml")
    for note in notes:
        console.print(visible(note), style="dim", markup=False)
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="agentrl rubric show",
        description="Print a rubric with its weights: a file's, or what an environment itself rewards.",
        epilog=_EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("of", nargs="?", metavar="ENV | FILE.toml", help="environment id, or path of a rubric")
    parser.add_argument("--components", action="store_true", help="list the components that a rubric can use")
    parser.add_argument("--toml", action="store_true", help="print it as TOML")
    parser.add_argument("--json", action="store_true", help="print JSON for machines")
    return parser


def _of_file(path: str) -> Rubric:
    from agentrl.envs.rubrics import load_rubric

    return load_rubric(path)


def _of_env(env_id: str) -> tuple[Rubric, str]:
    """Return what an environment rewards, as a rubric that gives the same reward, and what it says of that."""
    from agentrl.envs.rubrics import Component, Rubric

    env = gymnasium.make(env_id, disable_env_checker=True)
    try:
        weights = getattr(env.unwrapped, "weights", None)
        paragraphs = (inspect.getdoc(env.unwrapped) or "").split("\n\n")
    finally:
        env.close()
    if not isinstance(weights, dict) or not weights:
        return Rubric(components=(Component(name="environment", use="environment"),), name=env_id), ""
    parts = [
        Component(name=name, use="environment_component", arguments={"name": name}, weight=float(weight))
        for name, weight in weights.items()
    ]
    told = next((" ".join(each.split()) for each in paragraphs if each.startswith("Components:")), "")
    return Rubric(components=tuple(parts), name=env_id), told


def _row(component: Component) -> dict[str, Any]:
    from agentrl.envs.rubrics.catalogue import CATALOGUE, entry

    use = component.use if isinstance(component.use, str) else getattr(component.use, "__qualname__", "a function")
    arguments = ", ".join(f"{name}={value!r}" for name, value in component.arguments.items())
    how = [f"{use}({arguments})"]
    if component.at == "turn":
        how.append("at every turn")
    if component.normalise is not None:
        by = component.normalise
        how.append("normalised by its group" if by == "group" else f"{by[0]:g} to {by[1]:g} become 0 to 1")
    if component.clip is not None:
        how.append(f"between {component.clip[0]:g} and {component.clip[1]:g}")
    if component.gate is not None:
        how.append(f"below {component.gate:g} the others give nothing")
    return {
        "name": component.name,
        "use": use,
        "arguments": dict(component.arguments),
        "weight": component.weight,
        "gate": component.gate,
        "at": component.at,
        "normalise": component.normalise,
        "clip": component.clip,
        "how": "; ".join(how),
        "what": entry(use).summary if use in CATALOGUE and use != "environment_component" else "",
    }


def _box(options: argparse.Namespace) -> int:
    from agentrl.envs.rubrics.catalogue import describe

    if options.toml:
        raise UsageError("--toml has no effect on --components; leave it out")
    entries = describe()
    if options.json:
        print(json.dumps([asdict(each) for each in entries], indent=2))
        return 0
    table = _table("component", "what it gives", "with")
    for each in entries:
        table.add_row(each.name, each.summary, each.arguments)
    console = Console(highlight=False)
    console.print(table)
    note = "One of your own: use = 'module:factory', where the factory returns a function of the episode."
    console.print(note, style="dim", markup=False)
    return 0


def _table(*titles: str) -> Table:
    table = Table(box=None, header_style="bold", padding=(0, 2, 0, 0))
    for title in titles:
        justify: Literal["left", "right"] = "right" if title == "weight" else "left"
        table.add_column(title, no_wrap=title == "component", justify=justify, overflow="fold")
    return table


def _within(clip: tuple[float, float] | None) -> str:
    return "" if clip is None else f", between {clip[0]:g} and {clip[1]:g}"
