"""A retrieval server on the loopback, in Search-R1's interface and in those that the peers made of it; its tasks."""

from __future__ import annotations

import json
import multiprocessing
import random
import struct
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from multiprocessing.connection import Connection
from typing import Any

from agentrl.envs.search.questions import make_question
from agentrl.envs.search.retrieval import Document, FtsIndex
from agentrl.envs.search.world import make_world

__all__ = ["server", "tasks"]


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
