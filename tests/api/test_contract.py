"""Schemathesis: whatever is sent to a route, the answer is one that the OpenAPI document says, and never a 500.

Requests are made from the document, right ones and wrong ones; the same ones every time. Each is sent by somebody who
is logged in and by a stranger. More of them, and others:

    pytest tests/api -k contract --examples 20 --seed 4711

A route's requests are sent to the gateway in process, in its own event loop.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any

import httpx
import pytest
import pytest_asyncio
import requests
import schemathesis
from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis.errors import Unsatisfiable
from schemathesis.config import SchemathesisConfig
from schemathesis.core.failures import FailureGroup
from schemathesis.generation import GenerationMode
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from sinks.clickhouse import ClickHouse
from sinks.fact_migrations import migrate
from tests.api.gateway import Gateway, Person

pytestmark = pytest.mark.asyncio(loop_scope="session")
BASE = "http://gateway"
CHECKS: list[Any] = [
    status_code_conformance,
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
]
ENDLESS = {"follow_live"}
"""Answers without an end."""
NOT_HERE = {"no-mail", "no-push", "not-yet-consistent"}
"""Why the tests' gateway may say 503: nobody gave it a mail server, or keys to push with; and the token of a write that
never was is waited for in vain."""
ENDS_SESSIONS = {"log_out", "log_out_everywhere"}
Answers = Callable[[Any], Iterator[httpx.Response]]


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def insights(gateway: Gateway) -> AsyncIterator[None]:
    """The tables that insights are asked of, without a fact."""
    settings = gateway.settings
    async with await ClickHouse.connect(settings, make_database=True) as clickhouse:
        await migrate(clickhouse, 1)
        yield
        await clickhouse.command(f"DROP DATABASE {settings.clickhouse_database} SYNC")


async def test_every_answer_is_as_documented(
    gateway: Gateway, insights: None, monkeypatch: pytest.MonkeyPatch, pytestconfig: pytest.Config
) -> None:
    for limit in ("write", "login", "comment", "export", "read"):
        monkeypatch.setattr(gateway.settings, f"{limit}_burst", 10**6)
    monkeypatch.setattr(gateway.settings, "consistency_wait_seconds", 0.01)
    author = await gateway.person("Ada")
    known = await things(gateway, author)
    document = (await gateway.client.get("/openapi.json")).json()
    loop = asyncio.get_running_loop()

    async def ask(sent: requests.PreparedRequest, who: Person | None) -> httpx.Response:
        headers = {name: str(value) for name, value in sent.headers.items() if name.lower() != "authorization"}
        body: Any = sent.body.encode() if isinstance(sent.body, str) else sent.body
        headers |= who.headers if who else {}
        return await gateway.client.request(str(sent.method), str(sent.url), headers=headers, content=body)

    def answers(case: Any) -> Iterator[httpx.Response]:
        """What somebody who is logged in is answered, and what a stranger; asked from this thread."""
        sent = requests.Request(**case.as_transport_kwargs(base_url=BASE)).prepare()
        for who in (author, None):
            yield asyncio.run_coroutine_threadsafe(ask(sent, who), loop).result(30)

    examples, number = pytestconfig.getoption("examples"), pytestconfig.getoption("seed") or 0
    wrong: list[str] = []
    for operation in operations(document):
        await asyncio.to_thread(attempt, operation, known, answers, examples, number, wrong.append)
        await gateway.catch_up()
    assert wrong == [], "\n\n".join(wrong)


async def things(gateway: Gateway, author: Person) -> dict[str, str]:
    """What there is to be asked for, by the names of parameters."""
    other = await gateway.person("Grace")
    media_id = (await gateway.upload(author)).json()["media_id"]
    post_id = await gateway.post(author, "The engine at dusk, @grace")
    await gateway.publish(author, post_id)
    await gateway.catch_up()
    post, headers = f"/api/v1/posts/{post_id}", author.headers
    comment = (await gateway.client.post(f"{post}/comments", json={"text": "What a light!"}, headers=headers)).json()
    made = (await gateway.client.post("/api/v1/me/collections", json={"name": "Light"}, headers=headers)).json()
    await gateway.client.put(f"/api/v1/users/{author.id}/follow", headers=other.headers)
    await gateway.client.post(f"{post}/like", headers=other.headers)
    await gateway.client.post(f"{post}/save", headers=headers)
    await gateway.catch_up()
    ids = {"post_id": post_id, "media_id": media_id, "comment_id": comment["id"], "collection_id": made["id"]}
    return ids | {"user": other.id, "username": other.username}


def operations(document: Any) -> list[Any]:
    """Every route of the document; what deletes comes behind the rest, and what ends one's sessions last."""
    schema = schemathesis.openapi.from_dict(document, config=SchemathesisConfig())
    results: list[Any] = list(schema.get_all_operations())
    found = [result.ok() for result in results]
    found = [one for one in found if one.definition.raw["operationId"] not in ENDLESS]
    return sorted(found, key=lambda one: (one.definition.raw["operationId"] in ENDS_SESSIONS, one.method == "delete"))


def attempt(
    operation: Any,
    known: dict[str, str],
    answers: Answers,
    examples: int,
    number: int,
    is_wrong: Callable[[str], None],
) -> None:
    """Send a route right requests for what there is, then wrong ones. What is wrong with an answer is told and not
    raised: Hypothesis would ask once more, and what was deleted is not deleted again."""
    bounds = settings(
        max_examples=examples,
        deadline=None,
        database=None,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    for mode in GenerationMode:
        try:
            seed(number)(bounds(asking(operation, mode, known, answers, is_wrong)))()
        except Unsatisfiable:  # nothing can be wrong where nothing is asked
            assert mode is GenerationMode.NEGATIVE, operation.label


def asking(
    operation: Any, mode: GenerationMode, known: dict[str, str], answers: Answers, is_wrong: Callable[[str], None]
) -> Callable[[], None]:
    """What Hypothesis has to call."""

    @given(case=operation.as_strategy(generation_mode=mode))
    def ask(case: Any) -> None:
        if mode is GenerationMode.POSITIVE:
            case.path_parameters |= {name: known[name] for name in case.path_parameters if name in known}
        for answer in answers(case):
            kind = answer.json()["type"].rpartition(":")[2] if answer.is_server_error else ""
            if kind and kind not in NOT_HERE:
                is_wrong(f"{answer.status_code} {kind}: {case.as_curl_command()}"[:1500])
            try:
                case.validate_response(answer, checks=CHECKS)
            except FailureGroup as failures:
                is_wrong(f"{operation.label}: {[str(one) for one in failures.exceptions]}"[:1500])

    return ask
