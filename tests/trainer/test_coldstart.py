"""The cold start: demonstrations from an environment or a file, the same weights from the same seed, clear refusals."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import gymnasium
import numpy as np
import pytest
from gymnasium.spaces import Text
from hypothesis import given, settings
from hypothesis import strategies as st
from transformers import AutoModelForCausalLM, AutoTokenizer

from agentrl.trainer.chat import Chat
from agentrl.trainer.coldstart import coldstart, weights_hash
from agentrl.trainer.coldstart_config import ColdstartConfig
from agentrl.trainer.demonstrations import Conversation, played, read_conversations, tokenized
from agentrl.trainer.errors import ConfigError, RunFolderError, TrainerError
from agentrl.trainer.exercises import copying


class Echo(gymnasium.Env[str, str]):
    """Says a number, wants it back, twice; ships an oracle, and by `expert` nothing or also a demonstrator."""

    def __init__(self, expert: str = "oracle", fails: bool = False) -> None:
        self.action_space = self.observation_space = Text(100)
        self.fails = fails
        if expert != "none":
            self.oracle = lambda: lambda observation, info: f"oracle {observation}"
        if expert == "demonstrator":
            self.demonstrator = lambda rng: lambda observation, info: f"human {rng.integers(10)} {observation}"

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[str, dict[str, Any]]:
        super().reset(seed=seed)
        self.left = 2
        self.options = options or {}
        return f"{seed} {self.options}", {"system": "Repeat."}

    def step(self, action: str) -> tuple[str, float, bool, bool, dict[str, Any]]:
        self.left -= 1
        if self.fails:
            return "", 0.0, False, True, {"failure": {"kind": "k", "boundary": "b", "message": "no route"}}
        return "again", 1.0, self.left == 0, False, {}


gymnasium.register(id="Toy/Echo-v0", entry_point=Echo, disable_env_checker=True)  # type: ignore[arg-type]


def small(tmp_path: Path, **changes: Any) -> ColdstartConfig:
    base: dict[str, Any] = {"out": str(tmp_path / "runs"), "num_steps": 2, "copy_steps": 1}
    return ColdstartConfig(**base | {"batch_size": 3, "vocab_size": 320, "env": "Toy/Echo-v0"} | changes)


def test_demonstrations_of_an_environment() -> None:
    one, two = (next(played("Toy/Echo-v0", {"expert": "demonstrator"}, level=3, seed=seed)) for seed in (0, 1))
    assert [message["role"] for message in one.messages] == ["system", "user", "assistant", "user", "assistant"]
    assert one.messages[2]["content"].startswith("human ")
    assert one.messages[1]["content"].endswith("{'split': 'train', 'level': 3}")
    assert one != two
    source = played("Toy/Echo-v0", {"expert": "demonstrator"}, level=3, seed=0)
    assert next(source) == one
    assert next(source) != one


def test_without_a_demonstrator_the_oracle_is_imitated() -> None:
    conversation = next(played("Toy/Echo-v0", {}, level=None, seed=0))
    assert conversation.messages[2]["content"] == f"oracle {conversation.messages[1]['content']}"
    assert conversation.messages[1]["content"].endswith("{'split': 'train'}")


def test_without_either_it_is_refused_and_nothing_made(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"neither demonstrator\(\) nor oracle\(\).*--demonstrations FILE\.jsonl"):
        coldstart(small(tmp_path, env_kwargs={"expert": "none"}))
    assert not (tmp_path / "runs").exists()


def test_half_a_demonstration_is_not_imitated(tmp_path: Path) -> None:
    with pytest.raises(TrainerError, match=r"demonstration 0 .* failed: no route"):
        coldstart(small(tmp_path, env_kwargs={"fails": True}))
    assert not (tmp_path / "runs").exists()


def test_the_same_seed_gives_the_same_weights(tmp_path: Path) -> None:
    folders = [coldstart(small(tmp_path, seed=seed)) for seed in (4, 4, 5)]
    records = [json.loads((folder.parent / "coldstart.json").read_text()) for folder in folders]
    hashes = [record["weights_sha256"] for record in records]
    assert hashes[0] == hashes[1] != hashes[2]
    assert [weights_hash(AutoModelForCausalLM.from_pretrained(folder)) for folder in folders] == hashes
    assert [folder.parent.name for folder in folders] == ["coldstart", "coldstart-2", "coldstart-3"]
    assert records[0]["config"]["seed"] == 4
    assert {"parameters", "token_accuracy", "torch", "threads"} <= records[0].keys()
    text = AutoTokenizer.from_pretrained(folders[0]).apply_chat_template(
        [{"role": "user", "content": "a"}], tokenize=False
    )
    assert text == "<|user|>a<|end|>"

    # The recorded hash can be asked for; further training starts from the folder.
    assert coldstart(small(tmp_path, seed=4, verify=hashes[0])).exists()
    with pytest.raises(ConfigError, match=f"have the hash {hashes[0]}, not 123"):
        coldstart(small(tmp_path, seed=4, verify="123"))
    further = ColdstartConfig(model=str(folders[0]), env="Toy/Echo-v0", num_steps=1, batch_size=2, out=str(tmp_path))
    assert weights_hash(AutoModelForCausalLM.from_pretrained(coldstart(further))) != hashes[0]


def test_a_number_of_demonstrations_is_played_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    num_played = 0

    def counted(*args: Any, **kwargs: Any) -> Any:
        nonlocal num_played
        for each in played(*args, **kwargs):
            num_played += 1
            yield each

    monkeypatch.setattr("agentrl.trainer.coldstart.played", counted)
    coldstart(small(tmp_path, num_demonstrations=5))
    assert num_played == 1 + 5  # one to see that it works at all
    with pytest.raises(ConfigError, match="num_demonstrations is -1, but must be 0 or more"):
        small(tmp_path, num_demonstrations=-1)


def test_practice_can_be_left_out(tmp_path: Path) -> None:
    assert coldstart(small(tmp_path, copy_steps=0)).exists()


def test_on_search(tmp_path: Path) -> None:
    folder = coldstart(small(tmp_path, env="agentrl.envs:AgentRL/Search-v0", num_steps=1, vocab_size=400))
    assert (folder / "model.safetensors").exists()


GOOD = {"messages": [{"role": "user", "content": "What?"}, {"role": "assistant", "content": "That."}]}


def test_own_conversations(tmp_path: Path) -> None:
    path = tmp_path / "mine.jsonl"
    odd = {"messages": [*GOOD["messages"], {"role": "tool", "name": "t", "content": "a\u2028b"}, GOOD["messages"][1]]}
    path.write_text("\n".join([json.dumps(GOOD), "", json.dumps(odd | {"tools": [{}]}, ensure_ascii=False)]), "utf-8")
    read = read_conversations(path)
    assert [len(each.messages) for each in read] == [2, 4]
    assert read[1].tools == [{}]
    assert coldstart(small(tmp_path, env="AgentRL/Search-v0", demonstrations=str(path))).exists()


BAD = {
    "{": "no JSON",
    "3": "field messages must be a list",
    "{}": "field messages must be a list",
    '{"messages": []}': "field messages must be a list",
    '{"messages": ["hello"]}': "messages[0] must have a role of system, user, assistant, tool",
    '{"messages": [{"role": "human", "content": "a"}]}': "messages[0] must have a role",
    '{"messages": [{"role": "user", "content": "a"}, {"role": "assistant"}]}': "messages[1] must have a role",
    '{"messages": [{"role": "user", "content": ["a"]}]}': "messages[0] must have a role",
    '{"messages": [{"role": "user", "content": "a"}]}': "must begin with the system or the user and have a turn",
    '{"messages": [{"role": "assistant", "content": "a"}]}': "must begin with the system or the user",
    '{"messages": [{"role": "user", "content": "a"}, {"role": "assistant", "content": "a"}, {"role": "assistant", '
    '"content": "b"}]}': "two turns of the assistant follow one another",
    json.dumps(GOOD | {"tools": "search"}): "field tools must be a list of schemas, got str",
}


@pytest.mark.parametrize("row", BAD)
def test_a_bad_row_is_named(tmp_path: Path, row: str) -> None:
    path = tmp_path / "mine.jsonl"
    path.write_text(f"{json.dumps(GOOD)}\n\n{row}\n")
    with pytest.raises(ConfigError, match=re.escape(f"{path}, line 3: ") + ".*" + re.escape(BAD[row])):
        coldstart(small(tmp_path, env="AgentRL/Search-v0", demonstrations=str(path)))
    assert not (tmp_path / "runs").exists()


def test_a_file_without_conversations(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="cannot be read"):
        read_conversations(tmp_path / "missing.jsonl")
    (tmp_path / "empty.jsonl").write_text("\n\n")
    with pytest.raises(ConfigError, match="holds no conversation"):
        read_conversations(tmp_path / "empty.jsonl")


def test_a_folder_that_is_there_is_refused(tmp_path: Path) -> None:
    (tmp_path / "runs" / "mine").mkdir(parents=True)
    with pytest.raises(RunFolderError, match="mine exists"):
        coldstart(small(tmp_path, name="mine"))


def test_a_conversation_too_long_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="more than max_tokens=10"):
        coldstart(small(tmp_path, max_tokens=10))


def test_only_the_assistants_turns_are_imitated(tokenizer: Any) -> None:
    chat = Chat(tokenizer)
    messages = [
        {"role": "system", "content": "Be brief."},
        {"role": "user", "content": "the archive"},
        {"role": "assistant", "content": "open"},
        {"role": "tool", "name": "open", "content": "founded in 1904"},
        {"role": "assistant", "content": "1904"},
        {"role": "user", "content": "thanks"},
    ]
    ids, mask = tokenized(Conversation(messages=messages, tools=[]), chat)
    kept = tokenizer.decode([token for token, on in zip(ids, mask, strict=True) if on])
    assert kept == "open<|end|>1904<|end|>"
    whole = "<|user|>the archive<|end|><|assistant|>open<|end|><|tool|>founded in 1904<|end|><|assistant|>1904<|end|>"
    assert tokenizer.decode(ids) == whole


@settings(deadline=None)  # another program on the machine may take the core
@given(st.integers(0, 2**32))
def test_copying_can_be_solved_by_copying(seed: int) -> None:
    ids, masks = next(copying(np.random.default_rng(seed), 100))
    for row, mask in zip(ids, masks, strict=True):
        half = len(row) // 2
        assert all(row[place] == row[place - half] for place, on in enumerate(mask) if on)
        assert not any(mask[: half + 1])
        assert all(9 <= token < 100 for token in row)
