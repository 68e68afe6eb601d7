"""Search-v0 end to end: generated worlds, own data, a retrieval server, and actions of every kind."""

from __future__ import annotations

import hashlib
import http.server
import json
import random
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import gymnasium as gym
import numpy as np
import pytest

import agentrl.envs  # registers the environments  # noqa: F401
from agentrl.envs.core import TextEnv
from agentrl.envs.errors import DataError, UsageError
from agentrl.envs.protocol import Policy
from agentrl.envs.scripted import call
from agentrl.envs.search.env import SearchEnv
from agentrl.envs.search.policies import FLAWS, world_names
from agentrl.envs.search.retrieval import FtsIndex
from agentrl.envs.search.tools import SearchTools
from agentrl.envs.tools.host import LocalToolset

SPLITS = ("train", "test")
LEVELS = range(1, 6)


def make(**kwargs: Any) -> SearchEnv:
    env = gym.make("AgentRL/Search-v0", **kwargs).unwrapped
    assert isinstance(env, SearchEnv)
    return env


@pytest.fixture
def env() -> Iterator[SearchEnv]:
    made = make(level=2)
    made.reset(seed=1)
    yield made
    made.close()


def play(env: SearchEnv, policy: Policy, observation: str, info: dict[str, Any]) -> tuple[float, dict[str, Any], str]:
    """Play to the end; return the sum of rewards, the last info, and all that was read."""
    total, read, done = 0.0, [], False
    while not done:
        observation, reward, terminated, truncated, info = env.step(policy(observation, info))
        total += reward
        read.append(observation)
        done = terminated or truncated
    return total, info, "\n".join(read)


# -- generated worlds ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("split", SPLITS)
@pytest.mark.parametrize("level", LEVELS)
def test_the_oracle_solves_every_task_by_reading(split: str, level: int) -> None:
    env = make(split=split, level=level, weights={"format": 1, "citation": 1, "f1": 1})
    for seed in range(300):
        observation, info = env.reset(seed=seed)
        total, info, read = play(env, env.oracle(), observation, info)
        assert info["rewards"] == {"exact_match": 1.0, "f1": 1.0, "format": 1.0, "citation": 1.0}
        assert (total, info["success"]) == (4.0, True)
        question, world = env._question, env._world
        assert question is not None
        assert world is not None
        for document in world.documents:  # the evidence was read to its end
            if document.id in question.supporting:
                assert f"[{document.id}]" in read
                assert all(sentence in read for sentence in document.text.split(". "))
    env.close()


@pytest.mark.parametrize("level", LEVELS)
def test_cheats_and_the_floor_earn_nothing(level: int) -> None:
    env = make(level=level)
    names = list(env.cheats())
    assert len(names) >= 10
    for seed in range(300):
        split = SPLITS[seed % 2]
        observation, info = env.reset(seed=seed, options={"split": split})
        begun = env.snapshot()
        for name, policy in {**env.cheats(), "noop": env.noop()}.items():
            TextEnv.restore(env, begun)  # the same world, so the index may stay
            total, last, _ = play(env, policy, observation, info)
            assert (total, last["success"], last["rewards"]["exact_match"]) == (0.0, False, 0.0), name
    env.close()


@pytest.mark.parametrize("split", SPLITS)
@pytest.mark.parametrize("level", LEVELS)
def test_nothing_gives_the_answer_away_at_the_beginning(split: str, level: int) -> None:
    env = make(split=split, level=level)
    for seed in range(100):
        observation, info = env.reset(seed=seed)
        question, world = env._question, env._world
        assert question is not None
        assert world is not None
        told = f"{observation} {json.dumps(info)}".casefold()
        assert all(answer.casefold() not in told for answer in question.answers)
        hidden = {name for name in world_names(world) if name.casefold() not in question.text.casefold()}
        # Years and counts of people are digits, which may stand in the number of a task.
        assert not [name for name in hidden if not name.isdecimal() and name.casefold() in told]
        assert len(hidden) >= len(world_names(world)) - 3
    env.close()


def test_tasks_differ_and_are_named_by_split_level_and_number() -> None:
    env = make()
    ids = set()
    for seed in range(50):
        for split in SPLITS:
            _, info = env.reset(seed=seed, options={"split": split, "level": 1})
            assert info["task"]["id"].startswith(f"{split}-1-")
            ids.add(info["task"]["id"])
    assert len(ids) == 100


