"""A server of MCP in the standard library alone, which misbehaves as its first argument says."""

import json
import os
import signal
import subprocess
import sys
import time
from typing import Any

HOW = sys.argv[1]
calls = 0
OBJECT = {"type": "object", "properties": {"a": {"type": "integer"}}, "required": ["a"]}


def say(told: dict[str, Any]) -> None:
    sys.stdout.write(json.dumps(told) + "\n")
    sys.stdout.flush()


def answer(request: dict[str, Any], result: Any) -> None:
    say({"jsonrpc": "2.0", "id": request["id"], "result": result})


def refuse(request: dict[str, Any], code: int, message: str) -> None:
    say({"jsonrpc": "2.0", "id": request["id"], "error": {"code": code, "message": message}})


def tool(name: str, schema: Any = OBJECT, **more: Any) -> dict[str, Any]:
    return {"name": name, "description": "Add one.", "inputSchema": schema, **more}


def tools() -> dict[str, Any]:
    if HOW == "thousands":
        return {"tools": [tool(f"t{number}") for number in range(3000)]}
    if HOW == "endless_list":
        return {"tools": [tool("again")], "nextCursor": "more"}
    if HOW == "schema_of_a_number":
        return {"tools": [tool("add", {"type": "integer"})]}
    if HOW == "schema_that_is_a_list":
        return {"tools": [tool("add", [1])]}
    if HOW == "schema_of_rubbish":
        return {"tools": [tool("add", {"type": "object", "properties": {"a": {"type": 5}}})]}
    if HOW == "schema_too_deep":
        deep: dict[str, Any] = {"type": "object"}
        for _ in range(60):
            deep = {"type": "object", "properties": {"a": deep}}
        return {"tools": [tool("add", deep)]}
    if HOW == "schema_too_long":
        return {"tools": [tool("add", {"type": "object", "properties": {"a": {"description": "x" * 100_000}}})]}
    if HOW == "no_list":
        return {"tools": "none"}
    if HOW == "odd_names":
        return {"tools": [tool("files/read.v2 é"), tool("1st")]}
    if HOW == "twins":
        return {"tools": [tool("a.b"), tool("a/b")]}
    if HOW == "open_schema":
        return {"tools": [tool("add", {"type": "object", "additionalProperties": True, "properties": {"a": True}})]}
    if HOW == "pattern":
        pattern = {"type": "object", "properties": {"x": {"type": "string", "pattern": "^(a+)+$"}}}
        return {"tools": [tool("add", outputSchema=pattern)]}
    return {"tools": [tool("add")]}


def call(request: dict[str, Any]) -> None:
    global calls
    calls += 1
    text = {"content": [{"type": "text", "text": str(request["params"]["arguments"].get("a", 0) + 1)}]}
    if HOW == "dies_in_call":
        sys.stderr.write("cannot go on\n")
        os.abort()
    elif HOW == "exits_in_call":
        sys.exit(0)
    elif HOW in ("silent_in_call", "stubborn"):
        pass
    elif HOW == "closes_output":
        os.close(1)
        time.sleep(600)
    elif HOW == "counts":
        if request["params"]["arguments"]["a"] < 0:
            os.abort()
        answer(request, {"content": [{"type": "text", "text": str(calls)}]})
    elif HOW == "refuses":
        refuse(request, -32602, "not with these arguments")
    elif HOW == "changes_tools":
        say({"jsonrpc": "2.0", "method": "notifications/tools/list_changed"})
        refuse(request, -32602, "Unknown tool: add")
    elif HOW == "no_result":
        answer(request, {"something": 1})
    elif HOW == "result_is_a_list":
        say({"jsonrpc": "2.0", "id": request["id"], "result": [1]})
    elif HOW == "another_id":
        answer({"id": 987654}, text)
        answer({"id": "x"}, text)
        answer(request, text)
    elif HOW == "answers_twice":
        answer(request, text)
        answer(request, text)
    elif HOW == "huge_line":
        answer(request, {"content": [{"type": "text", "text": "x" * (9 << 20)}]})
    elif HOW == "no_end":
        while True:
            sys.stdout.write("x" * 65536)
    elif HOW == "flood":
        while True:
            sys.stdout.write("y" * 1000 + "\n")
    elif HOW == "notifications":
        for number in range(20000):
            params = {"progressToken": 1, "progress": number}
            say({"jsonrpc": "2.0", "method": "notifications/progress", "params": params})
        answer(request, text)
    elif HOW == "asks_back":
        for method in ("ping", "roots/list", "sampling/createMessage", "elicitation/create", "no/such"):
            say({"jsonrpc": "2.0", "id": method, "method": method, "params": {}})
        answer(request, text)
    elif HOW == "deep_json":
        deep = "[" * 5000 + "]" * 5000
        sys.stdout.write(f'{{"jsonrpc": "2.0", "id": {request["id"]}, "result": {deep}}}\n')
        sys.stdout.flush()
        answer(request, text)
    elif HOW == "not_utf8":
        sys.stdout.buffer.write(b"\xff\xfe\x00{\n")
        answer(request, text)
    elif HOW == "is_error":
        answer(request, {**text, "isError": True})
    elif HOW == "nothing":
        answer(request, {"content": []})
    elif HOW == "structured":
        answer(request, {"content": [], "structuredContent": {"sum": 3, "name": "é"}})
    elif HOW == "pattern":
        answer(request, {**text, "structuredContent": {"x": "a" * 60 + "!"}})
    elif HOW == "odd_blocks":
        answer(request, {"content": [{"type": "hologram", "data": 1}]})
    elif HOW == "echo":
        answer(request, {"content": [{"type": "text", "text": json.dumps(request["params"]["arguments"])}]})
    else:
        answer(request, text)


def main() -> None:
    if HOW == "silent":
        time.sleep(600)
    if HOW == "exits":
        sys.exit("I cannot work here")
    if HOW == "stubborn":
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        subprocess.Popen(["sleep", sys.argv[2]], start_new_session=True)
    if HOW in ("chatty", "open_schema"):
        sys.stdout.write("Starting up …\n\n[info] ready\nnull\n[1, 2]\n{}\n")
    if HOW == "rubbish":
        while True:
            sys.stdout.write("no message\n")
    for line in sys.stdin:
        request = json.loads(line)
        method = request.get("method")
        if "id" not in request or method is None:
            continue
        if HOW == "chatty":
            sys.stdout.write(f"[debug] {method}\n")
        if method == "initialize":
            version = request["params"]["protocolVersion"]
            if HOW == "old_version":
                version = "1999-01-01"
            about = {"name": "raw", "version": "0"}
            answer(request, {"protocolVersion": version, "capabilities": {"tools": {}}, "serverInfo": about})
        elif method == "tools/list":
            answer(request, tools())
        elif method == "tools/call":
            call(request)
        else:
            refuse(request, -32601, "Method not found")
    if HOW == "stubborn":
        time.sleep(600)


main()
