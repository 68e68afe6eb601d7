"""vLLM servers of the deployments are started as the engine starts its own, and vLLM takes the command."""

from __future__ import annotations

import json
import re
import shlex
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from agentrl.trainer.engines.fleet.launching import arguments_of
from agentrl.trainer.engines.options import EngineConfig
from agentrl.trainer.tiny import make_tiny_model, train_tokenizer
from tests.deploy.reading import DEPLOY, VLLM, composed, pods, value

PARSE = """
import json, sys
try:
    from vllm.entrypoints.launchers.cli_args import make_arg_parser, validate_parsed_serve_args
except ImportError:  # of older versions
    from vllm.entrypoints.openai.cli_args import make_arg_parser, validate_parsed_serve_args
from vllm.utils.argparse_utils import FlexibleArgumentParser
parser = make_arg_parser(FlexibleArgumentParser())
for words in json.load(sys.stdin):
    args = parser.parse_args(words)
    validate_parsed_serve_args(args)
    print(args.port)
"""


def _compose() -> tuple[list[str], dict[str, str]]:
    service = composed("compose.yaml", "compose.gpu.yaml")["services"]["vllm-0"]
    command = service["command"]
    return shlex.split(command) if isinstance(command, str) else list(command), service["environment"]


def _kubernetes() -> tuple[list[str], dict[str, str]]:
    (container,) = pods("overlays/gpu")["vllm"]["spec"]["containers"]
    return [*container["command"], *container["args"]], {
        each["name"]: each["value"] for each in container["env"] if "value" in each
    }


def _slurm() -> tuple[list[str], dict[str, str]]:
    text = (DEPLOY / "slurm/serve.sh").read_text().replace("\\\n", " ")
    (line,) = re.findall(r"python -m vllm[^&\n]*", text)
    settings = dict(each.split("=", 1) for each in re.findall(r"\bVLLM_\w+=\w+", text))
    filled = re.sub(r"\$\{\w+:-(\w+)\}", r"\1", line.replace('"${options[@]}"', "").replace("$((8000 + each))", "8000"))
    return shlex.split(filled.replace("$(hostname)", "localhost").replace("$1", "MODEL")), settings


COMMANDS = {"compose": _compose, "kubernetes": _kubernetes, "slurm": _slurm}


@pytest.mark.parametrize("where", COMMANDS)
def test_servers_are_started_as_the_engine_starts_its_own(where: str) -> None:
    words, settings = COMMANDS[where]()
    model = make_tiny_model(train_tokenizer(["a b"], vocab_size=280), seed=0, hidden=32, layers=1)
    options = EngineConfig(name="vllm", servers=1)
    own, (shared, *_) = arguments_of(model, max_tokens=64, max_sessions=4, options=options)
    assert words[:3] == VLLM == ["python", *own[1:3]]
    assert settings["VLLM_SERVER_DEV_MODE"] == shared["VLLM_SERVER_DEV_MODE"]
    given = {word.partition("=")[0] for word in words if word.startswith("--")}
    for option in ("--logprobs-mode", "--generation-config", "--worker-extension-cls"):
        assert value(words, option) == value(own, option)
    assert {"--model", "--dtype", "--max-model-len", "--max-num-seqs"} <= given


def test_vllm_takes_the_commands() -> None:
    # In a process of its own: vLLM changes what others rely on, such as warnings and loggers.
    words = [COMMANDS[where]()[0][3:] for where in COMMANDS]
    done = subprocess.run(
        [sys.executable, "-c", PARSE],
        input=json.dumps(words),
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.split() == ["8000"] * len(words)


def test_the_image_has_what_the_deployments_call() -> None:
    dockerfile = (DEPLOY / "Dockerfile").read_text()
    extras = re.search(r"^ARG EXTRAS=(\S+)$", dockerfile, re.MULTILINE)
    assert extras is not None
    known = tomllib.loads((DEPLOY.parent / "pyproject.toml").read_text())["project"]["optional-dependencies"]
    assert {"train", "ray", "view", "vllm"} <= set(extras[1].split(",")) <= set(known)
    kept = {line[1:] for line in (DEPLOY.parent / ".dockerignore").read_text().splitlines() if line.startswith("!")}
    for line in re.findall(r"^COPY (.*) \S+$", dockerfile, re.MULTILINE):
        for source in line.split():
            assert source in kept
            assert (DEPLOY.parent / source).exists()
    assert Path(DEPLOY / "train.sh").stat().st_mode & 0o111