def test_episodes_are_what_they_were() -> None:
    """The bundled checkpoint was trained on these: a change here wants a new one, and a line in the changelog."""
    env = make()
    told = hashlib.sha256()
    for seed in range(60):
        options = {"split": SPLITS[seed % 2], "level": 1 + seed // 2 % 2}
        observation, info = env.reset(seed=seed, options=options)
        told.update(json.dumps([observation, info]).encode())
        policy, done = env.demonstrator(np.random.default_rng(seed)), False
        while not done:
            action = policy(observation, info)
            observation, reward, terminated, truncated, info = env.step(action)
            told.update(json.dumps([action, observation, reward, info]).encode())
            done = terminated or truncated
    assert told.hexdigest()[:16] == "7c13c84196158afd"


def test_the_demonstrator_errs_as_often_as_told() -> None:
    env = make(level=2)
    outcomes: dict[str, list[bool]] = {}
    for seed in range(150):
        for flaw in (*FLAWS, "mixed"):
            observation, info = env.reset(seed=seed)
            flaws = FLAWS if flaw == "mixed" else {flaw: 1.0}
            policy = env.demonstrator(np.random.default_rng(seed), flaws=flaws)
            _, last, _ = play(env, policy, observation, info)
            outcomes.setdefault(flaw, []).append(last["success"])
    rates = {flaw: np.mean(won) for flaw, won in outcomes.items()}
    assert rates["none"] == 1.0
    assert rates["stops early"] == 0.0
    assert rates["searches the wrong entity"] < 0.35  # where the fork leads to the same end, or there is none
    assert rates["reads the wrong field"] < 0.1  # two fields may say the same
    assert FLAWS["none"] - 0.15 < rates["mixed"] < FLAWS["none"] + 0.2
    again = [play(env, env.demonstrator(np.random.default_rng(1)), *env.reset(seed=1)) for _ in range(2)]
    assert again[0] == again[1]


# -- tools and scores ------------------------------------------------------------------------------------------------


def search(env: SearchEnv, query: str, k: int = 3) -> str:
    return next(tool for tool in env.tools if tool.name == "search")({"query": query, "k": k})


def opened(env: SearchEnv, doc_id: str, page: int = 1) -> str:
    return next(tool for tool in env.tools if tool.name == "open")({"doc_id": doc_id, "page": page})


def test_search_shows_ids_titles_and_leads(env: SearchEnv) -> None:
    assert env._world is not None
    for document in env._world.documents:
        first = search(env, document.title, k=1)
        assert first == f"[{document.id}] {document.title}: {document.text}"
    title = env._world.documents[0].title
    assert search(env, title, k=-3) == search(env, title, k=0) == search(env, title, k=1)
    assert search(env, "xyzzy") == search(env, "") == "No document fits. Try other words."


def test_open_reads_pages_and_says_what_there_is() -> None:
    env = make(level=5)
    env.reset(seed=1)
    assert len(search(env, "the", k=20).splitlines()) == len(search(env, "the", k=10**30).splitlines()) == 20
    assert env._world is not None
    long = max(env._world.documents, key=lambda document: len(document.text))
    first = opened(env, long.id)
    number = int(first.split("(page 1 of ")[1].split(")")[0])
    assert number >= 2
    pages = [opened(env, long.id, page).split(f"of {number}): ", 1)[1] for page in range(1, number + 1)]
    assert " ".join(pages) == long.text
    assert all(len(page) <= 800 for page in pages)
    assert all(page.endswith(".") for page in pages)
    assert opened(env, f"[{long.id}]") == first
    for page in (0, -1, number + 1, 10**20):
        assert opened(env, long.id, page) == f"Document {long.id} has {number} pages; there is no page {page}."
    assert opened(env, "d999") == "There is no document 'd999'. Use an id that search has shown."
    assert "There is no document" in opened(env, "\ud800" * 500)
    assert "\ud800" not in opened(env, "\ud800" * 500)


def test_the_schemas_name_the_arguments() -> None:
    tools = {tool["function"]["name"]: tool["function"] for tool in make().reset(seed=1)[1]["tools"]}
    assert set(tools) == {"search", "open"}
    assert tools["search"]["parameters"]["required"] == ["query"]
    assert tools["open"]["parameters"]["properties"]["page"] == {
        "type": "integer",
        "description": "Which page, from 1.",
        "default": 1,
    }


def test_what_a_client_does_to_info_stays_with_the_client(env: SearchEnv) -> None:
    _, info = env.reset(seed=1)
    info["tools"].clear()
    assert len(env.reset(seed=1)[1]["tools"]) == 2


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("{right}", {"exact_match": 1.0, "f1": 1.0, "citation": 0.0}),
        ("  The {RIGHT}! ", {"exact_match": 1.0, "f1": 1.0}),
        ("{right} of course not", {"exact_match": 0.0, "f1": pytest.approx(2 * 0.4 / 1.4)}),
        ("unknown after {right}", {"exact_match": 0.0}),
        ("{right}, {wrong}", {"exact_match": 0.0}),
        ("{wrong}", {"exact_match": 0.0, "f1": 0.0}),
        ("", {"exact_match": 0.0, "f1": 0.0}),
    ],
)
def test_scores_of_answers(env: SearchEnv, text: str, expected: dict[str, float]) -> None:
    env._answers = ("Brelgel Mama",)
    said = text.format(right="Brelgel Mama", RIGHT="BRELGEL MAMA", wrong="Upper Tano")
    _, reward, _, _, info = env.step(f"<answer>{said}</answer>")
    assert {name: info["rewards"][name] for name in expected} == expected
    assert info["success"] is (reward == 1.0)


