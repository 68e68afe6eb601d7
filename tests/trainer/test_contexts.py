"""An environment that leads several conversations: played, stored, trained on, and imitated."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import gymnasium
import pytest

from agentrl.trainer.chat import Chat
from agentrl.trainer.demonstrations import played, tokenized
from agentrl.trainer.engines.torch import TorchEngine
from agentrl.trainer.metrics import episode_metrics
from agentrl.trainer.rollout import RolloutConfig, Rollouts, Task
from agentrl.trainer.rows import rows_of
from agentrl.trainer.store import RolloutStore
from agentrl.trainer.types import Episode


def user(text: str) -> dict[str, str]:
    return {"role": "user", "name": "", "content": text}


SCENES: list[dict[str, Any]] = [  # of each turn but the first: where it is said
    {"after": 0, "messages": [user("go on")]},
    {"after": None, "messages": [user("anew"), {"role": "assistant", "content": "hm"}, user("now")], "tools": []},
    {"after": 0, "messages": [user("back")]},
    {"after": 2, "messages": [user("on again")], "max_tokens": 2},
]


class Forked(gymnasium.Env[str, str]):
    """Five turns in three conversations."""

    action_space = observation_space = gymnasium.spaces.Text(10_000)

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> Any:
        super().reset(seed=seed)
        self.turn = 0
        return "begin", {"context": {"after": None, "messages": [user("begin")]}}

    def step(self, action: str) -> Any:
        self.turn += 1
        if self.turn > len(SCENES):
            return "", 1.0, True, False, {"success": True}
        return "more", 0.0, False, False, {"context": SCENES[self.turn - 1]}

    def oracle(self) -> Callable[..., str]:
        return lambda observation, info: f"turn {self.turn}"


gymnasium.register(id="Toy/Forked-v0", entry_point=Forked, disable_env_checker=True)  # type: ignore[arg-type]


@pytest.fixture(scope="module")
def chat(tokenizer: Any) -> Chat:
    return Chat(tokenizer)


@pytest.fixture(scope="module")
def episodes(tiny_model: Callable[..., Any], chat: Chat) -> Iterator[list[Episode]]:
    tasks = [
        Task(step=1, group=0, member=member, seed=7, split="train", level=None, temperature=1.0) for member in range(3)
    ]
    with TorchEngine(tiny_model()) as engine:
        config = RolloutConfig(concurrency=2, max_turn_tokens=6)
        rollouts = Rollouts(env_id="Toy/Forked-v0", env_kwargs={}, engine=engine, chat=chat, config=config)
        yield rollouts.play(tasks)
        rollouts.close()


def test_turns_stand_in_their_conversations(episodes: list[Episode], chat: Chat) -> None:
    for episode in episodes:
        assert (episode.failure, episode.reward, episode.num_turns) == (None, 1.0, 5)
        assert (episode.turn_segments, episode.turn_order) == ([0, 0, 1, 2, 1], [0, 1, 2, 4, 3])
        assert sum(episode.segments) == len(episode.token_ids)
        assert episode.turn_lengths[4] <= 2
        said = [message["content"] for message in episode.messages if message["role"] == "assistant"]
        rows = rows_of(episode)
        for turn in range(5):
            row = rows[episode.turn_segments[turn]]
            action = said[turn if turn < 2 else turn + 1]  # the third was given, not said
            assert action in chat._tokenizer.decode(row.token_ids)
        first = [token for token, on in zip(rows[0].token_ids, rows[0].mask, strict=True) if on][
            : episode.turn_lengths[0]
        ]
        assert [*rows[2].token_ids[: rows[0].mask.index(True)], *first] == list(
            rows[2].token_ids[: rows[0].mask.index(True) + len(first)]
        )  # the branch begins with the tokens of turn 0, which count as read there
        assert sum(rows[2].mask) == episode.turn_lengths[3]


def test_they_are_stored_and_measured(episodes: list[Episode], tmp_path: Path) -> None:
    with RolloutStore(tmp_path / "rollouts.sqlite") as store:
        store.add(episodes)
        kept = list(store.episodes())
    assert [(each.segments, each.turn_segments, each.kept_tokens) for each in kept] == [
        (each.segments, each.turn_segments, each.kept_tokens) for each in episodes
    ]
    metrics = episode_metrics(episodes)
    assert metrics["conversations/mean"] == 3.0
    assert 0.1 < metrics["conversations/kept_share"] < 0.9


def test_demonstrations_are_conversations_too(chat: Chat) -> None:
    demonstrations = played("Toy/Forked-v0", {}, level=None, seed=0)
    texts = []
    for _ in range(3):
        ids, mask = tokenized(next(demonstrations), chat)
        texts.append(chat._tokenizer.decode([token for token, on in zip(ids, mask, strict=True) if on]))
    said = [[f"turn {turn}" for turn in range(5) if f"turn {turn}" in text] for text in texts]
    assert said == [["turn 0", "turn 1"], ["turn 2", "turn 4"], ["turn 3"]]
