"""ClickHouse's HTTP interface before chDB: what any ClickHouse client needs, for one folder of data.

chDB locks its folder to one process. This program is that process; everything else speaks HTTP with it, as it would
with a server in production. Who gives the writer's key may do everything; everybody else may read, with `readonly=1`,
and nothing where it has a certificate: it speaks TLS then, and knows the writer alone.

    python -m jobs.services.clickhouse_front --port 8123 --folder DIR
"""

from __future__ import annotations

import argparse
import base64
import binascii
import gzip
import hmac
import json
import os
import shutil
import tempfile
import zlib
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, BinaryIO
from urllib.parse import parse_qsl
from uuid import uuid4

import lz4.frame
import uvicorn
from backports import zstd

from jobs.services import clickhouse_sql as sql
from jobs.services.clickhouse_engine import Answer, Engine, Failed, Query
from jobs.services.home import Home, read_json

WRITER = "writer"
KEY = "clickhouse_key"
LONGEST_QUERY = 256 * 1024
AUTHENTICATION_FAILED, CANNOT_DECOMPRESS = 516, 271
STATUS: Mapping[int, int] = {
    **dict.fromkeys((6, 26, 27, 36, 38, 41, 42, 43, 53, 62, 69, 72, 117, 130, CANNOT_DECOMPRESS, 456, 457), 400),
    **dict.fromkeys((46, 47, 50, 56, 60, 73, 81, 115), 404),
    **dict.fromkeys((AUTHENTICATION_FAILED, 164, 497), 403),
    48: 501,
    202: 503,
    307: 413,
}
"""HTTP status by ClickHouse's code, where it is not 500."""
TRANSPORT = frozenset(
    ("query", "database", "user", "password", "default_format", "query_id", "quota_key", "role", "stacktrace")
    + ("session_id", "session_timeout", "session_check", "compress", "decompress", "buffer_size", "wait_end_of_query")
    + ("client_protocol_version", "enable_http_compression", "http_zlib_compression_level", "add_http_cors_header")
    + ("send_progress_in_http_headers", "http_headers_progress_interval_ms")
    + ("cancel_http_readonly_queries_on_client_close",)
)
"""Parameters of the interface itself; all others are settings."""

Scope = Mapping[str, Any]
Receive = Callable[[], Awaitable[Mapping[str, Any]]]
Send = Callable[[Mapping[str, Any]], Awaitable[None]]


