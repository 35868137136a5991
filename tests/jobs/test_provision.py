"""Provisioning, on a real Kafka and a real Cassandra."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest
from typer.testing import CliRunner

from jobs.cli import app
from jobs.provision import Provisioned, provision
from schemas.events import TOPICS
from sinks.cassandra import Cassandra, KeyspaceMissing
from sinks.errors import StoreAway
from sinks.generations import TOPIC as GENERATIONS
from sinks.object_store import MARK
from sinks.settings import Settings
from sinks.topics import Topics
from sinks.view_tables import view_tables
from tests.sinks.topic_worlds import remove_topics


async def _tables(settings: Settings, drop: bool = False) -> set[str]:
    async with await Cassandra.connect(settings) as cassandra:
        rows = await cassandra.execute(
            "SELECT table_name FROM system_schema.tables WHERE keyspace_name = ?", (settings.cassandra_keyspace,)
        )
        if drop:
            await cassandra.change_schema(f"DROP KEYSPACE {settings.cassandra_keyspace}")
    return {row.table_name for row in rows}


def test_provision_is_idempotent_and_a_dry_run_does_nothing(settings: Settings, tmp_path: Path) -> None:
    pictures = tmp_path / "pictures"
    settings = settings.model_copy(update={"partitions": 2, "media_root": pictures, "s3_endpoint": None})
    topics = [*TOPICS, *(f"{topic}.dlq" for topic in TOPICS), GENERATIONS]
    try:
        would = provision(settings, dry_run=True)
        assert would == Provisioned(topics, True)
        assert would.lines(dry_run=True)[0] == "would make topic accounts"
        assert not pictures.exists()
        with pytest.raises(KeyspaceMissing):
            asyncio.run(_tables(settings))
        assert provision(settings) == Provisioned(topics, True)
        assert {*view_tables(1), "person_keys", "fences", "usernames"} <= asyncio.run(_tables(settings))
        ids = Topics(settings).ids()
        (pictures / MARK).rmdir()
        again = provision(settings)
        assert again == Provisioned([], False) == provision(settings, dry_run=True)
        assert again.lines(dry_run=False) == ["everything is there"]
        assert Topics(settings).ids() == ids
        assert not any(pictures.iterdir()), "the store of a world that has lived is not made anew: it can be away"
    finally:
        remove_topics(settings)
        asyncio.run(_tables(settings, drop=True))


def test_what_is_wrong_is_said_on_the_command_line(monkeypatch: pytest.MonkeyPatch) -> None:
    def away(settings: Settings, dry_run: bool) -> Provisioned:
        raise StoreAway("Kafka: away")

    monkeypatch.setattr("jobs.provision.provision", away)
    result = CliRunner().invoke(app, ["provision"])
    assert result.exit_code == 1
    assert result.stderr == "shutterlog: Kafka: away\n"