def test_an_alias_is_a_right_answer() -> None:
    env = make(level=5)
    num_found = 0
    for seed in range(80):
        env.reset(seed=seed)
        assert env._question is not None
        for answer in env._question.answers[1:]:
            num_found += 1
            env.reset(seed=seed)
            assert env.step(f"<answer>{answer.upper()}</answer>")[4]["success"] is True
    assert num_found > 10


def test_format_is_lost_by_a_malformed_turn() -> None:
    env = make(level=1, weights={"exact_match": 0, "format": 1})
    for actions, value in {
        (): 1.0,
        (call("search", query="x"),): 1.0,
        ("hm",): 0.0,
        (call("search", q="x"),): 0.0,
        (call("search", query="x") + "<answer>1</answer>",): 0.0,
        (call("search", query="x") * 9,): 0.0,
    }.items():
        env.reset(seed=1)
        for action in actions:
            env.step(action)
        assert env.step("<answer>x</answer>")[1] == value
    assert env.reset(seed=1)
    assert env.step("<answer>x</answer>")[1] == 1.0  # an episode does not inherit another's


def test_citations_are_of_documents_that_were_shown() -> None:
    env = make(level=2)
    env.reset(seed=3)
    assert env._question is not None
    first, second = env._question.supporting
    noise = next(f"d{number}" for number in range(1, 18) if f"d{number}" not in (first, second))

    def cited(*ids: str, read: tuple[str, ...] = (first, second, noise), before: str = "") -> float:
        env.reset(seed=3)
        for doc_id in read:
            env.step(call("open", doc_id=doc_id))
        if before:
            env.step(before)
        text = " ".join(f"[{doc_id}]" for doc_id in ids)
        value: float = env.step(f"{text} <answer>x</answer>")[4]["rewards"]["citation"]
        return value

    assert cited(first, second) == 1.0
    assert cited(first, second, first, second) == 1.0
    assert cited(first) == pytest.approx(2 / 3)
    assert cited(first, second, noise) == pytest.approx(0.8)
    assert cited(noise) == cited() == 0.0
    assert cited(first, second, read=()) == 0.0
    assert cited(first, second, read=(first,)) == pytest.approx(2 / 3)
    assert cited(f"x{first}") == 0.0

    env.reset(seed=3)
    env.step(call("open", doc_id=first) + call("open", doc_id=second))
    other = make(level=2, weights={"citation": 1})
    other.restore(env.snapshot())
    assert other.step(f"[{first}][{second}] <answer>x</answer>")[1] == 1.0


def test_one_index_lives_for_an_episode(env: SearchEnv) -> None:
    first = SearchTools.spec(documents=[["d1", "Oslo", "Oslo is the capital of Norway."]])
    tools = LocalToolset(first.kind(**first.arguments))
    assert tools.call("search", {"query": "Oslo"})["shown"] == [["d1", "Oslo"]]
    tools.close()
    with pytest.raises(Exception, match="closed"):
        tools.call("search", {"query": "Oslo"})
    assert env._host is not None
    env.step("<answer>x</answer>")
    assert env._host is None


