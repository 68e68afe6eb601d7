"""Training step and generation on a GPU, beside TRL: Qwen3 of about 0.6B and 4B, random weights, bfloat16, 8k tokens.

One run, within --budget-s. Each part is a process of its own; what it measures is printed as a line of JSON at once,
and written to --json after each part, so that a run that is killed loses nothing. A part without enough memory says
so, and the others go on. The table comes at the end.

    train      a GRPO step on finished episodes, ours and `GRPOTrainer`'s, one episode a micro-batch: tokens of the
               episodes a second, share of the device's peak (mfu, recomputation not counted), peak memory.
               "apart": nothing is shared and all are equally long; "shared": one prompt; "mixed": and mixed lengths,
               which TRL pads to the longest. TRL computes "shared" as it does "apart": only ours is measured.
               Last, ours without torch.compile (`compile = false`)
    generate   --batch episodes of mixed lengths, --group with the same prompt: the torch engine and Hugging Face
               `generate` with the same weights on the batch padded at the left; then in three turns; then
               `generate` as GRPOTrainer itself calls it, on the weights that it trains

SHAPE_training_throughput_ratio and SHAPE_generation_ratio are ours to TRL's, above 1 in our favour;
SHAPE_training_memory_ratio too, below 1 in our favour. Without a GPU a tiny model is measured, which shows that the
script works and nothing else.

    python perf/gpu.py --json gpu.json
    python perf/gpu.py --device cpu --shape tiny
"""

from __future__ import annotations

import argparse
import json
import os
import queue
import signal
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from time import monotonic
from types import FrameType
from typing import IO, Any

from common import SHAPES, parser, report

# Dense bfloat16, by the makers' data sheets; the first name that the device's contains.
_PEAK_TFLOPS = {"H100 PCIe": 756.0, "H100 NVL": 835.0, "H100": 989.0, "H200": 989.0, "A100": 312.0}
_LEAST_S = 15.0  # a part is not begun with less left
_CONTESTANTS = ("agentrl", "trl")
# Of CUDA, of its matrix library, and of the CPU.
_OUT_OF_MEMORY = ("out of memory", "CUBLAS_STATUS_ALLOC_FAILED", "can't allocate memory")

Figures = dict[str, dict[str, float]]  # by workload


@dataclass
class _Run:
    """What the parent knows: how long it may go on, and what was found."""

    until: float  # on the monotonic clock
    part_s: float
    path: Path | None
    alloc: str
    figures: dict[str, float] = field(default_factory=dict)
    peers: dict[str, str] = field(default_factory=dict)

    def part(self, name: str, job: dict[str, Any], prefix: str) -> tuple[Figures, str]:
        """Run a part; keep its figures under the prefix; return them by workload, and why it ended early, if it did."""
        limit = min(self.part_s, self.until - monotonic())
        if limit < _LEAST_S:
            _say(part=name, shape=job["shape"], ended="not begun: the budget is spent")
            return {}, "budget"
        found: Figures = {}
        ended = ""
        for line in _child(name, job, limit, self.alloc):
            _say(part=name, shape=job["shape"], **line)
            found |= {line["workload"]: line["figures"]} if "figures" in line else {}
            self.peers |= line.get("peers", {})
            ended = line.get("ended", ended)
        for workload, figures in found.items():
            self.figures |= {f"{prefix}_{workload}_{figure}": value for figure, value in figures.items()}
        if ended:
            self.figures[f"{prefix}_{ended}"] = 1.0
        self.save()
        return found, ended

    def save(self) -> None:
        if self.path is not None:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            self.path.write_text(json.dumps({"figures": self.figures, "peers": self.peers}, indent=2) + "\n")


def main() -> None:
    """Measure and print."""
    if sys.argv[1:2] == ["--part"]:
        _part(sys.argv[2], json.loads(sys.argv[3]))
        return
    arguments = _options().parse_args()
    signal.signal(signal.SIGTERM, _leave)
    run = _Run(until=monotonic() + arguments.budget_s, part_s=arguments.part_s, path=arguments.json, alloc="")
    device, seen = _probe(run, arguments)
    shapes = arguments.shape or (["0.6b", "4b"] if device == "cuda" else ["tiny"])
    jobs = {shape: _job(arguments, shape, device, seen) for shape in shapes}
    for shape, job in jobs.items():
        _training(run, shape, job)
        _generation(run, shape, job)
    for shape, job in jobs.items():  # what may be missing when time is short
        run.part("trl.generate_in_trainer", job, f"{shape}_generate_trl")
        _ratio(run, f"{shape}_generation_ratio_to_trainer", f"{shape}_generate_{{}}_single_tokens_per_s")
        if job["compiled"]:
            run.part("agentrl.train", job | {"compiled": False, "workloads": ["apart"]}, f"{shape}_train_uncompiled")
    report(run.figures, run.peers, arguments.json)


