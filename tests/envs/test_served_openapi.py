"""The servers against their own OpenAPI documents: what schemathesis makes up is answered as they say, never by 5xx."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import gymnasium
import httpx
import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from schemathesis import GenerationMode
from schemathesis.checks import load_all_checks, not_a_server_error
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_schema_conformance,
    status_code_conformance,
    unsupported_method,
)

from agentrl.envs.program.calls import Asked, Said
from agentrl.envs.remote.sessions import Limits
from agentrl.envs.spaces import Unicode
from tests.envs.program.conformance import KEY, scene
from tests.envs.remote.conftest import served

load_all_checks()
CHECKS = [
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_schema_conformance,
    unsupported_method,
]
NUM_EXAMPLES = 25  # of each route and each way of making them up
WAYS = [GenerationMode.POSITIVE, GenerationMode.NEGATIVE]
CALLS = ["/v1/chat/completions", "/v1/responses", "/v1/messages"]
OTHERS = ["/v1/models", "/v1/models/{model}", "/health", "/openapi.json"]
SESSIONS = ["/v1/sessions", "/v1/sessions/{name}/reset", "/v1/sessions/{name}/step", "/v1/sessions/{name}"]


@pytest.fixture(scope="module")
def endpoint() -> Iterator[str]:
    with scene() as stage:
        said = Said(content="text", reasoning="why", calls=(Asked(id="call_0", name="f", arguments="{}"),))
        stage.answers.script = lambda call: said if call.tools else Said(content="text", finish="length")
        yield stage.url.removesuffix("/v1")


@pytest.fixture(scope="module")
def server() -> Iterator[str]:
    with served("AgentRL/Math-v0", limits=Limits(max_sessions=10_000)) as url:
        yield url


def try_out(
    url: str, path: str, way: GenerationMode, prepare: Callable[[Any], None], headers: dict[str, str]
) -> set[int]:
    """Send what schemathesis makes up for a route; return the statuses that came back."""
    schema = schemathesis.openapi.from_url(f"{url}/openapi.json")
    statuses: set[int] = set()
    for method in schema[path]:
        operation = schema[path][method]
        if way is GenerationMode.NEGATIVE and not operation.body:
            continue  # nothing in it can be wrong

        @settings(
            max_examples=NUM_EXAMPLES,
            deadline=None,
            database=None,
            derandomize=True,
            phases=[Phase.explicit, Phase.generate],
            suppress_health_check=list(HealthCheck),
        )
        @given(case=operation.as_strategy(generation_mode=way))
        def send(case: Any) -> None:
            prepare(case)
            statuses.add(case.call_and_validate(headers=headers, checks=CHECKS).status_code)

        send()
    return statuses


@pytest.mark.parametrize("way", WAYS, ids=lambda way: way.value)
@pytest.mark.parametrize("path", [*CALLS, *OTHERS])
def test_endpoint_of_programs(endpoint: str, path: str, way: GenerationMode) -> None:
    statuses = try_out(endpoint, path, way, lambda case: None, {"Authorization": f"Bearer {KEY}"})
    if way is GenerationMode.POSITIVE:
        assert (404 if "{model}" in path else 200) in statuses  # not all are refused; a model's name is made up
    else:
        assert statuses <= {200, 400, 401}  # what is wrong may stand where it is left aside; keys are made up too


@pytest.mark.parametrize("way", WAYS, ids=lambda way: way.value)
@pytest.mark.parametrize("path", [*SESSIONS, "/v1/envs", "/health", "/metrics"])
def test_server_of_environments(server: str, path: str, way: GenerationMode) -> None:
    """Every other request is for a session that there is."""
    with httpx.Client(base_url=server) as client:
        made: list[str] = []

        def prepare(case: Any) -> None:
            given: dict[str, Any] = dict(case.path_parameters or {})
            if "name" in given:
                if not made or case.method == "DELETE":
                    made.append(client.post("/v1/sessions", json={}).json()["session"])
                else:
                    made.append(made[-1])
                if len(made) % 2:
                    case.path_parameters = {**given, "name": made[-1]}

        statuses = try_out(server, path, way, prepare, {})
    if way is GenerationMode.POSITIVE:
        assert statuses & {200, 201, 204}
    else:
        assert statuses <= {400, 404, 422}


class Echo(gymnasium.Env[str, str]):
    """Says what JSON has no bytes for."""

    action_space = observation_space = Unicode()

    def reset(self, *, seed: int | None = None, options: Any = None) -> tuple[str, dict[str, Any]]:
        super().reset(seed=seed)
        return "\ud800", {}

    def step(self, action: str) -> tuple[str, float, bool, bool, dict[str, Any]]:
        return action, float("nan" if action == "nan" else "1"), False, False, {"heard": action}


gymnasium.register(id="Test/Echo-v0", entry_point=Echo)  # type: ignore[arg-type]  # takes no arguments


@pytest.mark.parametrize(
    ("where", "body", "status"),
    [
        ("", b'{"env_id": "\\ud800"}', 404),
        ("", b'{"env_id": ["\\ud800"]}', 422),
        ("", b'{"\\ud800": 1}', 422),
        ("", b'{"env_id": NaN}', 422),
        ("", b'{"env_id": 1e999}', 422),
        ("", b"[" * 200_000, 400),
        ("", b"\xff\xfe", 422),
        ("/reset", b'{"seed": NaN}', 422),
        ("/reset", b"{}", 200),
        ("/step", b'{"action": "\\ud800"}', 200),
        ("/step", b'{"action": "nan"}', 200),  # a reward that is no number is the environment's failure
    ],
)
def test_what_no_response_can_hold(where: str, body: bytes, status: int) -> None:
    """What schemathesis does not make up: it was a 500, since the value came back in the answer."""
    with served("Test/Echo-v0") as url, httpx.Client(base_url=url) as client:
        session = client.post("/v1/sessions", json={}).json()["session"]
        client.post(f"/v1/sessions/{session}/reset", json={})
        path = f"/v1/sessions/{session}{where}" if where else "/v1/sessions"
        answer = client.post(path, content=body, headers={"Content-Type": "application/json"})
        assert answer.status_code == status
        if b"nan" in body:
            assert answer.json()["info"]["failure"]["kind"] == "answer"
        elif where == "/step":
            assert answer.json()["observation"] == "\ud800"
