"""Who is let in, through the guard alone around a small application: names, origins, the token, websockets."""

from __future__ import annotations

import asyncio
from collections.abc import MutableMapping
from typing import Any

import pytest

from agentrl.bench.viewer.guard import Guard
from agentrl.envs.remote.listening import is_loopback

PAGE = b"<html><script>own()</script><script type=module>x</script><p>&lt;script&gt;</p>"


async def _app(scope: MutableMapping[str, Any], receive: Any, send: Any) -> None:
    del receive
    if scope["type"] == "websocket":
        await send({"type": "websocket.accept"})
        return
    headers = [(b"content-type", b"text/html; charset=utf-8"), (b"access-control-allow-origin", b"*")]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    names = b",".join(name for name, _ in scope["headers"])
    await send({"type": "http.response.body", "body": PAGE, "more_body": True})
    await send({"type": "http.response.body", "body": names})


def ask(
    token: str = "", *, kind: str = "http", query: str = "", path: str = "/", **headers: str
) -> tuple[int, dict[str, str], str]:
    """Return status, headers and body; of a websocket 101 or 403."""
    sent: list[MutableMapping[str, Any]] = []

    async def send(message: MutableMapping[str, Any]) -> None:
        sent.append(message)

    given = {"host": "localhost:8080", **{name.replace("_", "-"): value for name, value in headers.items()}}
    scope = {
        "type": kind,
        "path": path,
        "raw_path": path.encode(),
        "query_string": query.encode(),
        "headers": [(name.encode(), value.encode("latin-1")) for name, value in given.items()],
    }
    asyncio.run(Guard(_app, token=token, port=8080)(scope, None, send))  # type: ignore[arg-type]
    if kind == "websocket":
        return (101 if sent[0]["type"] == "websocket.accept" else 403), {}, ""
    told = {name.decode().lower(): value.decode() for name, value in sent[0]["headers"]}
    return sent[0]["status"], told, b"".join(each.get("body", b"") for each in sent[1:]).decode()


@pytest.mark.parametrize("host", ["localhost", "localhost:8080", "127.0.0.1:9", "[::1]:8080", "LOCALHOST", "127.9.9.9"])
@pytest.mark.parametrize("kind", ["http", "websocket"])
def test_names_of_this_machine_are_let_in(host: str, kind: str) -> None:
    assert ask(kind=kind, host=host)[0] in (200, 101)


NAMES = "evil.com evil.com:8080 localhost.evil.com 127.0.0.1.evil.com localhost@evil.com 10.0.0.1 0.0.0.0 [ a#localhost"


@pytest.mark.parametrize("host", [*NAMES.split(), "", "é", "lo calhost", "localhost\x00", "[::1", "localhost:80:80"])
@pytest.mark.parametrize("kind", ["http", "websocket"])
def test_other_names_are_refused(host: str, kind: str) -> None:
    assert ask(kind=kind, host=host)[0] in (421, 403)


@pytest.mark.parametrize(
    "origin", ["http://evil.com", "null", "http://localhost:9999", "http://localhost.evil.com:8080", "x"]
)
@pytest.mark.parametrize("kind", ["http", "websocket"])
def test_other_origins_are_refused(origin: str, kind: str) -> None:
    assert ask(kind=kind, origin=origin)[0] == 403


def test_the_own_origin_is_let_in() -> None:
    assert ask(kind="websocket", origin="http://localhost:8080")[0] == 101
    assert ask(origin="http://localhost:8080")[0] == 200


def test_another_site_may_link_here_and_no_more() -> None:
    assert ask(sec_fetch_site="cross-site", sec_fetch_mode="navigate")[0] == 200
    assert ask(sec_fetch_site="cross-site", sec_fetch_mode="no-cors")[0] == 403
    assert ask(sec_fetch_site="same-origin", sec_fetch_mode="cors")[0] == 200


def test_a_token_is_asked_of_everything() -> None:
    for path in ("/", "/_nicegui/x/static/nicegui.js", "/_nicegui_ws/socket.io/", "/theme/dark"):
        assert ask("secret", path=path)[0] == 401
        assert ask("secret", path=path, query="token=wrong")[0] == 401
    assert ask("secret", kind="websocket", path="/_nicegui_ws/socket.io/")[0] == 403
    assert ask("secret", kind="websocket", query="token=secret")[0] == 403  # a browser has the cookie by then


def test_a_token_becomes_a_cookie_and_leaves_the_address() -> None:
    status, headers, _ = ask("secret", path="/run/a", query="at=1&token=secret&find=a%26b", host="box:8080")
    assert (status, headers["location"]) == (303, "/run/a?at=1&find=a%26b")
    cookie = headers["set-cookie"]
    assert "HttpOnly" in cookie
    assert "SameSite=Lax" in cookie
    pair = cookie.partition(";")[0]
    assert ask("secret", host="box:8080", cookie=f"other=1; {pair}")[0] == 200
    assert ask("secret", kind="websocket", host="box:8080", cookie=pair, origin="http://box:8080")[0] == 101
    assert ask("secret", kind="websocket", host="box:8080", cookie=pair, origin="http://evil.com")[0] == 403
    assert ask("secret", host="box:8080", cookie=f"{pair}x")[0] == 401
    assert ask("secret", host="box:8080", cookie=pair.replace("8080", "8081"))[0] == 401


def test_a_redirect_stays_here() -> None:
    for path in (
        "//evil.com/x",
        "/\\evil.com/x",
        "\\/evil.com/x",
        "/\t/evil.com/x",
        "/\\/\\evil.com/x",
        "/\x7f/evil.com/x",
    ):
        assert ask("secret", path=path, query="token=secret")[1]["location"] == "/evil.com/x"


def test_a_page_is_protected() -> None:
    status, headers, body = ask(x_forwarded_prefix="/evil", x_forwarded_host="evil.com")
    assert status == 200
    rule = headers["content-security-policy"]
    nonce = rule.partition("'nonce-")[2].partition("'")[0]
    assert body.count(f'<script nonce="{nonce}"') == 2
    assert "'unsafe-inline'" not in rule.partition("script-src")[2].partition(";")[0]
    assert "default-src 'none'" in rule
    assert "access-control-allow-origin" not in headers
    assert (headers["x-frame-options"], headers["x-content-type-options"]) == ("DENY", "nosniff")
    assert int(headers["content-length"]) == len(body)
    assert "forwarded" not in body
    assert nonce != ask()[1]["content-security-policy"].partition("'nonce-")[2].partition("'")[0]


@pytest.mark.parametrize(
    ("host", "is_local"), [("127.0.0.1", True), ("::1", True), ("localhost.", True), ("0.0.0.0", False), ("", False)]
)
def test_what_is_loopback(host: str, is_local: bool) -> None:
    assert is_loopback(host) is is_local