@pytest.mark.parametrize("options", [{"backend": "docker"}, {"backend": "bwrap"}])
def test_own_questions_are_served_from_outside_a_box(options: dict[str, str], hotpot: Path) -> None:
    with pytest.raises(UsageError, match="leave backend out"):
        make(**options, questions=hotpot)


def test_after_close_a_step_says_so_and_a_reset_begins_anew(env: SearchEnv) -> None:
    env.close()
    with pytest.raises(UsageError, match=r"call reset\(\) first"):
        env.step(call("search", query="x"))
    observation, info = env.reset(seed=1)
    assert play(env, env.oracle(), observation, info)[0] == 1.0


# -- own data --------------------------------------------------------------------------------------------------------

HOTPOT = [
    {
        "_id": f"q{number}",
        "question": f"In which country was the author of {book} born?",
        "answer": country,
        "type": "bridge",
        "level": "hard",
        "split": split,
        "supporting_facts": [[book, 0], [author, 1]],
        "context": [
            [book, [f"{book} is a novel.", f" It was written by {author}."]],
            [author, [f"{author} is a writer.", f" She was born in {country}."]],
            [f"Noise [{number}]", ["Nothing of use.", " Written by nobody, born nowhere."]],
        ],
    }
    for number, (book, author, country, split) in enumerate(
        [("The Tin Sea", "Ada Quill (writer)", "Norway", "train"), ("Slow Rivers", "Bo Lindt", "Peru", "dev")]
    )
]


@pytest.fixture
def hotpot(tmp_path: Path) -> Path:
    path = tmp_path / "hotpot.json"
    path.write_text(json.dumps(HOTPOT))
    return path


def test_hotpotqa_with_its_contexts_end_to_end(hotpot: Path, tmp_path: Path) -> None:
    env = make(questions=hotpot, cache_dir=tmp_path / "cache", weights={"citation": 1})
    observation, info = env.reset(seed=1)
    assert observation == "In which country was the author of The Tin Sea born?"
    assert info["task"] == {"id": "q0", "split": "train", "level": 1}
    told = env.step(call("search", query="The Tin Sea", k=1))[0]
    assert told == "[The Tin Sea] The Tin Sea: The Tin Sea is a novel. It was written by Ada Quill (writer)."
    told = env.step(call("search", query="Ada Quill writer", k=1) + call("open", doc_id="[Noise [0]]"))[0]
    assert "She was born in Norway." in told
    assert "[Noise [0]] Noise [0]: Nothing of use." in told
    _, reward, terminated, _, info = env.step("[The Tin Sea][Ada Quill (writer)] <answer>Norway.</answer>")
    assert (reward, terminated, info["success"]) == (2.0, True, True)
    assert env.reset(seed=1, options={"split": "test"})[0] == "In which country was the author of Slow Rivers born?"
    assert env.step("<answer>Norway</answer>")[4]["success"] is False
    for maker in (env.oracle, lambda: env.demonstrator(np.random.default_rng(1))):
        observation, info = env.reset(seed=1)
        with pytest.raises(UsageError, match="generated worlds only; leave out questions="):
            maker()(observation, info)
    for cheat in env.cheats().values():
        observation, info = env.reset(seed=1)
        assert play(env, cheat, observation, info)[0] == 0.0
    env.close()
    env.close()
    with pytest.raises(UsageError, match="the environment is closed; make a new one"):
        env.reset(seed=1)


@pytest.fixture
def search_r1(tmp_path: Path) -> dict[str, Path]:
    corpus, questions = tmp_path / "corpus.jsonl", tmp_path / "questions.jsonl"
    passages = [
        ("Oslo", "Oslo is the capital of Norway."),
        ("Lima", "Lima is the capital of Peru. " + "Much more. " * 120),
    ]
    corpus.write_text(
        "".join(
            json.dumps({"id": str(number), "contents": f'"{title}"\n{text}'}) + "\n"
            for number, (title, text) in enumerate(passages)
        )
    )
    rows = [
        {"id": "a", "question": "capital of norway?", "golden_answers": ["Oslo", "Christiania"], "split": "train"},
        {"id": "b", "question": "capital of peru?", "golden_answers": ["Lima"], "split": "test"},
    ]
    questions.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return {"corpus": corpus, "questions": questions, "cache_dir": tmp_path / "cache"}


