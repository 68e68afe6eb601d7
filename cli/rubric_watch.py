"""`agentrl rubric watch RUN`: look for reward hacking in a stored run, as the watch does while it trains."""

from __future__ import annotations

import argparse
import dataclasses
import json
from collections.abc import Sequence
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from agentrl.trainer.watch import Alert, Watch

__all__ = ["run"]


def run(args: Sequence[str]) -> int:
    """Print the alerts of a run; return 0, or 1 where there are some."""
    options = _parser().parse_args(args)
    from agentrl.trainer.config import load_recipe
    from agentrl.trainer.rundir import RunDir
    from agentrl.trainer.watch import WatchConfig, watch_stored

    import_module("agentrl.envs")  # registers environments: cheats may have to be played
    folder = Path(options.run)
    config = load_recipe(str(RunDir.existing(folder).path / "config.toml"))
    own = config.watch if config.watch.is_on else WatchConfig()
    asked = {name: value for name, value in vars(options).items() if name in _KEYS and value is not None}
    watch = watch_stored(folder, dataclasses.replace(config, watch=dataclasses.replace(own, **asked)))
    if options.json:
        print(
            json.dumps(
                {
                    "run": str(folder),
                    "num_steps": watch.num_steps,
                    "without_success": watch.speechless,
                    "alerts": [alert.as_dict() for alert in watch.alerts],
                },
                indent=2,
            )
        )
    else:
        print("\n".join(_lines(folder, watch)))
    return 1 if watch.alerts else 0


_KEYS = ("false_alarms", "tolerance")


def _lines(folder: Path, watch: Watch) -> list[str]:
    from agentrl.trainer.transcripts import visible

    lines = [
        f"{env_id} tells no success, so there is nothing to compare its reward with; only what is unmistakable is found"
        for env_id in watch.speechless
    ]
    for alert in watch.alerts:
        lines += _told(alert)
    number = len(watch.alerts)
    said = "no alert" if not number else "1 alert" if number == 1 else f"{number} alerts"
    return [visible(line) for line in [*lines, f"{said} in {watch.num_steps} steps of {folder}"]]


def _told(alert: Alert) -> list[str]:
    what = f" ({alert.component})" if alert.component else ""
    lines = [f"step {alert.step}, begun at about step {alert.began}: {alert.kind}{what} in {alert.env_id}"]
    lines += [f"  {words}" for words in (alert.sentence, *(f"also: {each}" for each in alert.also))]
    for each in alert.examples:
        text = " ".join(each.text.split())[:120]
        lines.append(f"  step {each.step}, group {each.group}, member {each.member}: reward {each.reward:.3g}: {text}")
    return [*lines, ""]


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="agentrl rubric watch",
        description=(
            "Look for reward hacking in a stored run: reward that rises without success, touched traps, known cheats. "
            "What is found is what the run's own watch found while it trained."
        ),
    )
    parser.add_argument("run", metavar="RUN", help="folder of a training run; it is not changed")
    parser.add_argument("--json", action="store_true", help="print JSON for machines")
    parser.add_argument(
        "--false-alarms", type=float, metavar="P", help="chance of a false alert over the run (default: the run's)"
    )
    parser.add_argument(
        "--tolerance",
        type=float,
        metavar="X",
        help="rise of reward, in units of what a success pays, that may be shaping (default: the run's)",
    )
    return parser
