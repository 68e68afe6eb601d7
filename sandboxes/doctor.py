"""Say what works on this machine: the findings, what each backend holds, and the conformance suite as a table."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from agentrl.sandboxes.base import Backend, Capabilities
from agentrl.sandboxes.errors import SandboxError, SandboxUnavailable
from agentrl.sandboxes.findings import Finding, diagnose

if TYPE_CHECKING:
    from rich.console import Console

    from agentrl.sandboxes.conformance.runner import Outcome

__all__ = ["Finding", "diagnose", "run_doctor", "run_suite"]

BACKENDS = ("docker", "bubblewrap")


def run_suite(
    backend: Backend,
    names: Sequence[str] | None = None,
    on_outcome: Callable[[Outcome], None] | None = None,
) -> list[Outcome]:
    """Run the conformance suite against a backend.

    Args:
        backend: Open; it stays open.
        names: Of cases or groups; None: all.
        on_outcome: Called with each outcome as it comes.

    Raises:
        ValueError: A name that is neither a case nor a group.
        SandboxUnavailable: Nothing can run here.
    """
    from agentrl.sandboxes.conformance.runner import Runner
    from agentrl.sandboxes.conformance.suite import pick

    cases = pick(names)
    outcomes = []
    with Runner(backend) as runner:
        for case in cases:
            outcome = runner.run(case)
            outcomes.append(outcome)
            if on_outcome is not None:
                on_outcome(outcome)
    return outcomes


def run_doctor(
    backends: Sequence[str] = BACKENDS,
    *,
    suite: bool = True,
    names: Sequence[str] | None = None,
    as_json: bool = False,
    console: Console | None = None,
    open_backend: Callable[[str], Backend] | None = None,
) -> int:
    """Look at this machine, try every backend, and print what was found.

    Args:
        backends: Of "docker" and "bubblewrap".
        suite: Whether to run the conformance suite, some minutes; else only what each backend holds is asked.
        names: Cases or groups of the suite; None: all.
        as_json: Print one JSON object in place of tables.
        console: Where to; None: standard output.
        open_backend: Opens a backend by name; None: `agentrl.sandboxes.open.open_backend`.

    Returns:
        0 where at least one backend works and no case failed; 1 otherwise.

    Raises:
        ValueError: A backend, case or group that is not known.
    """
    from rich.console import Console

    if open_backend is None:
        from agentrl.sandboxes.open import open_backend as opened

        open_backend = opened
    console = console or Console()
    findings = diagnose(backends)
    if not as_json:
        _print_findings(console, findings)
    held: dict[str, Capabilities] = {}
    outcomes: dict[str, list[Outcome]] = {}
    unavailable: dict[str, str] = {}
    for name in backends:
        try:
            with open_backend(name) as backend:
                held[name] = backend.capabilities()
                if suite:
                    outcomes[name] = run_suite(backend, names, None if as_json else _ticker(console, name))
        except SandboxUnavailable as error:
            unavailable[name] = str(error)
        except SandboxError as error:
            unavailable[name] = f"{type(error).__name__}: {error}"
    if as_json:
        console.print(_as_json(findings, held, outcomes, unavailable), soft_wrap=True, markup=False, highlight=False)
    else:
        _print_held(console, held, unavailable)
        _print_outcomes(console, outcomes)
    failed = any(not each.passed and not each.skipped for row in outcomes.values() for each in row)
    return 1 if failed or not held or (suite and len(outcomes) < len(held)) else 0


def _as_json(
    findings: Iterable[Finding],
    held: dict[str, Capabilities],
    outcomes: dict[str, list[Outcome]],
    unavailable: dict[str, str],
) -> str:
    whole: dict[str, Any] = {
        "findings": [asdict(each) for each in findings],
        "capabilities": {
            name: {
                "backend": each.backend,
                "held": sorted(each.held),
                "reported": sorted(each.reported),
                "missing": dict(each.missing),
            }
            for name, each in held.items()
        },
        "unavailable": unavailable,
        "suite": {name: [asdict(each) for each in row] for name, row in outcomes.items()},
    }
    return json.dumps(whole, indent=2)


def _print_findings(console: Console, findings: Iterable[Finding]) -> None:
    from rich.markup import escape
    from rich.table import Table

    table = Table("", "of", "what", "found", "to mend it", title="This machine", title_justify="left")
    for each in findings:
        mark = "[green]ok[/]" if each.ok else "[red]no[/]" if each.needed else "[yellow]less[/]"
        table.add_row(mark, each.subject, each.name, escape(each.detail), escape(each.mend))
    console.print(table)


def _print_held(console: Console, held: dict[str, Capabilities], unavailable: dict[str, str]) -> None:
    from rich.markup import escape
    from rich.table import Table

    table = Table("backend", "holds", "lacks", title="Backends", title_justify="left")
    for each in held.values():
        lacks = "\n".join(f"{name}: {why}" for name, why in each.missing.items())
        table.add_row(each.backend, escape(", ".join(sorted(each.held | each.reported))), escape(lacks))
    for name, why in unavailable.items():
        table.add_row(name, "[red]nothing[/]", escape(why))
    console.print(table)


def _print_outcomes(console: Console, outcomes: dict[str, list[Outcome]]) -> None:
    from rich.markup import escape
    from rich.table import Table

    from agentrl.sandboxes.conformance.runner import report

    for name, row in outcomes.items():
        table = Table("group", "passed", "failed", "left out", title=f"Conformance of {name}", title_justify="left")
        for group, passed, failed, skipped in report(row):
            table.add_row(group, str(passed), f"[red]{failed}[/]" if failed else "0", str(skipped))
        console.print(table)
        for each in row:
            if not each.passed:
                mark = "[yellow]left out[/]" if each.skipped else "[red]failed[/]"
                console.print(f"{mark} {each.name}: expected {each.expected}; {escape(_visible(each.reason))}")


def _ticker(console: Console, backend: str) -> Callable[[Outcome], None]:
    done = 0

    def tick(outcome: Outcome) -> None:
        nonlocal done
        done += 1
        if not outcome.passed and not outcome.skipped:
            console.print(f"{backend} {done}: {outcome.name} failed", markup=False, highlight=False)
        elif done % 20 == 0:
            console.print(f"{backend}: {done} cases done", markup=False, highlight=False)

    return tick


def _visible(text: str) -> str:
    # What a hostile program said must not reach the terminal as control characters.
    return "".join(each if each.isprintable() else ascii(each)[1:-1] for each in text)