def test_search_r1_with_its_corpus_end_to_end(search_r1: dict[str, Path]) -> None:
    env = make(**search_r1)
    assert env.reset(seed=5)[0] == "capital of norway?"
    assert env.step(call("search", query="capital of norway"))[0].startswith(
        "[0] Oslo: Oslo is the capital of Norway.\n[1]"
    )
    assert env.step("<answer>christiania</answer>")[4]["success"] is True
    assert env.reset(seed=5, options={"split": "test"})[0] == "capital of peru?"
    assert "(page 2 of 2)" in env.step(call("open", doc_id=1, page=2))[0]  # the id as a number
    assert env.step("<answer>oslo</answer>")[4]["success"] is False
    env.close()


def test_vectors_and_snapshots_of_own_data(search_r1: dict[str, Path]) -> None:
    arguments: dict[str, Any] = dict(search_r1)
    vector = gym.make_vec("AgentRL/Search-v0", num_envs=3, vectorization_mode="async", **arguments)
    observations, _ = vector.reset(seed=1)
    assert tuple(observations) == ("capital of norway?",) * 3
    told, *_ = vector.step((call("search", query="Oslo", k=1), "<answer>Oslo</answer>", "hm"))
    assert told[0].startswith("[0] Oslo")
    vector.close()
    env, other = make(**search_r1), make(**search_r1)
    env.reset(seed=1)
    env.step(call("search", query="Oslo", k=1))
    other.restore(env.snapshot())
    answer = "[0] <answer>Oslo</answer>"
    assert other.step(answer) == env.step(answer)
    env.close()
    other.close()


def test_a_damaged_index_is_an_infrastructure_failure(search_r1: dict[str, Path]) -> None:
    env = make(**search_r1)
    (built,) = search_r1["cache_dir"].glob("*.sqlite")
    env.reset(seed=1)
    with built.open("rb+") as file:
        file.write(b"\0" * built.stat().st_size)
    _, reward, terminated, truncated, info = env.step(call("search", query="capital"))
    assert (reward, terminated, truncated) == (0.0, False, True)
    assert (info["failure"]["kind"], info["failure"]["boundary"]) == ("index", "retriever")
    assert set(info) == {"failure"}
    env.close()


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ({"corpus": "wiki.jsonl"}, "own documents need questions of their own; add questions=PATH"),
        ({"retriever": "http://127.0.0.1:1/retrieve"}, "add questions=PATH"),
        ({"corpus": "wiki.jsonl", "retriever": "http://x", "questions": "q"}, "exclude each other; give one of them"),
        ({"level": 7}, "level=7 does not exist"),
        ({"split": "trian"}, "did you mean 'train'?"),
        ({"weights": {"citatoin": 1}}, "did you mean 'citation'?"),
    ],
)
def test_arguments_that_do_not_fit_together(arguments: dict[str, Any], said: str) -> None:
    with pytest.raises(UsageError) as caught:
        SearchEnv(**arguments)
    assert said in str(caught.value)


def test_bad_own_data_is_named_when_the_environment_is_made(search_r1: dict[str, Path], hotpot: Path) -> None:
    with pytest.raises(DataError, match=r"nowhere\.jsonl"):
        SearchEnv(questions="nowhere.jsonl")
    with pytest.raises(UsageError, match="add corpus=PATH or retriever=URL"):
        SearchEnv(questions=search_r1["questions"])
    only = hotpot.with_name("only.json")
    only.write_text(json.dumps(HOTPOT[:1]))
    with pytest.raises(DataError, match="none of the 1 questions is in the split 'test'"):
        SearchEnv(questions=only, cache_dir=hotpot.parent / "cache", split="test")
    both = {"train": hotpot, "test": only}
    with pytest.raises(DataError, match="in train and in test"):
        SearchEnv(questions=both, cache_dir=hotpot.parent / "cache")


# -- a retrieval server ----------------------------------------------------------------------------------------------


Serve = Callable[[Callable[[int, http.server.BaseHTTPRequestHandler], None]], Any]


