"""Errors of the framework, of the stores, and what surrounds every answer."""

from __future__ import annotations

from collections.abc import AsyncIterator

import httpx
import pytest
from fastapi import FastAPI

from api.problems import add_problem_answers
from api.receiving import BODY_LIMIT
from sinks.errors import StoreAway
from sinks.producer import TopicMissing
from tests.api.gateway import Gateway

pytestmark = pytest.mark.asyncio(loop_scope="session")
TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"


@pytest.mark.parametrize(
    ("method", "path", "status", "kind"),
    [
        ("GET", "/nothing/here", 404, "not-found"),
        ("GET", "/api/v1/feed/", 404, "not-found"),
        ("PUT", "/api/v1/feed", 405, "method-not-allowed"),
        ("GET", "/api/v1/feed", 401, "login-required"),
    ],
)
async def test_every_error_is_a_problem(gateway: Gateway, method: str, path: str, status: int, kind: str) -> None:
    answer = await gateway.client.request(method, path, headers={"traceparent": f"00-{TRACE}-00f067aa0ba902b7-01"})
    assert answer.status_code == status
    assert answer.headers["content-type"] == "application/problem+json"
    problem = answer.json()
    assert problem["type"] == f"urn:shutterlog:problem:{kind}"
    assert (problem["status"], problem["instance"], problem["trace_id"]) == (status, path, TRACE)
    assert problem["title"] and len(problem["detail"]) > 20
    assert answer.headers["cache-control"] == "no-store"


async def test_a_body_that_is_no_json(gateway: Gateway) -> None:
    for body, content_type, expected in (
        (b'{"username": ', "application/json", (400, "malformed-json")),
        (b"username=ada", "application/x-www-form-urlencoded", (415, "unsupported-media-type")),
        (b'{"username": "ada"}', "text/plain", (415, "unsupported-media-type")),
        (b"[1]", "application/json", (422, "invalid-request")),
        (b"", "application/json", (422, "invalid-request")),
    ):
        headers = {"Content-Type": content_type}
        answer = await gateway.client.post("/api/v1/sessions", content=body, headers=headers)
        assert (answer.status_code, answer.json()["type"].rpartition(":")[2]) == expected, body


async def test_a_body_is_bounded(gateway: Gateway) -> None:
    async def endless() -> AsyncIterator[bytes]:
        for _ in range(1000):
            yield bytes(BODY_LIMIT // 10)

    for body in (bytes(BODY_LIMIT + 1), endless()):
        answer = await gateway.client.post(
            "/api/v1/sessions",
            content=body,
            headers={"Content-Type": "application/json"},
        )
        assert (answer.status_code, answer.json()["type"].rpartition(":")[2]) == (413, "body-too-large")


async def test_head_is_a_get_without_a_body(gateway: Gateway) -> None:
    got, head = await gateway.client.get("/subjects"), await gateway.client.head("/subjects")
    assert (head.status_code, head.content) == (200, b"")
    assert head.headers["content-length"] == got.headers["content-length"]
    assert (await gateway.client.head("/api/v1/feed")).status_code == 401


async def test_options_says_what_is_possible(gateway: Gateway) -> None:
    answer = await gateway.client.options("/api/v1/me")
    assert (answer.status_code, answer.headers["allow"]) == (204, "GET, PATCH, DELETE, HEAD, OPTIONS")
    refused = await gateway.client.put("/api/v1/me")
    assert (refused.status_code, refused.headers["allow"]) == (405, "GET, PATCH, DELETE, HEAD, OPTIONS")
    # No page of another origin is let in.
    preflight = {"Origin": "https://elsewhere.example", "Access-Control-Request-Method": "PATCH"}
    answer = await gateway.client.options("/api/v1/me", headers=preflight)
    assert not [name for name in answer.headers if name.startswith("access-control")]


async def test_traces_go_into_events(gateway: Gateway) -> None:
    ada, bob = await gateway.person(), await gateway.person()
    address = f"/api/v1/users/{bob.id}/follow"
    trace = {"traceparent": f"00-{TRACE}-00f067aa0ba902b7-01"}
    answer = await gateway.client.put(address, headers=ada.headers | trace)
    assert (gateway.said[-1].trace_id, answer.headers["trace-id"]) == (TRACE, TRACE)
    for nonsense in ("", "00-xyz", f"00-{'0' * 32}-00f067aa0ba902b7-01"):
        answer = await gateway.client.put(address, headers=ada.headers | {"traceparent": nonsense})
        assert gateway.said[-1].trace_id == answer.headers["trace-id"] != TRACE
        assert len(answer.headers["trace-id"]) == 32 and set(answer.headers["trace-id"]) != {"0"}


async def test_answers_are_guarded(gateway: Gateway) -> None:
    for path in ("/healthz", "/nothing", "/api/v1/feed"):
        headers = (await gateway.client.get(path)).headers
        assert headers["x-content-type-options"] == "nosniff"
        assert headers["content-security-policy"].startswith("default-src 'none'")
        assert headers["strict-transport-security"] == "max-age=31536000"
        assert headers["referrer-policy"] == "no-referrer"


async def test_a_store_that_is_away_is_a_503(gateway: Gateway, monkeypatch: pytest.MonkeyPatch) -> None:
    ada = await gateway.person()
    await gateway.catch_up()

    async def away(*_: object, **__: object) -> None:
        raise StoreAway("gone")

    address = "/api/v1/users/1000000000000000001/follow"
    monkeypatch.setattr(gateway.stores.cassandra, "execute", away)
    for method, path in (("GET", f"/api/v1/users/{ada.id}/posts"), ("PUT", address)):
        answer = await gateway.client.request(method, path, headers=ada.headers)
        assert (answer.status_code, answer.json()["type"].rpartition(":")[2]) == (503, "store-away")
        assert int(answer.headers["retry-after"]) >= 1


async def test_what_nobody_foresaw_is_a_problem_that_tells_nothing(
    gateway: Gateway, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def broken(*_: object) -> None:
        raise RuntimeError("secret internals")

    ada = await gateway.person()
    monkeypatch.setattr(gateway.stores.home_feed, "newest", broken)
    answer = await gateway.client.get("/api/v1/feed", headers=ada.headers)
    assert (answer.status_code, answer.headers["content-type"]) == (500, "application/problem+json")
    assert "secret" not in answer.text
    assert answer.headers["trace-id"] == answer.json()["trace_id"]


@pytest.mark.parametrize("token", ["posts", "posts-1", "posts-a-1", "posts-1-1;", "x" * 2000])
async def test_a_token_that_no_write_answered(gateway: Gateway, token: str) -> None:
    ada = await gateway.person()
    answer = await gateway.client.get("/api/v1/feed", headers=ada.headers | {"Consistency-Token": token})
    assert answer.status_code in (400, 422)
    assert answer.headers["content-type"] == "application/problem+json"


async def test_a_missing_topic_is_an_absent_store() -> None:
    """Provisioning makes it: what cannot be written now can be sent again."""
    app = FastAPI()
    add_problem_answers(app)

    @app.get("/")
    async def write() -> None:
        raise TopicMissing("posts")

    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://test") as client:
        answer = await client.get("/")
    assert answer.status_code == 503
    assert answer.headers["Retry-After"]
