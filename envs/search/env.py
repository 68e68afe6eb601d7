"""`AgentRL/Search-v0`: multi-hop questions answered by searching and reading.

By default every seed is a fresh fictional encyclopedia, so nothing can be known beforehand. With `questions=` the
tasks are the user's own, over `corpus=` (an index built once) or `retriever=` (a retrieval server).
"""

from __future__ import annotations

import random
from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from agentrl.envs.core import TextEnv, Turn
from agentrl.envs.errors import UsageError
from agentrl.envs.protocol import Policy
from agentrl.envs.scripted import scripted
from agentrl.envs.search.policies import FLAWS, cheat_policies, demonstration, solution, world_names
from agentrl.envs.search.questions import Question, make_question
from agentrl.envs.search.retrieval import FtsIndex, Retriever
from agentrl.envs.search.scoring import exact_match, f1
from agentrl.envs.search.sources import QuestionFile
from agentrl.envs.search.tools import SearchTools, is_cut, pages_of
from agentrl.envs.search.world import World, make_world
from agentrl.envs.tools import ToolsetSpec
from agentrl.envs.tools.host import BoxedToolset, LocalToolset

__all__ = ["SearchEnv"]

_SYSTEM = (
    "Answer the question by reading documents. Call search to find documents and open to read one in full; you may "
    "call several tools in one turn. When you know the answer, write it as <answer>your answer</answer>, with nothing "
    "but the answer in the tag; name the documents that you used before it, like [d3]. If the documents do not say, "
    "write <answer>unknown after NAME</answer>, where NAME is the last thing that you could find."
)


