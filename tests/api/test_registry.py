"""The schema registry's read-only API, health, and the OpenAPI document."""

from __future__ import annotations

import asyncio
import gc
import json
import re
import threading
from itertools import combinations

import pytest

from api.routers import health
from api.routers.health import serves
from schemas import codec
from schemas.events import Followed
from schemas.ids import MAX_ID, MIN_ID
from schemas.lock import locked
from sinks.errors import StoreAway
from tests.agents.workers import until
from tests.api.gateway import Gateway

pytestmark = pytest.mark.asyncio(loop_scope="session")


async def test_a_reader_of_the_log_finds_its_schemas(gateway: Gateway) -> None:
    framed = codec.encode(Followed(event_id=MIN_ID, at=1, actor_id=MIN_ID, follower_id=MIN_ID, followee_id=MAX_ID))
    answer = await gateway.client.get(f"/schemas/ids/{int.from_bytes(framed[1:5], 'big')}")
    assert answer.headers["content-type"] == "application/vnd.schemaregistry.v1+json"
    assert json.loads(answer.json()["schema"])["name"] == "Followed"


async def test_subjects_and_versions(gateway: Gateway) -> None:
    subjects = (await gateway.client.get("/subjects")).json()
    assert subjects == list(locked().subjects)
    for subject in subjects:
        assert (await gateway.client.get(f"/subjects/{subject}/versions")).json()[0] == 1
        first = (await gateway.client.get(f"/subjects/{subject}/versions/1")).json()
        latest = (await gateway.client.get(f"/subjects/{subject}/versions/latest")).json()
        assert (first["subject"], first["version"]) == (subject, 1)
        assert latest["version"] >= 1
        by_id = (await gateway.client.get(f"/schemas/ids/{latest['id']}")).json()
        assert by_id["schema"] == latest["schema"]


@pytest.mark.parametrize(
    ("path", "code"),
    [
        ("/schemas/ids/99999", 40403),
        ("/schemas/ids/x", 40403),
        ("/subjects/none/versions", 40401),
        ("/subjects/none/versions/1", 40401),
        ("/subjects/graph-shutterlog.Followed/versions/99", 40402),
        ("/subjects/graph-shutterlog.Followed/versions/x", 40402),
        (f"/subjects/graph-shutterlog.Followed/versions/{'9' * 5000}", 40402),
        (f"/schemas/ids/{'9' * 5000}", 40403),
    ],
)
async def test_its_clients_know_its_errors(gateway: Gateway, path: str, code: int) -> None:
    answer = await gateway.client.get(path)
    assert (answer.status_code, answer.json()["error_code"]) == (404, code)


async def test_health(gateway: Gateway, monkeypatch: pytest.MonkeyPatch) -> None:
    assert (await gateway.client.get("/healthz")).json() == {"status": "ok"}
    ready = await gateway.client.get("/readyz")
    assert ready.status_code == 200
    assert ready.json() == {
        "ready": True,
        "stores": {"kafka": True, "cassandra": True, "redis": True, "objects": True},
    }

    async def away() -> None:
        raise StoreAway("gone")

    monkeypatch.setattr(gateway.stores.objects, "ping", away)
    without_objects = await gateway.client.get("/readyz")
    assert (without_objects.status_code, without_objects.json()["stores"]["objects"]) == (200, False)
    monkeypatch.undo()
    monkeypatch.setattr(gateway.stores.redis, "ping", away)
    without_redis = await gateway.client.get("/readyz")
    assert (without_redis.status_code, without_redis.json()["stores"]["redis"]) == (200, False)
    monkeypatch.setattr(gateway.stores.cassandra, "execute", away_whatever_is_asked)
    without_both = await gateway.client.get("/readyz")
    assert (without_both.status_code, without_both.json()["ready"]) == (503, False)
    assert without_both.headers["retry-after"]


async def away_whatever_is_asked(*_: object) -> None:
    raise StoreAway("gone")


async def test_a_gateway_is_ready_as_long_as_it_answers_feeds() -> None:
    stores = ("kafka", "cassandra", "redis", "objects")
    enough = {away for n in range(5) for away in combinations(stores, n) if serves({s: s not in away for s in stores})}
    assert {(), *((one,) for one in stores)} <= enough, "no store alone takes it out"
    assert enough & {("cassandra", "redis"), ("kafka", "cassandra"), stores} == set()
    assert ("kafka", "redis", "objects") in enough, "feeds from Cassandra need nothing else"


async def test_a_kafka_that_is_silent_holds_one_thread(
    gateway: Gateway, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """And fails when nobody waits for it any more, which is no mistake."""
    asked, answers = 0, threading.Event()

    def silent() -> dict[str, str]:
        nonlocal asked
        asked += 1
        assert answers.wait(30)
        if asked == 1:
            raise StoreAway("silent for too long")
        return {}

    monkeypatch.setattr(gateway.stores.topics, "ids", silent)
    monkeypatch.setattr(health, "SECONDS", 0.05)
    for _ in range(5):
        assert not (await gateway.client.get("/readyz")).json()["stores"]["kafka"]
    assert asked == 1
    answers.set()
    await asyncio.wait([gateway.app.state.kafka_asked])

    async def there() -> bool:
        return bool((await gateway.client.get("/readyz")).json()["stores"]["kafka"])

    await until("Kafka is there again", there)
    gc.collect()
    assert "never retrieved" not in caplog.text


async def test_the_document_is_whole(gateway: Gateway) -> None:
    document = (await gateway.client.get("/openapi.json")).json()
    operations = {
        (method, path): operation
        for path, methods in document["paths"].items()
        for method, operation in methods.items()
    }
    names = [operation["operationId"] for operation in operations.values()]
    assert len(set(names)) == len(names)
    assert all(re.fullmatch(r"[a-z_]+", name) for name in names)
    for (method, path), operation in operations.items():
        assert operation["summary"] and operation["description"], path
        if not path.startswith("/api/"):
            continue
        answers = operation["responses"]
        assert "503" in answers, path
        for status, answer in answers.items():
            if status >= "400":
                assert list(answer["content"]) == ["application/problem+json"], (path, status)
        for status in {"429", "503"} & set(answers):
            assert "Retry-After" in answers[status]["headers"]
        if method != "get" and not {"sessions", "mail"} & set(operation["tags"]):
            accepted = next(answer for status, answer in answers.items() if status < "300")
            assert "Consistency-Token" in accepted["headers"]
        for status, answer in answers.items():
            if status < "300" and "application/json" in answer.get("content", {}):
                name = answer["content"]["application/json"]["schema"]["$ref"].rpartition("/")[2]
                assert "example" in document["components"]["schemas"][name], name
        if "requestBody" in operation:
            assert {"413", "415", "422"} <= set(answers), path
        if method in ("post", "put", "patch", "delete") and "sessions" not in path:
            assert "429" in answers, path
    assert "ProblemDetails" in document["components"]["schemas"]
    assert "HTTPValidationError" not in document["components"]["schemas"]
    references = set(re.findall(r'"#/components/schemas/(\w+)"', json.dumps(document)))
    assert references <= set(document["components"]["schemas"])


async def test_the_gateway_closes_what_it_opened(gateway: Gateway) -> None:
    from tests.api.gateway import open_gateway

    async with open_gateway(gateway.settings) as other:
        assert (await other.client.get("/readyz")).status_code == 200
    with pytest.raises(RuntimeError):
        await other.stores.passwords.hash("too late")
    with pytest.raises(StoreAway):
        await other.stores.cassandra.execute("SELECT release_version FROM system.local")
