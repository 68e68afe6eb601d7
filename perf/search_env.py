"""How fast Search-v0 steps, alone and beside the search environments of GEM and skyrl-gym.

Alone: level 2 in process, played by the oracle on one core, and what a world takes to make. Beside the peers: all ask
one retrieval server on the loopback and play the same scripts over the same documents: a search for each entity of the
trail (three hits), then the answer. The peers need an environment of their own (--peers-python):

    python3.11 -m venv PEERS && PEERS/bin/pip install gem-llm==0.1.0 skyrl-gym==0.4.0 datasets requests
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import random
import struct
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import gymnasium
from common import parser, percentile, report, versions

import agentrl.envs  # noqa: F401  # registers
from agentrl.envs.search.env import SearchEnv
from agentrl.envs.search.policies import call
from agentrl.envs.search.questions import make_question
from agentrl.envs.search.retrieval import Document, FtsIndex
from agentrl.envs.search.world import make_world

PEERS = {"gem": "gem-llm", "skyrl-gym": "skyrl-gym"}
ROUNDS = 3  # the best counts, for all alike


def main() -> None:
    """Measure and report."""
    options = parser(__doc__)
    options.add_argument("--episodes", type=int, default=500, metavar="N", help="in process")
    options.add_argument("--served-episodes", type=int, default=100, metavar="N", help="through the retrieval server")
    options.add_argument("--peers-python", type=Path, metavar="PATH", help="interpreter that has the peers installed")
    arguments = options.parse_args()
    figures = in_process(arguments.episodes) | worlds()
    with tempfile.TemporaryDirectory() as folder:
        beside, peers = served(arguments, Path(folder))
    report(figures | beside, versions("gymnasium", "numpy") | peers, arguments.json)


def in_process(num_episodes: int) -> dict[str, float]:
    """Return the figures of level 2 with the oracle, as `gymnasium.make` gives the environment."""
    env = gymnasium.make("AgentRL/Search-v0", level=2)
    inner = env.unwrapped
    assert isinstance(inner, SearchEnv)
    figures: dict[str, float] = {}
    for _ in range(ROUNDS):
        num_steps, steps_s, resets_s = 0, 0.0, 0.0
        for seed in range(num_episodes):
            start = time.perf_counter()
            observation, info = env.reset(seed=seed)
            resets_s += time.perf_counter() - start
            policy, done = inner.oracle(), False
            while not done:
                action = policy(observation, info)
                start = time.perf_counter()
                observation, _, terminated, truncated, info = env.step(action)
                steps_s += time.perf_counter() - start
                num_steps += 1
                done = terminated or truncated
            assert info["success"]
        with_resets = num_steps / (steps_s + resets_s)
        if with_resets > figures.get("steps_with_resets_per_s", 0.0):
            figures = {
                "steps_with_resets_per_s": with_resets,
                "steps_alone_per_s": num_steps / steps_s,
                "steps_per_episode": num_steps / num_episodes,
            }
    env.close()
    return figures


def worlds(number: int = 200) -> dict[str, float]:
    """Return what an episode's world takes by level: world and question drawn, and the whole reset with its index."""
    figures = {}
    env = gymnasium.make("AgentRL/Search-v0")
    for level in range(1, 6):
        drawn, resets = [], []
        for seed in range(number):
            start = time.perf_counter()
            rng = random.Random(seed)
            world = make_world(rng, "train", level, hidden=2 if level >= 4 else 0)
            while make_question(rng, world) is None:
                pass
            drawn.append(time.perf_counter() - start)
            start = time.perf_counter()
            env.reset(seed=seed, options={"level": level})
            resets.append(time.perf_counter() - start)
        figures[f"world_level_{level}_ms"] = sum(drawn) / number * 1e3
        figures[f"reset_level_{level}_ms"] = sum(resets) / number * 1e3
        figures[f"reset_level_{level}_p99_ms"] = percentile(resets, 99) * 1e3
    env.close()
    return figures


def served(arguments: argparse.Namespace, folder: Path) -> tuple[dict[str, float], dict[str, str]]:
    """Return the figures through the server, ours and the peers' in turn, and the peers' versions or what kept them."""
    documents, episodes = tasks(arguments.served_episodes)
    questions, script = folder / "questions.jsonl", folder / "episodes.json"
    rows = [{"id": each["question"], "question": each["question"], "answer": each["answer"]} for each in episodes]
    questions.write_text("".join(json.dumps({**row, "split": "train"}) + "\n" for row in rows), encoding="utf-8")
    script.write_text(json.dumps(episodes), encoding="utf-8")
    figures: dict[str, float] = {}
    peers: dict[str, str] = {}
    with server(documents) as url:
        figures["served_steps_per_s"] = ours(questions, url, episodes)
        for name, distribution in PEERS.items():
            told = peer(arguments.peers_python, name, script, url)
            if isinstance(told, str):
                peers[distribution] = f"not measured: {told}"
                continue
            peers[distribution] = told["version"]
            figures[f"served_steps_{name}_per_s"] = told["steps_per_s"]
            figures[f"served_reset_{name}_ms"] = told["reset_ms"]
    return figures, peers