def _options() -> argparse.ArgumentParser:
    options = parser(__doc__)
    options.add_argument("--device", default="auto", choices=["auto", "cuda", "cpu"])
    options.add_argument("--shape", action="append", choices=SHAPES, help="may be given again; default: 0.6b and 4b")
    options.add_argument("--dtype", choices=["float32", "bfloat16"], help="default: bfloat16, on a CPU float32")
    options.add_argument("--budget-s", type=float, default=540.0, help="of the whole run")
    options.add_argument("--part-s", type=float, default=150.0, help="of one part at most")
    options.add_argument("--tokens", type=int, help="of the longest episode; default: 8192, on a CPU 192")
    options.add_argument("--prompt", type=int, help="of them not sampled, in training; default: a quarter")
    options.add_argument("--episodes", type=int, help="of a training step; default: 8, of 4b 4")
    options.add_argument("--micro-batch", type=int, default=1, help="episodes of one forward and backward pass")
    options.add_argument("--checkpointing", choices=["yes", "no"], help="of activations; default: with 4b")
    options.add_argument("--steps", type=int, default=2, help="timed ones of each workload, after one that is not")
    options.add_argument("--batch", type=int, help="episodes generated at once; default: 32, on a CPU 8")
    options.add_argument("--group", type=int, default=8, help="of them that have the same prompt")
    options.add_argument("--generated", type=int, help="tokens of the longest turn; default: 512, on a CPU 16")
    options.add_argument("--threads", type=int, default=0, help="of torch, on a CPU; default: torch's")
    options.add_argument("--peak-tflops", type=float, help="of the device; default: by its name, where it is known")
    return options


def _job(arguments: argparse.Namespace, shape: str, device: str, seen: Mapping[str, Any]) -> dict[str, Any]:
    small = device == "cpu"
    tokens = arguments.tokens or (192 if small else 8192)
    named = next((peak for name, peak in _PEAK_TFLOPS.items() if name in seen.get("name", "")), 0.0)
    dtype = arguments.dtype or ("float32" if small else "bfloat16")
    episodes = arguments.episodes or (4 if small or shape == "4b" else 8)
    if episodes % arguments.micro_batch or episodes < 2:
        raise SystemExit(f"--episodes is {episodes}; give at least 2 and a multiple of --micro-batch")
    return {
        "shape": shape,
        "device": device,
        "dtype": dtype,
        "states": "float32",
        "workloads": [],
        "episodes": episodes,
        "tokens": tokens,
        "prompt": arguments.prompt or tokens // 4,
        "micro_batch": arguments.micro_batch,
        "compiled": not small,
        "checkpointing": arguments.checkpointing == "yes" if arguments.checkpointing else shape == "4b",
        "steps": arguments.steps,
        "batch": arguments.batch or (8 if small else 32),
        "group": arguments.group,
        "generated": arguments.generated or (16 if small else 512),
        "graphs": True,
        "threads": arguments.threads,
        "peak_tflops": arguments.peak_tflops or (named if dtype == "bfloat16" else 0.0),
    }


def _probe(run: _Run, arguments: argparse.Namespace) -> tuple[str, dict[str, Any]]:
    """Return the device to use and what it says of itself; settle how CUDA's allocator is set up."""
    job = {"shape": "", "device": arguments.device}
    # Without it 4b does not fit next to what fragments leave; some machines do not have what it needs.
    for run.alloc in ("expandable_segments:True", ""):
        found, ended = run.part("probe", job, "device")
        if found and not ended:
            break
    else:
        raise SystemExit("torch does not run on the device; see above")
    device = "cuda" if "cuda" in found else "cpu"
    name = next((name for name in run.peers if name.startswith("device ")), "").removeprefix("device ")
    return device, {"name": name}


def _training(run: _Run, shape: str, job: dict[str, Any]) -> None:
    """Measure both; where one has too little memory, measure it, or both, with what takes less."""
    for checkpointing in sorted({job["checkpointing"], True}):
        mark = "" if checkpointing == job["checkpointing"] else "_checkpointing"
        tried = job | {"checkpointing": checkpointing}
        ended = {
            name: run.part(
                f"{name}.train",
                tried | {"workloads": ["apart", "mixed"] if name == "trl" else ["apart", "shared", "mixed"]},
                f"{shape}_train_{name}{mark}",
            )[1]
            for name in _CONTESTANTS
        }
        places = f"{shape}_train_{{}}{mark}"
        _ratio(run, f"{shape}_training{mark}_throughput_ratio", f"{places}_apart_tokens_per_s")
        _ratio(run, f"{shape}_training{mark}_mixed_throughput_ratio", f"{places}_mixed_tokens_per_s")
        _ratio(run, f"{shape}_training{mark}_memory_ratio", f"{places}_apart_peak_mb")
        if "out_of_memory" not in ended.values():
            return
    if ended["trl"] == "out_of_memory":  # weights and state of half the size, in which it learns next to nothing
        run.part("trl.train", tried | {"states": job["dtype"], "workloads": ["apart"]}, f"{shape}_train_trl_states")
        ours, theirs = (
            run.figures.get(f"{shape}_train_{name}_apart_tokens_per_s") for name in ("agentrl", "trl_states")
        )
        if ours and theirs:
            run.figures[f"{shape}_training_throughput_ratio_to_{job['dtype']}_states"] = ours / theirs


