"""Who sends a body slowly, or never, is not waited for, and keeps nobody else out."""

from __future__ import annotations

import asyncio
import json
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
import uvicorn
from fastapi import FastAPI, Request
from pydantic import BaseModel
from starlette.types import Message

from api.app import create_app
from api.envelope import UPLOAD_PATH, Envelope
from api.problems import MEDIA_TYPE, TYPE, add_problem_answers
from api.receiving import Bodies
from api.shedding import Load
from api.stores import Stores
from sinks.settings import Settings
from tests.agents.workers import until
from tests.api.gateway import Gateway, picture

shared = pytest.mark.asyncio(loop_scope="session")
LIMIT = 8
"""Requests under way from which on explore is shed; writes are from 20 on, feeds from 32."""


class Note(BaseModel):
    text: str


class Small:
    """A gateway of three routes, without stores, whose writes are done when they are let go."""

    def __init__(self, **limits: Any) -> None:
        self.load = Load(LIMIT, 1.0)
        self.under_way = 0
        self.done = asyncio.Event()
        self.app = app = FastAPI()
        add_problem_answers(app)
        app.add_middleware(Envelope, https=False, load=self.load, bodies=Bodies(Settings(**limits), self.load))

        @app.post("/api/v1/notes")
        async def note(_: Note) -> None:
            self.under_way += 1
            await self.done.wait()

        @app.post(UPLOAD_PATH)
        async def upload(request: Request) -> int:
            return len([piece async for piece in request.stream() if piece])

        @app.get("/api/v1/explore")
        async def explore() -> None: ...


class Sender:
    """A client that sends a body as the test says; it starts at once."""

    def __init__(self, app: Any, path: str = "/api/v1/notes", method: str = "POST") -> None:
        self.pieces: asyncio.Queue[Message] = asyncio.Queue()
        self.waits = 0
        """How many pieces the server has asked for."""
        self.heard: list[Message] = []
        headers = [(b"content-type", b"application/json")]
        headers += [(b"content-length", b"16")] if method == "POST" else []
        scope = {"type": "http", "method": method, "path": path, "headers": headers, "query_string": b""}
        self.task: asyncio.Task[None] = asyncio.create_task(
            app({**scope, "http_version": "1.1"}, self._receive, self._send)
        )

    async def _receive(self) -> Message:
        self.waits += 1
        return await self.pieces.get()

    async def _send(self, message: Message) -> None:
        self.heard.append(message)

    def send(self, body: bytes = b'{"text": "well"}', *, more: bool = False) -> None:
        self.pieces.put_nowait({"type": "http.request", "body": body, "more_body": more})

    async def status(self) -> int:
        await asyncio.wait_for(self.task, 30)
        return int(self.heard[0]["status"])

    @property
    def headers(self) -> dict[bytes, bytes]:
        return dict(self.heard[0]["headers"])

    @property
    def kind(self) -> str:
        return str(json.loads(self.heard[1]["body"])["type"]).removeprefix(TYPE)


async def waited_for(*senders: Sender) -> None:
    """Wait until the server waits for all of them."""

    async def all_wait() -> bool:
        return all(one.waits for one in senders)

    await until("all bodies are waited for", all_wait)


@pytest.mark.parametrize("path", ["/api/v1/notes", UPLOAD_PATH])
async def test_a_body_that_never_comes_is_answered_408(path: str) -> None:
    small = Small(body_seconds=0.05, upload_silence_seconds=0.05)
    silent, halfway = Sender(small.app, path), Sender(small.app, path)
    halfway.send(b'{"text"', more=True)
    for sender in (silent, halfway):
        assert await sender.status() == 408
        assert sender.headers[b"content-type"] == MEDIA_TYPE.encode() and sender.kind == "body-too-slow"
        assert sender.headers[b"connection"] == b"close" and sender.headers[b"trace-id"]
    assert small.load.in_flight == 0


async def test_a_body_that_drips_is_not_waited_for_longer_than_a_silent_one() -> None:
    small = Small(body_seconds=0.2)
    sender = Sender(small.app)
    while not sender.task.done():
        sender.send(b" ", more=True)
        await asyncio.wait([sender.task], timeout=0.02)
        assert sender.waits < 50, "each byte buys more time"
    assert await sender.status() == 408


async def test_an_upload_has_time_as_long_as_enough_comes() -> None:
    """Ten times as long as anything silent, at twice the least rate; with a hundredth of it, it is given up."""
    small = Small(upload_silence_seconds=0.2, upload_least_bytes_per_second=10_000)

    async def upload(size: int) -> tuple[int, float]:
        sender, began = Sender(small.app, UPLOAD_PATH), asyncio.get_running_loop().time()
        for _ in range(40):
            sender.send(bytes(size), more=True)
            if (await asyncio.wait([sender.task], timeout=0.05))[0]:
                break
        else:
            sender.send(b"")
        return await sender.status(), asyncio.get_running_loop().time() - began

    assert (await upload(1000))[0] == 200
    status, seconds = await upload(10)
    assert status == 408 and seconds < 2
    assert small.load.in_flight == 0


