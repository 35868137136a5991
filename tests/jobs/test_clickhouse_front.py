"""The front before chDB, asked as any ClickHouse client asks, and what it refuses."""

# ruff: noqa: S608 (names of ours)

from __future__ import annotations

import gzip
import json
import threading
import time
import urllib.error
import urllib.parse
import urllib.request
import uuid
from collections.abc import Iterator
from datetime import UTC, datetime
from email.message import Message
from typing import Any

import clickhouse_connect
import pytest
from clickhouse_connect.driver.client import Client
from clickhouse_connect.driver.exceptions import DatabaseError

from jobs.services.clickhouse_sql import Refused, check, insert_with_data
from sinks.store_security import without_key
from tests.services import SessionServices

DATABASE = f"front_{uuid.uuid4().hex[:8]}"
"""Of this process: in queries it is called `front`."""
TABLE = f"{DATABASE}.t"
AT = datetime(2026, 1, 2, 3, 4, 5, 678_000, UTC)


@pytest.fixture(scope="module")
def url(services: SessionServices, clickhouse_url: str) -> str:
    """The local front's address, with the writer's key."""
    if "clickhouse" not in services.local.supervisor.states():
        pytest.skip("the ClickHouse of these tests is a server of its own")
    return clickhouse_url


def client_of(url: str, **given: Any) -> Client:
    parts = urllib.parse.urlsplit(url)
    return clickhouse_connect.get_client(
        host=parts.hostname, port=parts.port, username=parts.username, password=parts.password or "", **given
    )


@pytest.fixture(scope="module")
def writer(url: str) -> Iterator[Client]:
    client = client_of(url)
    client.command(f"CREATE DATABASE {DATABASE}")
    client.command(
        f"CREATE TABLE {DATABASE}.t (a Int64, s String, h Array(String), at DateTime64(3, 'UTC'), b Bool) "
        "ENGINE = MergeTree ORDER BY a SETTINGS non_replicated_deduplication_window = 100"
    )
    yield client
    client.command(f"DROP DATABASE {DATABASE} SYNC")
    client.close()


@pytest.fixture
def table(writer: Client) -> Client:
    writer.command(f"TRUNCATE TABLE {DATABASE}.t")
    return writer


@pytest.fixture(scope="module")
def analyst(url: str) -> Iterator[Client]:
    client = client_of(without_key(url))
    yield client
    client.close()


def ask(url: str, query: str = "", body: bytes | None = None, **headers: str) -> tuple[int, Message, bytes]:
    """What HTTP answers to one request without the driver."""
    parts = urllib.parse.urlsplit(url)
    address = f"http://{parts.hostname}:{parts.port}/?{query}"
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    key = {"X-ClickHouse-User": parts.username or "", "X-ClickHouse-Key": parts.password or ""}
    request = urllib.request.Request(address, body, {**key, **named})
    try:
        with urllib.request.urlopen(request) as answer:  # noqa: S310 - the address is ours
            return answer.status, answer.headers, answer.read()
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.headers, error.read()


def test_rows_of_every_type_parameters_and_deduplication(table: Client) -> None:
    rows = [[1, "tab\tquote'é", ["x", "y'"], AT, True], [2, "", [], AT, False]]
    names = ["a", "s", "h", "at", "b"]
    summary = table.insert(TABLE, rows, names, settings={"insert_deduplication_token": "one"})
    table.insert(TABLE, rows, names, settings={"insert_deduplication_token": "one"})

    assert summary.written_rows == 2
    given = {"s": rows[0][1], "h": ["y'"], "at": AT}
    found = table.query(
        f"SELECT a, s, h, at, b FROM {TABLE} WHERE s = {{s:String}} AND hasAny(h, {{h:Array(String)}}) "
        "AND at = {at:DateTime64(3, 'UTC')}",
        parameters=given,
    )
    assert [list(row) for row in found.result_rows] == [[1, rows[0][1], ["x", "y'"], AT.replace(tzinfo=None), True]]
    assert table.query("SELECT count() FROM t", settings={"max_threads": 1, "database": DATABASE}).first_row == (2,)


@pytest.mark.parametrize("packed", ["gzip", "zstd", "lz4", False])
def test_bodies_are_packed_as_the_client_likes(url: str, table: Client, packed: str | bool) -> None:
    client = client_of(url, compress=packed)
    client.insert(TABLE, [[n, "x" * 50] for n in range(20_000)], ["a", "s"])
    assert client.query(f"SELECT a, s FROM {TABLE}").row_count == 20_000
    client.close()


def test_texts_of_every_format_come_in_and_go_out(url: str, table: Client) -> None:
    table.raw_insert(TABLE, ["a", "s"], "1,one\n2,two\n", fmt="CSV")
    table.raw_insert(TABLE, ["a", "s"], b'{"a": 3, "s": "three"}\n', fmt="JSONEachRow")
    table.command(f"INSERT INTO {TABLE} (a, s) SETTINGS async_insert = 0 VALUES (4, 'four'), (5, 'a FORMAT b')")
    assert ask(url, f"query=INSERT+INTO+{TABLE}+(a,s)+FORMAT+TSV", b"6\tsix\n")[0] == 200
    assert (
        ask(url, "", f"INSERT INTO {TABLE} (a, s) FORMAT RowBinary\n".encode() + b"\7" + bytes(7) + b"\5seven")[0]
        == 200
    )

    status, headers, body = ask(url, f"database={DATABASE}&default_format=JSON", b"SELECT a, s FROM t ORDER BY a")
    assert status == 200
    assert headers["X-ClickHouse-Format"] == "JSON"
    assert json.loads(headers["X-ClickHouse-Summary"])["read_rows"] == "7"
    assert [row["s"] for row in json.loads(body)["data"]] == [
        *("one", "two", "three", "four", "a FORMAT b", "six", "seven")
    ]
    assert ask(url, "query=SELECT+1+FORMAT+CSV&query_id=mine")[1]["X-ClickHouse-Query-Id"] == "mine"
    packed, headers, body = ask(
        url, "enable_http_compression=1", b"SELECT number FROM numbers(9999)", Accept_Encoding="gzip"
    )
    assert (packed, headers["Content-Encoding"]) == (200, "gzip")
    assert gzip.decompress(body).count(b"\n") == 9999