def retrieval(serve: Serve, search_r1: dict[str, Path], *, fail_after: int = 10**9) -> tuple[str, dict[str, Any]]:
    """Serve a corpus as Search-R1's server does, with the status 400 after some requests; return URL and arguments."""
    index = FtsIndex.open(search_r1["corpus"], cache_dir=search_r1["cache_dir"])

    def script(number: int, handler: http.server.BaseHTTPRequestHandler) -> None:
        asked = server.requests[number][2]
        (query,) = asked["queries"]
        found = []
        for hit in index.search(query, asked["topk"]):
            document = index.get(hit.doc_id)
            assert document is not None
            contents = f'"{document.title}"\n{document.text}'
            found.append({"document": {"id": document.id, "contents": contents}, "score": hit.score})
        body = json.dumps({"result": [found]}).encode()
        handler.send_response(200 if number < fail_after else 400)
        handler.send_header("Content-Length", str(len(body)))
        handler.end_headers()
        handler.wfile.write(body)

    server = serve(script)
    return server.url, {"questions": search_r1["questions"]}


def test_a_retrieval_server_end_to_end(serve: Serve, search_r1: dict[str, Path]) -> None:
    url, arguments = retrieval(serve, search_r1)
    env, local = make(retriever=url, **arguments), make(**search_r1)
    assert env.reset(seed=1) == local.reset(seed=1)
    for action in (
        call("search", query="capital", k=2),
        call("open", doc_id="1", page=2),
        call("search", query="nothing of the kind"),
        call("open", doc_id="7"),
        call("search", query=""),
        "Oslo [0] <answer>Oslo</answer>",
    ):
        assert env.step(action) == local.step(action)
    env.reset(seed=2)
    env.close()
    env.close()
    with pytest.raises(UsageError, match="the environment is closed; make a new one"):
        env.reset(seed=1)
    local.close()


def test_a_server_that_fails_ends_the_episode_as_infrastructure(serve: Serve, search_r1: dict[str, Path]) -> None:
    url, arguments = retrieval(serve, search_r1, fail_after=1)
    env = make(retriever=url, **arguments)
    env.reset(seed=1)
    assert env.step(call("search", query="capital"))[0].startswith("[0] Oslo")
    observation, reward, terminated, truncated, info = env.step(call("search", query="capital"))
    assert observation == "The episode was ended: retriever failed."
    assert (reward, terminated, truncated) == (0.0, False, True)
    assert set(info) == {"failure"}
    assert (info["failure"]["kind"], info["failure"]["boundary"]) == ("http_status", "retriever")
    assert url in info["failure"]["message"]
    assert json.loads(json.dumps(info)) == info
    with pytest.raises(UsageError, match=r"call reset\(\) first"):
        env.step("<answer>Oslo</answer>")
    env.reset(seed=1)  # a new episode may find the server well again
    assert env.step("<answer>Oslo</answer>")[4]["success"] is True
    env.close()


def test_no_server_at_all_is_a_failure_within_the_deadline(search_r1: dict[str, Path]) -> None:
    # Port 9 of the loopback is closed on any machine that runs no discard service.
    env = make(retriever="http://127.0.0.1:9/retrieve", questions=search_r1["questions"], retriever_timeout_s=0.5)
    env.reset(seed=1)
    start = time.monotonic()
    _, _, _, truncated, info = env.step(call("search", query="capital"))
    assert time.monotonic() - start < 5
    assert truncated
    assert info["failure"]["kind"] in ("unreachable", "timeout")
    env.close()


# -- actions of all kinds --------------------------------------------------------------------------------------------