async def test_idle_senders_shed_nobody() -> None:
    """Ten times as many as the limit, of JSON and of uploads: who asks, writes and uploads finds nothing of them."""
    small = Small()
    idle = [Sender(small.app, path) for path in ("/api/v1/notes", UPLOAD_PATH) for _ in range(5 * LIMIT)]
    await waited_for(*idle)
    assert small.load.in_flight == 0
    small.done.set()
    reader, writer, uploader = (
        Sender(small.app, "/api/v1/explore", "GET"),
        Sender(small.app),
        Sender(small.app, UPLOAD_PATH),
    )
    for sender in (writer, uploader):
        sender.send()
    assert [await sender.status() for sender in (reader, writer, uploader)] == [200, 200, 200]
    for sender in idle:
        sender.send()
    assert {await sender.status() for sender in idle} == {200}
    assert small.load.in_flight == 0


async def test_of_bodies_that_are_whole_at_once_no_more_are_done_than_of_requests() -> None:
    small = Small()
    many = [Sender(small.app) for _ in range(10 * LIMIT)]
    await waited_for(*many)
    for sender in many:
        sender.send()

    async def decided() -> bool:
        assert small.load.in_flight < 4 * LIMIT, "feeds are answered all the time"
        return small.under_way + sum(sender.task.done() for sender in many) == len(many)

    await until("each is done or shed", decided)
    small.done.set()
    statuses = [await sender.status() for sender in many]
    assert 2 * LIMIT < statuses.count(200) < 4 * LIMIT and set(statuses) == {200, 503}
    assert {sender.kind for sender in many if sender.heard[0]["status"] == 503} == {"overloaded"}


async def test_of_too_many_the_one_that_was_silent_for_longest_is_given_up() -> None:
    small = Small(awaited_bodies_limit=3)
    small.done.set()
    first, second, third = (Sender(small.app) for _ in range(3))
    await waited_for(first, second, third)
    first.send(b'{"text"', more=True)

    async def asked_again() -> bool:
        return first.waits == 2

    await until("the first one's next piece is waited for", asked_again)
    fourth = Sender(small.app)
    assert await second.status() == 408
    for sender, rest in ((first, b': "well"}'), (third, b'{"text": "well"}'), (fourth, b'{"text": "well"}')):
        sender.send(rest)
    assert [await sender.status() for sender in (first, third, fourth)] == [200, 200, 200]


@asynccontextmanager
async def served(app: FastAPI) -> AsyncIterator[int]:
    """``app`` on a socket; its port."""
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))
        server = uvicorn.Server(uvicorn.Config(app, lifespan="off", log_level="warning"))
        bound.listen()
        serving = asyncio.create_task(server.serve([bound]))
        try:
            yield int(bound.getsockname()[1])
        finally:
            server.should_exit = server.force_exit = True
            await serving


@shared
@pytest.mark.parametrize("path", ["/api/v1/sessions", UPLOAD_PATH])
async def test_the_gateway_closes_the_connection_of_whoever_sends_nothing(gateway: Gateway, path: str) -> None:
    """On a socket, with the gateway's own limits; an upload to its end in the object store."""

    @asynccontextmanager
    async def opening(_: Settings) -> AsyncIterator[Stores]:
        yield gateway.stores

    me = await gateway.person()
    impatient = {"body_seconds": 0.2, "upload_silence_seconds": 0.2}
    app = create_app(gateway.settings.model_copy(update=impatient), opening)
    begun = b'--cut\r\nContent-Disposition: form-data; name="file"; filename="a"\r\n\r\n' + picture()
    async with app.router.lifespan_context(app), served(app) as port:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        kind = "multipart/form-data; boundary=cut" if path == UPLOAD_PATH else "application/json"
        lines = (
            *(f"POST {path} HTTP/1.1", "Host: gateway", f"Content-Type: {kind}", "Content-Length: 5000"),
            f"Authorization: {me.headers['Authorization']}",
        )
        writer.write("\r\n".join((*lines, "", "")).encode() + (begun if path == UPLOAD_PATH else b""))
        said = await asyncio.wait_for(reader.read(), 30)  # until the other end closes
        writer.close()
        assert said.startswith(b"HTTP/1.1 408 ") and b"body-too-slow" in said
        assert app.state.load.in_flight == 0
    folder = gateway.settings.shutterlog_home / "data" / "media"
    assert not [file for file in (folder / me.id).rglob("*") if file.is_file()]