class Front:
    """The ASGI application over one engine."""

    def __init__(self, engine: Engine, key: str, *, anybody_reads: bool = True) -> None:
        self._engine, self._key, self._anybody_reads = engine, key, anybody_reads

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """One request."""
        if scope["type"] != "http":
            return
        headers = {name.decode().lower(): value.decode("latin-1") for name, value in scope["headers"]}
        given = dict(parse_qsl(scope["query_string"].decode(), keep_blank_values=True))
        common = [("X-ClickHouse-Query-Id", given.get("query_id") or str(uuid4())), ("X-ClickHouse-Timezone", "UTC")]
        with tempfile.TemporaryFile(dir=self._engine.folder_of_bodies) as body:
            try:
                await _received(receive, body)
                if scope["path"] == "/ping" or not (given.get("query") or body.tell()):
                    await _respond(send, 200, [], b"Ok.\n")
                    return
                if scope["path"] not in ("", "/"):
                    raise Failed(sql.SYNTAX_ERROR, f"There is no handle {scope['path']}")
                answer, name = await self._answer(scope["method"], headers, given, body)
            except (Failed, sql.Refused) as error:
                text = f"Code: {error.code}. DB::Exception: " if isinstance(error, sql.Refused) else ""
                text += str(error) if str(error).startswith("Code:") or text else f"Code: {error.code}. {error}"
                told = [*common, ("X-ClickHouse-Exception-Code", str(error.code))]
                await _respond(send, STATUS.get(error.code, 500), told, text.encode() + b"\n")
                return
        content, encoding = _packed(answer.content, headers, given)
        told = [*common, ("X-ClickHouse-Format", name), ("X-ClickHouse-Summary", _summary(answer)), *encoding]
        await _respond(send, 200, told, content)

    async def _answer(
        self, method: str, headers: Mapping[str, str], given: Mapping[str, str], body: BinaryIO
    ) -> tuple[Answer, str]:
        writer = self._may_write(headers, given) and method != "GET"
        if headers.get("content-type", "").startswith("multipart/form-data"):
            raise sql.Refused(sql.NOT_IMPLEMENTED, "multipart bodies (external tables) are not taken: use parameters")
        if given.get("compress", "0") == "1" or given.get("decompress", "0") == "1":
            raise sql.Refused(sql.NOT_IMPLEMENTED, "ClickHouse's own block compression is not taken: use HTTP's")
        plain = _unpacked(body, headers.get("content-encoding", ""))
        asked = given.get("query", "")
        start = plain.read(LONGEST_QUERY)
        # The data of an INSERT follow its text, in whatever bytes: as Latin-1 every byte is one character.
        text = (asked.encode() + (b"\n" if asked and start else b"") + start).decode("latin-1")
        insert = sql.insert_with_data(text)
        name = headers.get("x-clickhouse-format") or given.get("default_format") or "TabSeparated"
        settings = {k: v for k, v in given.items() if k not in TRANSPORT and not k.startswith("param_")}
        parameters = {k.removeprefix("param_"): v for k, v in given.items() if k.startswith("param_")}
        database = given.get("database") or headers.get("x-clickhouse-database", "")
        query = Query("", writer, database, name, settings, parameters)
        if insert is None:
            if len(start) == LONGEST_QUERY:
                raise Failed(sql.SYNTAX_ERROR, "Code: 62. DB::Exception: Max query size exceeded (SYNTAX_ERROR)")
            text = _utf8(text)
            sql.check(text, () if writer else self._engine.forbidden_to_readers)
            return await self._engine.run(replace(query, text=text)), sql.format_of(text) or name
        data = text[insert.data_from :].encode("latin-1")
        head = insert._replace(head=_utf8(insert.head), rest=_utf8(insert.rest))
        with tempfile.NamedTemporaryFile(dir=self._engine.folder_of_bodies) as rows:
            rows.write(data)
            shutil.copyfileobj(plain, rows)
            rows.flush()
            return await self._engine.run(replace(query, insert=head, rows=Path(rows.name))), name

    def _may_write(self, headers: Mapping[str, str], given: Mapping[str, str]) -> bool:
        """Whether the writer's key came along. Raises ``Failed`` for a wrong one; who names nobody may read, if anybody
        may."""
        user, key = _credentials(headers, given)
        if user != WRITER and self._anybody_reads:
            return False
        if user != WRITER or not self._key or not hmac.compare_digest(key.encode(), self._key.encode()):
            reason = f"{user}: Authentication failed: password is incorrect, or there is no user with such name"
            raise Failed(AUTHENTICATION_FAILED, f"Code: 516. DB::Exception: {reason}. (AUTHENTICATION_FAILED)")
        return True


def _credentials(headers: Mapping[str, str], given: Mapping[str, str]) -> tuple[str, str]:
    if "x-clickhouse-user" in headers:
        return headers["x-clickhouse-user"], headers.get("x-clickhouse-key", "")
    scheme, _, encoded = headers.get("authorization", "").partition(" ")
    if scheme.lower() == "basic":
        try:
            user, _, key = base64.b64decode(encoded).decode().partition(":")
        except (binascii.Error, UnicodeDecodeError):
            return WRITER, ""
        return user, key
    return given.get("user", ""), given.get("password", "")


async def _received(receive: Receive, body: BinaryIO) -> None:
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise Failed(210, "Code: 210. DB::Exception: the client left")
        body.write(message.get("body", b""))
        if not message.get("more_body", False):
            return


