"""Ids from a Schema Registry, by its HTTP API, held against a small one of our own."""

from __future__ import annotations

import json
import struct
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import unquote

import pytest

from schemas import codec
from schemas.events import Followed
from schemas.ids import MIN_ID
from schemas.lock import locked
from sinks.errors import StoreAway
from sinks.registry import RegistryRefused, adopt_ids, register
from sinks.settings import Settings

FOLLOWED = Followed(event_id=MIN_ID, at=1, actor_id=MIN_ID, follower_id=MIN_ID, followee_id=MIN_ID + 1)


class Registry(ThreadingHTTPServer):
    """The part of the API that is used; ids start at 1001. ``failing`` is the status of every answer, if set."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Answers)
        self.ids: dict[tuple[str, str], int] = {}
        self.levels: dict[str, str] = {}
        self.failing = 0

    def answer(self, method: str, path: str, body: dict[str, str]) -> tuple[int, dict[str, Any]]:
        """Status and body."""
        if self.failing:
            return self.failing, {"error_code": self.failing, "message": "no"}
        parts = [unquote(part) for part in path.strip("/").split("/")]
        match method, parts:
            case "PUT", ["config", subject]:
                self.levels[subject] = body["compatibility"]
                return 200, body
            case "POST", ["subjects", subject, "versions"]:
                schema = json.dumps(json.loads(body["schema"]), sort_keys=True)
                return 200, {"id": self.ids.setdefault((subject, schema), 1001 + len(self.ids))}
            case "POST", ["subjects", subject]:
                schema = json.dumps(json.loads(body["schema"]), sort_keys=True)
                known = self.ids.get((subject, schema))
                if known is not None:
                    return 200, {"subject": subject, "id": known, "version": 1, "schema": body["schema"]}
        return 404, {"error_code": 40401, "message": "Subject not found."}


class Answers(BaseHTTPRequestHandler):
    """HTTP around ``Registry.answer``."""

    server: Registry

    def do_POST(self) -> None:
        """Answer."""
        body = json.loads(self.rfile.read(int(self.headers["content-length"])))
        status, answer = self.server.answer(self.command, self.path, body)
        encoded = json.dumps(answer).encode()
        self.send_response(status)
        self.send_header("content-length", str(len(encoded)))
        self.end_headers()
        self.wfile.write(encoded)

    do_PUT = do_POST

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@pytest.fixture
def registry() -> Iterator[Registry]:
    """A running registry; the codec goes back to the lock's ids afterwards."""
    with Registry() as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield server
        server.shutdown()
        thread.join()
    codec.use(None)


@pytest.fixture
def registered(registry: Registry) -> Settings:
    """Settings that name the registry."""
    return Settings(schema_registry_url=f"http://127.0.0.1:{registry.server_port}")


async def test_registered_schemas_give_the_codec_its_ids(registry: Registry, registered: Settings) -> None:
    by_lock = codec.encode(FOLLOWED)
    await register(registered)
    await register(registered)
    assert len(registry.ids) == len(locked().versions())
    assert registry.levels == dict.fromkeys(locked().subjects, "FULL_TRANSITIVE")
    await adopt_ids(registered)
    value = codec.encode(FOLLOWED)
    number = max(n for (subject, _), n in registry.ids.items() if subject == "graph-shutterlog.Followed")
    assert struct.unpack_from(">bI", value) == (0, number)
    assert value[5:] == by_lock[5:]
    assert codec.decode(value) == FOLLOWED
    with pytest.raises(codec.UnknownSchema):
        codec.decode(by_lock)


async def test_asking_registers_nothing(registry: Registry, registered: Settings) -> None:
    with pytest.raises(RegistryRefused, match="provision"):
        await adopt_ids(registered)
    assert registry.ids == {}


@pytest.mark.parametrize(("status", "error"), [(500, StoreAway), (503, StoreAway), (409, RegistryRefused)])
async def test_refusals(registry: Registry, registered: Settings, status: int, error: type[Exception]) -> None:
    registry.failing = status
    with pytest.raises(error):
        await register(registered)
    with pytest.raises(error):
        await adopt_ids(registered)


async def test_a_registry_that_is_away(registry: Registry) -> None:
    with pytest.raises(StoreAway):
        await adopt_ids(Settings(schema_registry_url="http://127.0.0.1:9"))


async def test_without_a_registry_the_lock_stays() -> None:
    before = codec.current()
    await register(Settings(schema_registry_url=None))
    await adopt_ids(Settings(schema_registry_url=None))
    assert codec.current() is before