class SearchEnv(TextEnv):
    """Multi-hop question answering over documents, with the tools `search` and `open`.

    Components: `exact_match` (SQuAD's normalisation, aliases honoured; also `success`), `f1`, `format` (one answer
    tag, no malformed turn), `citation` (F1 of the cited documents, of those that were shown, with the supporting
    ones). Only `exact_match` has weight by default.

    Args:
        corpus: JSONL file of documents in the layout of HotpotQA or Search-R1; needs `questions`.
        questions: JSONL file of questions in either layout, or one for each split: {"train": FILE, "test": FILE}.
        retriever: URL of a retrieval server with Search-R1's interface; needs `questions`.
        cache_dir: Where indices of large corpora are kept; the user's cache folder by default.
        retriever_timeout_s: Deadline of one query to the server, retries included.
        max_turns: As in TextEnv.
        **kwargs: split, level, weights, render_mode, max_reply_chars: as in TextEnv; the level changes generated
            worlds only.

    Raises:
        UsageError: For arguments that do not fit together.
        DataError: For a bad row of the user's data, or when they have no question of the split.
    """

    components: ClassVar[Mapping[str, float]] = {"exact_match": 1.0, "f1": 0.0, "format": 0.0, "citation": 0.0}
    system = _SYSTEM
    toolset = SearchTools
    state: ClassVar[tuple[str, ...]] = ("_world", "_question", "_text", "_answers", "_supporting", "_shown")

    def __init__(
        self,
        *,
        corpus: str | Path | None = None,
        questions: str | Path | Mapping[str, str | Path] | None = None,
        retriever: str | None = None,
        cache_dir: str | Path | None = None,
        retriever_timeout_s: float = 30.0,
        max_turns: int = 12,
        **kwargs: Any,
    ) -> None:
        if corpus is not None and retriever is not None:
            raise UsageError(f"corpus={str(corpus)!r} and retriever={retriever!r} exclude each other; give one of them")
        if questions is None and (corpus is not None or retriever is not None):
            raise UsageError("own documents need questions of their own; add questions=PATH")
        super().__init__(max_turns=max_turns, **kwargs)
        self._file = QuestionFile(questions) if questions is not None else None
        if self._file is not None:
            self._file.split(self._split)  # an empty one is found now
        if self._file is not None and self.backend not in ("auto", "local"):
            raise UsageError(
                f"backend={self.backend!r} holds generated worlds; own questions are served from outside "
                "of any box: leave backend out"
            )
        self._shared: Retriever | None = None  # lives as long as the environment; a world's index lives for an episode
        if retriever is not None:
            from agentrl.envs.search.remote import HttpRetriever  # httpx is loaded where a server is asked for

            self._shared = HttpRetriever(retriever, timeout_s=retriever_timeout_s)
        elif corpus is not None:
            self._shared = FtsIndex.open(corpus, cache_dir=cache_dir)
        elif self._file is not None:
            self._shared = self._file.context_index(cache_dir)
        self._closed = False
        self._world: World | None = None
        self._question: Question | None = None
        self._text = ""
        self._answers: tuple[str, ...] = ()
        self._supporting: frozenset[str] = frozenset()
        self._shown: dict[str, str] = {}

    def toolset_spec(self) -> ToolsetSpec | None:
        """Say that the tools serve the world's documents; those of the user are served by `start_toolset`."""
        if self._world is None:
            return None
        return SearchTools.spec(documents=[[each.id, each.title, each.text] for each in self._world.documents])

    def start_toolset(self) -> LocalToolset | BoxedToolset | None:
        """Serve the user's own documents from here; a world's where `backend` says."""
        if self._shared is not None:
            return LocalToolset(SearchTools.over(self._shared))
        return super().start_toolset()

    def heard(self, name: str, value: Any) -> str:
        """Return the text, and remember which documents it showed."""
        self._shown.update(value["shown"])
        return str(value["text"])

    def new_task(self, rng: np.random.Generator, split: str, level: int) -> str:
        """Draw a world and a question, or one of the user's questions."""
        self._shown = {}
        if self._file is not None:
            if self._closed:
                raise UsageError("the environment is closed; make a new one")
            row = self._file.draw(rng, split)
            self._text, self._answers, self._supporting = row.text, row.answers, frozenset(row.supporting)
            return row.id
        number = int(rng.integers(2**63))
        generator = random.Random(number)
        while True:
            world = make_world(generator, split, level, hidden=2 if level >= 4 else 0)
            question = next((q for q in (make_question(generator, world) for _ in range(20)) if q), None)
            if question is not None:
                break
        self._world, self._question = world, question
        self._text, self._answers, self._supporting = question.text, question.answers, frozenset(question.supporting)
        return f"{split}-{level}-{number:016x}"

    def question(self) -> str:
        """Return the question."""
        return self._text

    def answer(self, text: str, turn: str) -> Turn:
        """Score the answer; the components are described at the class."""
        exact = exact_match(text, self._answers)
        rewards = {
            "exact_match": float(exact),
            "f1": f1(text, self._answers),
            "format": float(self._num_malformed == 0),
            "citation": self._citation(turn),
        }
        return Turn(rewards=rewards, terminated=True, success=bool(exact))

    def references(self) -> tuple[str, ...]:
        """Return the accepted answers."""
        return self._answers

    def oracle(self) -> Policy:
        """Search for each entity of the trail, read its pages, answer with sources.

        Raises:
            UsageError: With the user's own questions, whose trail is not known.
        """
        return scripted(self._solution)

    def demonstrator(self, rng: np.random.Generator, *, flaws: Mapping[str, float] = FLAWS) -> Policy:
        """Return a policy that knows the way and often errs; see `policies.FLAWS`."""
        generator = random.Random(int(rng.integers(2**63)))
        return scripted(lambda: demonstration(generator, self._known_question(), flaws))

    def cheats(self) -> dict[str, Policy]:
        """Return the known cheats; over the user's own questions those that need a world list nothing."""
        return cheat_policies(
            self.system, self.question, lambda: world_names(self._world) if self._world else [self._text]
        )

    def close(self) -> None:
        """Close the index; may be called twice."""
        super().close()
        self._closed = True
        if self._shared is not None:
            self._shared.close()

    def _citation(self, turn: str) -> float:
        cited = {name: title for name, title in self._shown.items() if f"[{name}]" in turn}
        num_right = sum(name in self._supporting or title in self._supporting for name, title in cited.items())
        if not num_right:
            return 0.0
        named = self._supporting & {*cited, *cited.values()}
        precision, recall = num_right / len(cited), len(named) / len(self._supporting)
        return 2 * precision * recall / (precision + recall)

    def _solution(self) -> list[str]:
        documents = {document.id: document for document in self._known_world().documents}
        return solution(
            self._known_question(), documents, lambda document: len(pages_of(document)) if is_cut(document) else 0
        )

    def _known_world(self) -> World:
        if self._world is None:
            raise UsageError("the way to the answer is known for generated worlds only; leave out questions=")
        return self._world

    def _known_question(self) -> Question:
        self._known_world()
        assert self._question is not None
        return self._question
