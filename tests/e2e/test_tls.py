"""A guarded stack, whole: strangers are refused by every store, and all that ours do goes on.

By hand, since it starts a stack of its own and takes minutes: ``SHUTTERLOG_TEST_TLS=1 pytest tests/e2e/test_tls.py``.
"""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx
import pytest

from jobs.services import addresses, probes
from jobs.services.guard import USER
from jobs.services.home import Home, read_json
from sinks.clickhouse import ClickHouse, Unanswerable
from sinks.errors import StoreAway
from sinks.settings import Settings
from tests.e2e.conftest import Product
from tests.e2e.test_photo_to_feed import snapshot

pytestmark = pytest.mark.skipif("SHUTTERLOG_TEST_TLS" not in os.environ, reason="minutes: set SHUTTERLOG_TEST_TLS=1")

SECONDS = 600.0
GIVEN = {"PARTITIONS": "2", "BUCKETS": "2", "SESSION_TIMEOUT_MS": "6000"}
UP = ("up", "--free-ports", "--no-demo")
Command = Callable[..., str]


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Home:
    return Home.at(tmp_path_factory.mktemp("guarded"))


@pytest.fixture(scope="module")
def shutterlog(home: Home) -> Iterator[Command]:
    """The command line of that home, which has to end well; what it says."""
    stores = {variable for name, variable in addresses.ENVIRONMENT.items() if name != "api"}
    environment = {name: value for name, value in os.environ.items() if name not in stores}
    environment |= {**GIVEN, "SHUTTERLOG_HOME": str(home.root)}

    def run(*words: str) -> str:
        command = [sys.executable, "-m", "jobs.cli", *words]
        answer = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=SECONDS, check=False)
        assert answer.returncode == 0, f"{words}: {answer.stdout[-2000:]}{answer.stderr[-4000:]}"
        return answer.stdout

    try:
        run(*UP, "--tls")
        yield run
    finally:
        run("down")


@pytest.fixture
def settings(home: Home, shutterlog: Command) -> Settings:
    return Settings(shutterlog_home=home.root)


def well(name: str, settings: Settings, **changes: object) -> bool:
    probe, _ = probes.of(name, settings.model_copy(update=changes), settings.shutterlog_home)
    assert probe is not None
    return probes.finding(probe)[0]


def test_strangers_are_refused_by_kafka_cassandra_and_redis(settings: Settings) -> None:
    redis = settings.redis_url
    key, _, place = redis.removeprefix(f"rediss://{USER}:").partition("@")
    strangers = {
        "kafka": (
            {"kafka_security": "plaintext"},
            {"kafka_security": "ssl"},
            {"stores_ca": None},
            {"kafka_key": "wrong"},
            {"kafka_user": "nora"},
        ),
        "cassandra": (
            {"cassandra_tls": False},
            {"stores_ca": None},
            {"cassandra_key": "wrong"},
            {"cassandra_user": "cassandra", "cassandra_key": "cassandra"},
        ),
        "redis": (
            {"redis_url": redis.replace("rediss:", "redis:").partition("?")[0]},
            {"redis_url": redis.partition("?")[0]},
            {"redis_url": redis.replace(key, "wrong")},
            {"redis_url": f"rediss://{place}"},
            {"redis_url": f"rediss://:{key}@{place}"},
        ),
    }
    for store, all_changes in strangers.items():
        assert well(store, settings)
        for changes in all_changes:
            assert not well(store, settings, **changes), f"{store} with {sorted(changes)}"


async def test_strangers_are_refused_by_clickhouse(settings: Settings) -> None:
    async with await ClickHouse.connect(settings) as ours:
        assert await ours.query("SELECT 1") == [(1,)]
    for changes in ({"clickhouse_key": "wrong"}, {"clickhouse_user": "default", "clickhouse_key": ""}):
        with pytest.raises(Unanswerable):
            await ClickHouse.connect(settings.model_copy(update=changes))
    for away in ({"clickhouse_url": settings.clickhouse_url.replace("https:", "http:")}, {"stores_ca": None}):
        with pytest.raises(StoreAway):
            await ClickHouse.connect(settings.model_copy(update=away))


async def test_a_photo_goes_to_the_followers_feed(settings: Settings) -> None:
    async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{settings.api_port}", timeout=60) as client:
        product = Product(settings, client)
        ada, bob = await product.register("ada", "Ada"), await product.register("bob", "Bob")
        await bob.follow(ada)
        (post,) = await bob.sees(await ada.post(snapshot(0), "In secret"))
        assert post["caption"] == "In secret"
        ready = await client.get("/readyz")
        assert (ready.status_code, set(ready.json()["stores"].values())) == (200, {True})


async def test_every_job_does_its_work_and_nothing_says_a_key(
    shutterlog: Command, home: Home, settings: Settings, tmp_path: Path
) -> None:
    said = [
        await asyncio.to_thread(shutterlog, *words)
        for words in (
            ("verify",),
            ("replay", "home_feed"),
            ("backup", str(tmp_path / "log"), "--keys", str(tmp_path / "keys")),
            ("status",),
            ("tail", "posts"),
            ("views", "status"),
        )
    ]
    assert f"rediss://127.0.0.1:{read_json(home.run / 'stack.json')['ports']['redis']}/0" in said[3]
    keys = read_json(home.secrets_file)
    for text in (*said, *(log.read_text(errors="replace") for log in home.logs.iterdir() if log.is_file())):
        assert not [name for name, key in keys.items() if key in text]


def test_it_stays_guarded_and_is_the_same_after_a_restart(shutterlog: Command, home: Home, settings: Settings) -> None:
    before = shutterlog("tail", "accounts")
    shutterlog("down")
    shutterlog(*UP, "--services-only")
    again = Settings(shutterlog_home=home.root)

    # Ports may be others; user, key and CA are kept.
    place = {"bootstrap.servers": ""}
    assert again.kafka_client | place == settings.kafka_client | place
    assert again.kafka_security == "sasl_ssl"
    assert shutterlog("tail", "accounts") == before