ODD: tuple[object, ...] = (
    None, True, 0, -1, 3, 2**63, 10**400, 1.5, 1e308, float("nan"), float("inf"), "", " ", "3", "-3", "3.0", "1e3",
    "d1", "[d1]", "d1\x00", "\ud800", "٣", "x" * 5000, '"', "' OR 1=1 --", "title:x", "NEAR(a b)", "a* -b ^c {d}", [],
    [1], ["d1"], {}, {"a": 1}, {"query": "x"}, "<answer>x</answer>", "</tool_call>", "<think>", "the mayor of",
    "Upper", "\n\n", "😀" * 100,
)  # fmt: skip
MALFORMED = (
    "<tool_call>", "</tool_call>", "<tool_call>{}</tool_call>", "<tool_call>[]</tool_call>",
    "<tool_call>null</tool_call>", '<tool_call>{"name": "search"',
    '<tool_call>{"name": "serach", "arguments": {}}</tool_call>', "[TOOL_CALLS]", "[TOOL_CALLS][]",
    "[TOOL_CALLS]search[ARGS]", "[search(]", '[search("x")]', "[open(doc_id=d1)]", "[search(query=f('x'))]",
    '{"name": "open"}', '{"name": "open", "parameters": [1]}', "<|python_tag|>", "<function=search><parameter=query>",
    "<tool_call><function=open>", '<tool_call>{"name": ["search"], "arguments": {}}</tool_call>', "<answer>",
    "</answer>", "<answer></answer", "<think>",
)  # fmt: skip


def odd_arguments(rng: random.Random) -> dict[str, Any]:
    names = rng.sample(("query", "k", "doc_id", "page", "pages", ""), rng.randint(0, 4))
    return {name: rng.choice(ODD) for name in names}


def odd_call(rng: random.Random) -> str:
    """Return a call in one of the formats, of a tool that is there as a rule."""
    name = rng.choice(("search", "search", "search", "open", "open", "open", "close"))
    arguments = odd_arguments(rng)
    if rng.random() < 0.7:
        arguments["query" if name == "search" else "doc_id"] = rng.choice(ODD)
    text = json.dumps(arguments, ensure_ascii=rng.random() < 0.5)
    pairs = ", ".join(f"{key}={value!r}" for key, value in arguments.items())
    parameters = "".join(f"<parameter={key}>{value}</parameter>" for key, value in arguments.items())
    return rng.choice(
        (
            f'<tool_call>{{"name": "{name}", "arguments": {text}}}</tool_call>',
            f'{{"name": "{name}", "parameters": {text}}}',
            f'[TOOL_CALLS][{{"name": "{name}", "arguments": {text}}}]',
            f"<tool_call><function={name}>{parameters}</function></tool_call>",
            f"[{name}({pairs})]",
        )
    )


def anything(rng: random.Random, env: gym.Env[str, str]) -> str:
    """Return an action of any kind."""
    kind = rng.randrange(100)
    if kind < 30:
        return env.action_space.sample()
    if kind < 50:
        return odd_call(rng)
    if kind < 60:
        return rng.choice(("", "\n", "I will search. ")).join(odd_call(rng) for _ in range(rng.randint(2, 12)))
    if kind < 75:
        return "".join(rng.choices(MALFORMED, k=rng.randint(1, 5)))
    if kind < 85:
        parts = [odd_call(rng), rng.choice(MALFORMED), "<answer>unknown</answer>", str(rng.choice(ODD)), "</think>"]
        rng.shuffle(parts)
        return "".join(parts[: rng.randint(1, 5)])
    if kind < 87:
        return (odd_call(rng) + rng.choice(MALFORMED)) * rng.randint(1, 60_000 // 200)
    if kind < 88:
        return (
            rng.choice(("{", "[", "<tool_call>", "<answer>", "x ", "<think>", "\ud83d", '{"name":', "[search(")) * 6000
        )
    return f"<answer>{rng.choice(ODD)}</answer>"


@pytest.mark.parametrize("level", LEVELS)
def test_a_thousand_episodes_of_any_text(level: int) -> None:
    rng = random.Random(level)
    env = gym.make("AgentRL/Search-v0", level=level, max_reply_chars=rng.choice((100, 4000)))
    env.action_space.seed(level)
    num_turns, longest_s = 0, 0.0
    for seed in range(1000):
        observation, _ = env.reset(seed=seed, options={"split": rng.choice(SPLITS)})
        assert observation in env.observation_space
        done = False
        while not done:
            action = anything(rng, env)
            start = time.process_time()
            observation, reward, terminated, truncated, info = env.step(action)
            longest_s = max(longest_s, time.process_time() - start)
            num_turns += 1
            assert observation in env.observation_space
            assert reward == 0.0
            assert "failure" not in info
            assert json.loads(json.dumps(info)) == info
            if not terminated:
                assert info["replies"]
            done = terminated or truncated
    assert 3000 < num_turns < 12_000
    assert longest_s < 2
    env.close()
