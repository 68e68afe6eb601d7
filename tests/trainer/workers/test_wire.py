"""What travels: by name where that will do, by value where a script made it."""

from __future__ import annotations

import pickle
import subprocess
import sys
import threading
from functools import partial
from pathlib import Path

import pytest

from agentrl.trainer.errors import ConfigError
from agentrl.trainer.workers.wire import decode, encode, pack

SCRIPT = """
import sys
from functools import partial
from agentrl.trainer.workers.wire import pack

def greet(name, again):
    return f"hello {name}" + again

open(sys.argv[1], "wb").write(pack(partial(greet, "you", again="!"), "a job"))
"""


def shout(text: str, *, times: int) -> str:
    return text.upper() * times


@pytest.mark.parametrize("text", ["plain", "it says __main__, and is text", "\ud800 half a pair"])
def test_functions_of_modules_go_by_name(text: str) -> None:
    job = partial(shout, text, times=2)
    packed = pack(job, "a job")
    assert pickle.loads(packed)() == shout(text, times=2)
    assert b"shout" in packed
    assert len(packed) < 200


def test_functions_of_a_script_go_by_value(tmp_path: Path) -> None:
    path = tmp_path / "job"
    (tmp_path / "script.py").write_text(SCRIPT)
    subprocess.run([sys.executable, tmp_path / "script.py", path], check=True, timeout=60)
    assert pickle.loads(path.read_bytes())() == "hello you!"  # this process has no such function


def test_functions_without_a_name_go_by_value() -> None:
    packed = pack(lambda number: number + 1, "a job")
    assert pickle.loads(packed)(3) == 4


def test_what_cannot_be_sent_is_said() -> None:
    with pytest.raises(ConfigError, match="a job cannot be sent to a worker process: TypeError"):
        pack(threading.Lock(), "a job")
    answer = encode(threading.Lock(), None, "step")
    _, error = decode(answer, "step")
    assert "step gave what cannot be sent" in str(error)
    assert decode(encode({"a": [1]}, None, "step"), "step") == ({"a": [1]}, None)