def _unpacked(body: BinaryIO, encoding: str) -> BinaryIO:
    """``body`` from its beginning, without what HTTP did to it; raises ``Refused`` for what is not known here."""
    body.seek(0)
    if encoding in ("", "identity"):
        return body
    plain = tempfile.TemporaryFile()  # noqa: SIM115 (of the caller)
    try:
        match encoding:
            case "gzip":
                shutil.copyfileobj(gzip.GzipFile(fileobj=body), plain)
            case "deflate":
                plain.write(zlib.decompress(body.read()))
            case "lz4":
                shutil.copyfileobj(lz4.frame.open(body), plain)
            case "zstd":
                shutil.copyfileobj(zstd.open(body), plain)
            case _:
                reason = f"Content-Encoding {encoding} is not taken: send gzip, deflate, lz4 or zstd, or none"
                raise sql.Refused(sql.NOT_IMPLEMENTED, reason)
    except (OSError, EOFError, RuntimeError, zlib.error, zstd.ZstdError) as error:
        reason = f"the body is not {encoding}, as Content-Encoding says: {error}"
        raise sql.Refused(CANNOT_DECOMPRESS, reason) from error
    plain.seek(0)
    return plain


def _packed(
    content: bytes, headers: Mapping[str, str], given: Mapping[str, str]
) -> tuple[bytes, list[tuple[str, str]]]:
    """The answer as the client wants it, if it wants it packed in a way that is known here."""
    wanted = {one.split(";")[0].strip() for one in headers.get("accept-encoding", "").split(",")}
    if given.get("enable_http_compression", "0") != "1" or len(content) < 1024:
        return content, []
    if "zstd" in wanted:
        return zstd.compress(content, 1), [("Content-Encoding", "zstd")]
    if "gzip" in wanted:
        return gzip.compress(content, 1), [("Content-Encoding", "gzip")]
    return content, []


def _utf8(text: str) -> str:
    try:
        return text.encode("latin-1").decode()
    except UnicodeDecodeError as error:
        raise sql.Refused(sql.SYNTAX_ERROR, f"Syntax error: the query is not UTF-8: {error}") from error


def _summary(answer: Answer) -> str:
    counts = {
        "read_rows": answer.rows_read,
        "read_bytes": answer.bytes_read,
        "written_rows": answer.rows_written,
        "written_bytes": answer.bytes_read if answer.rows_written else 0,
        "total_rows_to_read": answer.rows_read,
        "result_bytes": len(answer.content),
        "elapsed_ns": answer.nanoseconds,
    }
    return json.dumps({name: str(count) for name, count in counts.items()})


async def _respond(send: Send, status: int, headers: list[tuple[str, str]], content: bytes) -> None:
    plain = [("Content-Type", "application/octet-stream"), ("Content-Length", str(len(content))), *headers]
    raw = [(name.lower().encode(), value.encode("latin-1")) for name, value in plain]
    await send({"type": "http.response.start", "status": status, "headers": raw})
    await send({"type": "http.response.body", "body": content})


def main() -> None:
    """The program. The writer's key is in the home's secrets."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--folder", type=Path, required=True)
    parser.add_argument("--certificate", type=Path, help="key and certificate, in one file")
    chosen = parser.parse_args()
    key = read_json(Home.at(os.environ["SHUTTERLOG_HOME"]).secrets_file)[KEY]
    chosen.folder.mkdir(parents=True, exist_ok=True)
    engine = Engine(chosen.folder)
    front = Front(engine, key, anybody_reads=chosen.certificate is None)
    listening: dict[str, Any] = {"host": "127.0.0.1", "port": chosen.port, "ssl_certfile": chosen.certificate}
    try:
        uvicorn.run(front, **listening, access_log=False, log_level="warning")
    finally:
        engine.close()
        shutil.rmtree(engine.folder_of_bodies, ignore_errors=True)


if __name__ == "__main__":
    main()
