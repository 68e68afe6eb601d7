"""Run thousands of jobs, one in five hostile, on each sandbox backend, and count what is left on the host afterwards.

    python perf/sandboxes_soak.py [--jobs 5000] [--threads 8] [--backends docker,bubblewrap]

Ends with 1 when a job did not end as it should, or when anything stayed behind; says what.
"""

from __future__ import annotations

import sys
from random import Random

from common import parser, report

from agentrl.sandboxes import open_backend
from agentrl.sandboxes.conformance.soak import soak


def main() -> int:
    """Soak each backend in turn; return the exit status."""
    options = parser(__doc__)
    options.add_argument("--jobs", type=int, default=5000)
    options.add_argument("--threads", type=int, default=8, help="leases at once")
    options.add_argument("--seed", type=int, default=0)
    options.add_argument("--backends", default="docker,bubblewrap")
    chosen = options.parse_args()
    figures: dict[str, float] = {}
    wrong = []
    for name in chosen.backends.split(","):
        with open_backend(name, warm=0, idle_s=3, max_boxes=chosen.threads) as backend:
            found = soak(backend, chosen.jobs, rng=Random(chosen.seed), num_threads=chosen.threads, on_job=_progress)
        figures |= {f"{name}_{key}": value for key, value in found.figures().items()}
        figures |= {f"{name}_status_{key}": float(value) for key, value in sorted(found.statuses.items())}
        wrong += [f"{name}: {each}" for each in found.wrong]
    report(figures, {}, chosen.json)
    for each in wrong:
        print(each, file=sys.stderr)
    return 1 if wrong else 0


def _progress(num_jobs: int) -> None:
    if num_jobs % 500 < 5:
        print(f"{num_jobs} jobs", file=sys.stderr)


if __name__ == "__main__":
    sys.exit(main())