@pytest.mark.parametrize(
    ("query", "status", "code"),
    [
        ("SELECT * FROM nothing", 404, 60),
        ("SELEC 1", 400, 62),
        ("SELECT throwIf(1)", 500, 395),
        ("SELECT 1; SELECT 2", 400, 62),
        ("SELECT 1 INTO OUTFILE '/tmp/front'", 501, 48),
        ("INSERT INTO front.t FROM INFILE '/etc/passwd' FORMAT CSV", 501, 48),
        ("SET max_threads = 1", 501, 48),
    ],
)
def test_what_fails_says_so_as_clickhouse_does(url: str, table: Client, query: str, status: int, code: int) -> None:
    found, headers, body = ask(url, "", query.replace("front.", f"{DATABASE}.").encode())
    assert (found, headers["X-ClickHouse-Exception-Code"]) == (status, str(code))
    assert body.startswith(f"Code: {code}. DB::Exception".encode())


def test_ping_a_wrong_key_and_bodies_that_nobody_can_read(url: str) -> None:
    assert ask(url)[2] == b"Ok.\n"
    assert ask(url, "query=SELECT+1", X_ClickHouse_Key="wrong")[:1] == (403,)
    assert ask(url, "query=SELECT+1&decompress=1", b"?")[0] == 501
    assert ask(url, "", b"SELECT 1", Content_Encoding="br")[0] == 501
    assert ask(url, "", b"SELECT 1", Content_Encoding="gzip")[0] == 400
    assert ask(url, "", b"SELECT '\xff'")[0] == 400
    assert ask(url, f"query=DROP+TABLE+{TABLE}")[0] == 403, "a GET changes nothing, whoever sends it"


@pytest.mark.parametrize(
    "query",
    [
        "INSERT INTO front.t (a) VALUES (1)",
        "DROP TABLE front.t",
        "CREATE TABLE front.u (a Int64) ENGINE = Memory",
        "ALTER TABLE front.t DELETE WHERE 1",
        "SYSTEM FLUSH LOGS",
        "SELECT file('/etc/passwd')",
        "SELECT `file` /* nothing */ -- nothing\n ('/etc/passwd')",
        "SELECT x$$ , file('/etc/passwd') AS y$$",
        "SELECT * FROM file('/etc/passwd', 'LineAsString')",
        "DESCRIBE file('/etc/passwd', 'CSV')",
        "SELECT * FROM url('http://127.0.0.1:1/', 'CSV')",
        "SELECT 1 SETTINGS readonly = 0",
    ],
)
def test_who_has_no_key_reads_and_nothing_else(table: Client, analyst: Client, query: str) -> None:
    with pytest.raises(DatabaseError) as refused:
        analyst.command(query.replace("front.", f"{DATABASE}."))
    assert refused.value.code in (164, 497, 47)
    assert analyst.query(f"SELECT count(), 'file(' FROM {TABLE}").first_row == (0, "file(")


def test_long_queries_hold_up_no_insert(table: Client, url: str) -> None:
    stop = threading.Event()

    def long() -> None:
        client = client_of(without_key(url))
        while not stop.is_set():
            client.query("SELECT count() FROM numbers(300000000) WHERE number % 7 = 3")
        client.close()

    readers = [threading.Thread(target=long) for _ in range(6)]
    for reader in readers:
        reader.start()
    began = time.monotonic()
    try:
        table.insert(TABLE, [[1, "x"]], ["a", "s"])
    finally:
        stop.set()
        for reader in readers:
            reader.join()
    assert time.monotonic() - began < 60
    assert table.query(f"SELECT count() FROM {TABLE}").first_row == (1,)


def test_where_the_data_of_an_insert_begin() -> None:
    insert = insert_with_data("INSERT INTO `a b`.t (x, y) SETTINGS z = 'FORMAT' FORMAT Native \n\1\2")
    assert insert is not None
    assert insert.reading("/p") == "INSERT INTO `a b`.t (x, y)  FROM INFILE '/p' SETTINGS z = 'FORMAT'  FORMAT Native"
    assert "INSERT INTO `a b`.t (x, y) SETTINGS z = 'FORMAT' FORMAT Native \n\1\2"[insert.data_from :] == "\1\2"
    assert insert_with_data("INSERT INTO t SELECT 1") is None
    assert insert_with_data("SELECT 'INSERT INTO t FORMAT CSV'") is None
    check("SELECT 'a;b', \"c;d\" /* ; */ -- ;\n;", ())
    with pytest.raises(Refused):
        check("SELECT ‘file(’, file ('x')", {"file"})
