"""The object store, in a folder and on a stand-in for S3: one contract."""

from __future__ import annotations

import asyncio
import re
import shutil
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import parse_qs, unquote, urlsplit

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sinks.errors import StoreAway
from sinks.object_store import NoSuchObject, ObjectStore, original_key, rendition_key
from sinks.settings import Settings


class Bucket(ThreadingHTTPServer):
    """As much of the S3 protocol as the store uses: PUT with If-None-Match, GET, HEAD, DeleteObjects, ListObjectsV2."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _S3)
        self.objects: dict[str, bytes] = {}

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"


class _S3(BaseHTTPRequestHandler):
    server: Bucket
    protocol_version = "HTTP/1.1"

    def log_message(self, format: str, *arguments: object) -> None:
        pass

    def _answer(self, status: int, body: bytes = b"") -> None:
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.send_header("ETag", '"1"')
        self.send_header("Last-Modified", "Thu, 01 Jan 2026 00:00:00 GMT")
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    @property
    def _key(self) -> str:
        return unquote(urlsplit(self.path).path).removeprefix("/pictures").lstrip("/")

    def do_PUT(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        if self.headers.get("If-None-Match") == "*" and self._key in self.server.objects:
            return self._answer(412)
        self.server.objects[self._key] = body
        return self._answer(200)

    def do_GET(self) -> None:
        if not self._key:
            prefix = parse_qs(urlsplit(self.path).query).get("prefix", [""])[0]
            contents = "".join(
                f"<Contents><Key>{key}</Key><LastModified>2026-01-01T00:00:00.000Z</LastModified>"
                f'<ETag>"1"</ETag><Size>{len(body)}</Size></Contents>'
                for key, body in self.server.objects.items()
                if key.startswith(prefix)
            )
            return self._answer(200, f"<ListBucketResult>{contents}</ListBucketResult>".encode())
        body = self.server.objects.get(self._key)
        return self._answer(404) if body is None else self._answer(200, body)

    do_HEAD = do_GET

    def do_POST(self) -> None:  # DeleteObjects: absent keys are no error there
        body = self.rfile.read(int(self.headers["Content-Length"])).decode()
        keys = re.findall("<Key>(.*?)</Key>", body)
        for key in keys:
            self.server.objects.pop(key, None)
        deleted = "".join(f"<Deleted><Key>{key}</Key></Deleted>" for key in keys)
        self._answer(200, f"<DeleteResult>{deleted}</DeleteResult>".encode())


@pytest.fixture
def bucket(monkeypatch: pytest.MonkeyPatch) -> Iterator[Bucket]:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "someone")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "something")
    with Bucket() as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield server
        server.shutdown()
        thread.join()


@pytest.fixture(params=["folder", "s3"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> ObjectStore:
    if request.param == "folder":
        return ObjectStore.of(Settings(shutterlog_home=tmp_path, s3_endpoint=None))
    server: Bucket = request.getfixturevalue("bucket")
    return ObjectStore.of(Settings(shutterlog_home=tmp_path, s3_endpoint=server.url, s3_bucket="pictures"))


async def test_what_is_put_can_be_had_again(store: ObjectStore) -> None:
    key = original_key(7, 1_700_000_000_000, 9)
    await store.put(key, b"one")
    await store.put(key, b"two")
    assert await store.get(key) == b"two" and await store.exists(key)
    await store.ping()


async def test_put_if_absent_keeps_the_first(store: ObjectStore) -> None:
    key = rendition_key("ab" * 32)
    assert await store.put_if_absent(key, b"first")
    assert not await store.put_if_absent(key, b"second")
    assert await store.get(key) == b"first"


async def test_one_of_many_that_put_at_once_wins(store: ObjectStore) -> None:
    key = rendition_key("cd" * 32)
    assert sum(await asyncio.gather(*(store.put_if_absent(key, b"same") for _ in range(20)))) == 1


async def test_nothing_under_a_key_is_said_and_deleting_twice_is_fine(store: ObjectStore) -> None:
    with pytest.raises(NoSuchObject):
        await store.get("r/00/none.jpg")
    assert not await store.exists("r/00/none.jpg")
    await store.put("r/00/some.jpg", b"x")
    for _ in range(2):
        await store.delete("r/00/some.jpg")
    assert not await store.exists("r/00/some.jpg")


async def test_list_keys_gives_what_lies_below_a_prefix(store: ObjectStore) -> None:
    for key in ("7/2026/01/1/original", "7/2026/02/2/original", "8/2026/01/3/original"):
        await store.put(key, b"x")
    assert {key async for key in store.list_keys("7")} == {"7/2026/01/1/original", "7/2026/02/2/original"}
    assert len([key async for key in store.list_keys()]) == 3


async def test_a_folder_that_is_gone_is_a_store_that_is_away(tmp_path: Path) -> None:
    store = ObjectStore.local(tmp_path / "media")
    await store.put("a/b", b"x")
    shutil.rmtree(tmp_path / "media")
    for call in (store.put("a/b", b"x"), store.put_if_absent("a/c", b"x"), store.get("a/b"), store.ping()):
        with pytest.raises(StoreAway):
            await call
    assert not (tmp_path / "media").exists(), "not quietly made anew"


async def test_an_s3_that_does_not_answer_is_a_store_that_is_away(bucket: Bucket, tmp_path: Path) -> None:
    store = ObjectStore.of(Settings(shutterlog_home=tmp_path, s3_endpoint="http://127.0.0.1:1", s3_bucket="pictures"))
    for call in (store.put("a/b", b"x"), store.get("a/b"), store.exists("a/b"), store.delete("a/b"), store.ping()):
        with pytest.raises(StoreAway):
            await call


@given(st.integers(0, 2**63 - 1), st.integers(0, 4_102_444_800_000), st.integers(0, 2**63 - 1))
def test_original_keys_name_owner_month_and_medium(user: int, at_ms: int, media: int) -> None:
    parts = original_key(user, at_ms, media).split("/")
    assert parts[0] == str(user) and parts[3:] == [str(media), "original"]
    assert len(parts[1]) == 4 and 1 <= int(parts[2]) <= 12
    assert original_key(user, 1_767_225_599_999, media).split("/")[1:3] == ["2025", "12"]


def test_rendition_keys_follow_their_content() -> None:
    assert rendition_key("ab12" + "0" * 60) == f"r/ab/ab12{'0' * 60}.jpg"