def tasks(number: int) -> tuple[list[Document], list[dict[str, Any]]]:
    """Return the documents of some worlds of level 2 together, and an episode over each."""
    documents: list[Document] = []
    episodes: dict[str, dict[str, Any]] = {}
    for seed in range(10 * number):
        rng = random.Random(seed)
        world = make_world(rng, "train", 2)
        question = make_question(rng, world)
        if question is None or question.text in episodes:
            continue
        documents += [replace(each, id=f"w{seed}{each.id}") for each in world.documents]
        queries = [hop.entity.name for hop in question.trail]
        episodes[question.text] = {"question": question.text, "answer": question.answers[0], "queries": queries}
        if len(episodes) == number:
            break
    return documents, list(episodes.values())


def ours(questions: Path, url: str, episodes: list[dict[str, Any]]) -> float:
    """Return our steps per second through the server, resets included."""
    env = gymnasium.make("AgentRL/Search-v0", questions=str(questions), retriever=url)
    scripts = {
        each["question"]: [
            *(call("search", query=query, k=3) for query in each["queries"]),
            f"<answer>{each['answer']}</answer>",
        ]
        for each in episodes
    }
    best = 0.0
    for _ in range(ROUNDS):
        num_steps, total = 0, 0.0
        start = time.perf_counter()
        for seed in range(len(episodes)):
            observation, _ = env.reset(seed=seed)
            for action in scripts[observation]:
                _, reward, _, _, _ = env.step(action)
                num_steps += 1
                total += float(reward)
        best = max(best, num_steps / (time.perf_counter() - start))
        assert total == len(episodes)
    env.close()
    return best


def peer(python: Path | None, name: str, script: Path, url: str) -> dict[str, Any] | str:
    """Run a peer; return its figures, or why it could not run."""
    if python is None:
        return "no --peers-python PATH given"
    program = Path(__file__).parent / "peers" / "search_env.py"
    command = [str(python), "-W", "ignore", str(program), name, str(script), url, str(ROUNDS)]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=600)
    except (OSError, subprocess.TimeoutExpired) as error:
        return str(error)
    if done.returncode != 0:
        return (done.stderr.strip().splitlines() or [f"exit status {done.returncode}"])[-1]
    figures: dict[str, Any] = json.loads(done.stdout.strip().splitlines()[-1])
    return figures


@contextmanager
def server(documents: list[Document]) -> Iterator[str]:
    """Serve documents from a process of its own; give the URL."""
    context = multiprocessing.get_context("spawn")
    here, there = context.Pipe()
    process = context.Process(target=serve, args=(documents, there), daemon=True)
    process.start()
    try:
        yield f"http://127.0.0.1:{here.recv()}/retrieve"
    finally:
        process.terminate()
        process.join()


def serve(documents: list[Document], pipe: Connection) -> None:
    """Answer in Search-R1's interface, and in those that the peers made of it: one query a request; msgpack."""
    index = FtsIndex.of(documents)

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        disable_nagle_algorithm = True
        wbufsize = -1  # head and body in one packet

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            packed = not body.startswith(b"{")
            asked = unpacked(body) if packed else json.loads(body)
            queries = asked.get("queries") or [asked["query"]]
            found = [[shown(hit.doc_id, hit.score) for hit in index.search(query, asked["topk"])] for query in queries]
            answer = packing({"result": found[0]}) if packed else json.dumps({"result": found}).encode()
            self.send_response(200)
            self.send_header("Content-Length", str(len(answer)))
            self.end_headers()
            self.wfile.write(answer)

        def log_message(self, format: str, *args: Any) -> None:
            pass

    def shown(doc_id: str, score: float) -> dict[str, Any]:
        document = index.get(doc_id)
        assert document is not None
        contents = f'"{document.title}"\n{document.text}'
        return {"document": {"id": doc_id, "contents": contents}, "score": score}

    web = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    pipe.send(web.server_address[1])
    web.serve_forever()


def packing(value: Any) -> bytes:
    """Return msgpack of what a result holds: maps and lists of strings and numbers."""
    if isinstance(value, dict):
        pairs = b"".join(packing(key) + packing(each) for key, each in value.items())
        return b"\xde" + len(value).to_bytes(2, "big") + pairs
    if isinstance(value, list):
        return b"\xdc" + len(value).to_bytes(2, "big") + b"".join(map(packing, value))
    if isinstance(value, str):
        text = value.encode()
        return b"\xdb" + len(text).to_bytes(4, "big") + text
    return b"\xcb" + struct.pack(">d", value)


def unpacked(data: bytes) -> dict[str, Any]:
    """Read msgpack of a small map from strings to strings, small numbers and booleans."""
    values: list[Any] = []
    at = 1
    while at < len(data):
        kind, at = data[at], at + 1
        if kind >> 5 == 0b101 or kind == 0xD9:
            if kind == 0xD9:
                length, at = data[at], at + 1
            else:
                length = kind & 31
            values.append(data[at : at + length].decode())
            at += length
        elif kind < 128:
            values.append(kind)
        elif kind in (0xC2, 0xC3):
            values.append(kind == 0xC3)
        else:
            raise ValueError(f"no msgpack of a query: byte {kind:#x}")
    return dict(zip(values[::2], values[1::2], strict=True))


if __name__ == "__main__":
    main()
