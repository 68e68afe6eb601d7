"""Put finished runs of one recipe, a seed each, into a table and one picture: held-out success by step.

agentrl train code --name code-0 --seed 0 --eval.every 20   # and so on for other seeds
python perf/learning.py runs/code-0 runs/code-1 runs/code-2 --title "Code-v0, level 1" --svg docs/learning-code.svg
"""

from __future__ import annotations

import json
from pathlib import Path

from common import parser, report, versions

from agentrl.trainer.curves import Chart, Series, draw

Point = tuple[int, float, float]
"""Step, success of sampled episodes, success of greedy ones."""


def main() -> None:
    """Read, print, draw."""
    options = parser(__doc__)
    options.add_argument("runs", nargs="+", type=Path, help="run folders")
    options.add_argument("--title", default="Held-out success")
    options.add_argument("--svg", type=Path, metavar="FILE", help="also draw the curves into FILE")
    arguments = options.parse_args()
    curves = {path.name: held_out(path) for path in arguments.runs}
    figures: dict[str, float] = {}
    for name, points in curves.items():
        for step, sampled, greedy in points:
            figures |= {f"{name}_step_{step}_sampled": sampled, f"{name}_step_{step}_greedy": greedy}
    report(figures, versions("torch", "gymnasium"), arguments.json)
    if arguments.svg is not None:
        lines = [
            Series(
                name=f"{name}, {kind}",
                xs=tuple(float(point[0]) for point in points),
                ys=tuple(point[place] for point in points),
                color=color,
                exact=True,
            )
            for place, kind in ((1, "sampled"), (2, "greedy"))
            for color, (name, points) in enumerate(curves.items(), 3 * (place - 1))
        ]
        chart = Chart(
            title=arguments.title,
            series=tuple(lines),
            unit="%",
            floor=0.0,
            ceiling=1.0,
            x_label="GRPO step",
            y_label="held-out tasks solved",
            width=920,
            height=470,
            alone=True,
        )
        arguments.svg.write_text(draw(chart, name="learning") + "\n", encoding="utf-8")


def held_out(run: Path) -> list[Point]:
    """Return held-out success of a finished run: before, at each evaluation on the way, after."""
    summary: dict[str, float] = json.loads((run / "summary.json").read_text(encoding="utf-8"))
    rows = [json.loads(line) for line in (run / "metrics.jsonl").read_text(encoding="utf-8").splitlines()]
    on_the_way = [(row["step"], row["eval/success"], row["eval/greedy"]) for row in rows if "eval/success" in row]
    before, after = ((summary[f"success_{when}"], summary[f"greedy_{when}"]) for when in ("before", "after"))
    last = max(row["step"] for row in rows)
    return [(0, *before), *(point for point in on_the_way if point[0] < last), (last, *after)]


if __name__ == "__main__":
    main()