def _generation(run: _Run, shape: str, job: dict[str, Any]) -> None:
    """Measure both; where one has too little memory, both with half as many episodes."""
    for mark in ("", "_half"):
        tried = job | {"batch": job["batch"] // 2 if mark else job["batch"]}
        ended = {
            who: run.part(f"{who}.generate", tried, f"{shape}_generate_{name}{mark}")[1]
            for who, name in (("agentrl", "agentrl"), ("trl", "hf"))
        }
        if ended["agentrl"] == "failed" and job["device"] == "cuda":
            run.figures[f"{shape}_generate_agentrl{mark}_without_graphs"] = 1.0
            ended["agentrl"] = run.part(
                "agentrl.generate", tried | {"graphs": False}, f"{shape}_generate_agentrl{mark}"
            )[1]
        for workload, ratio in (("single", f"generation{mark}"), ("turns", f"generation_turns{mark}")):
            places = f"{shape}_generate_{{}}{mark}_{workload}"
            _ratio(run, f"{shape}_{ratio}_ratio", f"{places}_tokens_per_s", peer="hf")
            _ratio(run, f"{shape}_{ratio}_memory_ratio", f"{places}_peak_mb", peer="hf")
        if "out_of_memory" not in ended.values():
            return


def _ratio(run: _Run, name: str, figure: str, *, peer: str = "trl") -> None:
    """Keep ours to the peer's, where both were measured."""
    ours, theirs = (run.figures.get(figure.format(who)) for who in ("agentrl", peer))
    if ours and theirs:
        run.figures[name] = ours / theirs
        run.save()


def _child(name: str, job: dict[str, Any], limit_s: float, alloc: str) -> Iterator[dict[str, Any]]:
    """Run a part in a process; yield its lines as they come, and one more if it ended early."""
    lines: queue.Queue[str | None] = queue.Queue()
    until = monotonic() + limit_s
    env = os.environ | {
        "HF_HUB_OFFLINE": "1",
        "TOKENIZERS_PARALLELISM": "false",
        "TRL_EXPERIMENTAL_SILENCE": "1",
    }
    if "," in env.get("CUDA_VISIBLE_DEVICES", "0,"):
        env["CUDA_VISIBLE_DEVICES"] = env.get("CUDA_VISIBLE_DEVICES", "0").split(",")[0]  # TRL would take several
    if alloc:
        env |= {"PYTORCH_CUDA_ALLOC_CONF": alloc, "PYTORCH_ALLOC_CONF": alloc}
    with tempfile.TemporaryFile("w+") as errors:
        child = subprocess.Popen(
            [sys.executable, __file__, "--part", name, json.dumps(job)],
            env=env,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=errors,
            text=True,
        )
        assert child.stdout is not None
        threading.Thread(target=_read, args=(child.stdout, lines), daemon=True).start()
        try:
            while (line := lines.get(timeout=max(0.0, until - monotonic()))) is not None:
                if line.startswith("{"):
                    yield json.loads(line)
            child.wait(timeout=max(1.0, until - monotonic()))
        except (queue.Empty, subprocess.TimeoutExpired):
            yield {"ended": "timed_out", "limit_s": round(limit_s)}
            return
        finally:
            child.kill()
            child.wait()
        if child.returncode:
            errors.seek(0)
            yield {"ended": "failed", "returncode": child.returncode, "error": errors.read()[-3000:]}


def _read(stream: IO[str], lines: queue.Queue[str | None]) -> None:
    for line in stream:
        lines.put(line)
    lines.put(None)


def _part(name: str, values: dict[str, Any]) -> None:
    """Be the process of a part."""
    sys.stdout = sys.stderr  # the peer prints, too; what is measured goes to the stream as it was (`emit`)
    if name == "probe":
        from peers.gpu_probe import probe

        probe(values["device"])
        return
    from importlib import import_module

    from peers.gpu_work import Job, emit

    who, _, what = name.partition(".")
    try:
        getattr(import_module(f"peers.gpu_{who}"), what)(Job(**values))
    except ModuleNotFoundError as error:
        emit(ended="missing", error=str(error))
    except Exception as error:
        said = f"{error} {error.__cause__}"  # our own error has the allocator's as its cause
        if not any(words in said for words in _OUT_OF_MEMORY):
            raise
        emit(ended="out_of_memory", error=str(error)[:500])


def _say(**values: Any) -> None:
    print(json.dumps(values), flush=True)


def _leave(number: int, frame: FrameType | None) -> None:
    raise SystemExit(128 + number)


if __name__ == "__main__":
    main()
