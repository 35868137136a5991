"""`shutterlog dlq`: what it lists, shows, redrives and purges; that nothing good is ever produced twice."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import pytest

from jobs.dlq import BadRequest, address_of, hex_dump, plain, time_of
from schemas.codec import encode
from schemas.readable import fields_of
from sinks.settings import Settings
from tests.jobs.dlq_worlds import ADA, BOB, DlqWorld, followed, json_lines, objects
from tests.sinks.topic_worlds import provisioned

KEY = b"%d" % BOB


@pytest.fixture
def world(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> Iterator[DlqWorld]:
    settings = settings.model_copy(update={"partitions": 1})
    with provisioned(settings):
        yield DlqWorld(settings, monkeypatch)


def repair(offset: int, **said: Any) -> dict[str, Any]:
    """A line that repairs a record of ``graph``."""
    return {"topic": "graph", "partition": 0, "offset": offset} | said


def test_addresses_and_times_are_read_or_refused() -> None:
    assert str(address_of("graph-3@17")) == "graph-3@17"
    for wrong in ("graph-3", "graph@17", "graph-3@x", "grph-3@17"):
        with pytest.raises(BadRequest, match="graph"):
            address_of(wrong)
    now = datetime(2026, 11, 21, 8, 0, tzinfo=UTC)
    ms = int(now.timestamp() * 1000)
    assert time_of("2026-11-21T08:00", now) == time_of("2026-11-21T10:00+02:00", now) == ms
    assert [time_of(age, now) for age in ("30s", "90m", "2h", "1d")] == [
        ms - 1000 * seconds for seconds in (30, 5400, 7200, 86400)
    ]
    with pytest.raises(BadRequest, match="90m"):
        time_of("yesterday", now)


def test_what_a_terminal_would_obey_is_shown_instead() -> None:
    assert plain("a\x1b[31mb\nc é") == "a\\x1b[31mb\\x0ac é"
    assert list(hex_dump(b"ab\xff" + b"0" * 14)) == [
        "000000  61 62 ff 30 30 30 30 30 30 30 30 30 30 30 30 30  ab.0000000000000",
        "000010  30                                               0",
    ]


def test_letters_are_listed_and_filtered(world: DlqWorld) -> None:
    assert world.names() == []
    garbage = world.bury("graph", KEY, b"garbage", "the first byte is 103, not 0", times=2)
    refused = world.bury_event(followed(BOB, BOB), "cannot follow themselves", "follows")
    posts = world.bury("posts", None, None, "the record has no value")

    assert world.names() == [str(garbage), str(refused), str(posts)]
    first, second, third = world.listed()
    assert first.pop("first_seen") <= first.pop("last_seen")
    assert first == {
        "topic": "graph",
        "partition": 0,
        "offset": 0,
        "view": None,
        "kind": "undecodable",
        "error": "the first byte is 103, not 0",
        "tries": 2,
        "key_size": len(KEY),
        "value_size": 7,
        "resolved": None,
    }
    assert (second["view"], second["kind"]) == ("follows", "refused")
    assert (third["key_size"], third["value_size"]) == (-1, -1)
    for words, expected in (
        (("--topic", "posts"), [posts]),
        (("--view", "follows"), [refused]),
        (("--kind", "undecodable"), [garbage, posts]),
        (("--error", "FIRST BYTE"), [garbage]),
        (("--since", "1h"), [garbage, refused, posts]),
        (("--until", "1h"), []),
        ((garbage, posts), [garbage, posts]),
        (("--limit", 1), [garbage]),
        (("--kind", "refused", "--topic", "posts"), []),
    ):
        assert world.names(*words) == [str(one) for one in expected], words

    table = world.run("list", "--limit", 2)
    assert "the first byte is 103, not 0" in table.stdout and "everybody" in table.stdout
    assert "3 letters, 1 more not shown" in table.stderr
    assert "there are accounts, graph" in world.run("list", "--topic", "grph").stderr
    assert world.run("list", "--kind", "odd").exit_code == 1


def test_a_letter_is_shown_in_full(world: DlqWorld) -> None:
    garbage = world.bury("graph", KEY, b"garbage\x1b[2J", "bad")
    event = followed(BOB, BOB)
    refused = world.bury_event(event, "cannot", "follows")
    (shown,) = objects(world.run("show", garbage, "--json"))
    assert base64.b64decode(shown["value"]) == b"garbage\x1b[2J" and base64.b64decode(shown["key"]) == KEY
    assert (shown["type"], shown["event"], shown["stack"]) == (None, None, "")
    (shown,) = objects(world.run("show", refused, "--view", "follows", "--json"))
    assert (shown["type"], shown["event"]) == ("Followed", fields_of(event))
    assert shown["stack"] == "Traceback\n  a bug"

    text = world.run("show", garbage, refused).stdout
    assert "67 61 72 62 61 67 65 1b" in text and "\x1b" not in text
    assert f"follower_id    {BOB}" in text and "a bug" in text
    for words in (["graph-0@99"], [refused, "--view", "posts"], []):
        failed = world.run("show", *words)
        assert failed.exit_code == 1 and "dlq list" in failed.stderr


def test_what_can_be_decoded_now_is_appended_once_and_the_rest_is_left(world: DlqWorld) -> None:
    # The build that met it did not know its schema; this one does.
    newer = world.bury_event(followed(), "schema id 99 is not in the lock")
    garbage = world.bury("graph", KEY, b"garbage", "bad")
    refused = world.bury_event(followed(BOB, BOB), "cannot", "home_feed")
    emitter = world.bury("media", KEY, b"x", "cannot", "media")

    dry = objects(world.run("redrive", "--dry-run", "--json"))
    assert [one["outcome"] for one in dry] == ["would_redrive", "left", "left", "left"]
    assert len(world.log("graph")) == 3

    done = world.run("redrive", "--json")
    assert done.exit_code == 1  # something was left
    outcomes = {one["offset"]: one for one in objects(done) if one["topic"] == "graph"}
    assert outcomes[newer.offset]["outcome"] == "redriven"
    assert "cannot decode it either: the first byte" in outcomes[garbage.offset]["why"]
    assert "shutterlog replay home_feed" in outcomes[refused.offset]["why"]
    (odd,) = [one for one in objects(done) if one["topic"] == "media"]
    assert odd["offset"] == emitter.offset and "consumer group media" in odd["why"]

    *before, repaired = world.log("graph")
    assert len(before) == 3
    assert (repaired.key(), repaired.value()) == (KEY, newer.value)
    assert repaired.headers() == [("repairs", str(newer).encode())]
    assert outcomes[newer.offset]["by"] == f"graph-0@{repaired.offset()}"

    assert str(newer) not in world.names()
    (listed,) = world.listed(newer, "--resolved")
    assert listed["resolved"]["how"] == "redriven" and listed["resolved"]["by"] == f"graph-0@{repaired.offset()}"
    again = objects(world.run("redrive", "--json"))
    assert [one["outcome"] for one in again] == ["left"] * 3
    assert len(world.log("graph")) == 4


def test_show_is_repaired_by_a_program_and_redriven(world: DlqWorld) -> None:
    one, two = [world.bury("graph", KEY, b"garbage", "bad") for _ in range(2)]
    shown = objects(world.run("show", "--from", "-", "--json", given=world.run("list", "--json").stdout))
    assert [line["offset"] for line in shown] == [one.offset, two.offset]
    event = followed()
    shown[0] |= {"type": "Followed", "event": fields_of(event)}
    shown[1] |= {"value": base64.b64encode(encode(followed(ADA, BOB))).decode()}
    dry = world.run("redrive", "--from", "-", "--dry-run", "--json", given=json_lines(shown))
    assert [line["outcome"] for line in objects(dry)] == ["would_redrive"] * 2
    assert len(world.log("graph")) == 2

    done = world.run("redrive", "--from", "-", given=json_lines(shown))
    assert done.exit_code == 0, done.stderr
    assert "2 redriven, 0 left" in done.stderr
    repaired = world.log("graph")[2:]
    assert [message.value() for message in repaired] == [encode(event)] * 2
    assert [message.key() for message in repaired] == [KEY] * 2
    assert world.names() == []

    again = world.run("redrive", "--from", "-", given=json_lines(shown))
    assert again.exit_code == 1
    assert f"line 1: {one} is redriven as graph-0@2 already" in again.stderr
    assert len(world.log("graph")) == 4


def test_one_bad_line_keeps_all_back_and_each_is_named(world: DlqWorld) -> None:
    for _ in range(3):
        world.bury("graph", KEY, b"garbage", "bad")
    world.bury_event(followed(BOB, BOB), "cannot", "follows")
    good = repair(0, type="Followed", event=fields_of(followed()))
    fields = fields_of(followed())
    for line, reason in (
        ("{not json", "this is no JSON"),
        ("[1]", "a line is one JSON object"),
        (json.dumps({"topic": "graph", "partition": 0}), "its offset is missing"),
        (json.dumps({"topic": "grph", "partition": 0, "offset": 1}), "there is no topic 'grph'"),
        (json.dumps(good), "graph-0@0 stands in line 1 already"),
        (json.dumps(repair(9, type="Followed", event=fields)), "there is no letter graph-0@9"),
        (json.dumps(repair(1)), 'it says no event: give "type" and "event"'),
        (json.dumps(repair(1, type="Followd", event=fields)), "there is no event 'Followd'"),
        (json.dumps(repair(1, type="Followed", event=fields | {"x": 1})), "Followed has no field x"),
        (json.dumps(repair(1, type="Followed", event=fields | {"followee_id": "1"})), "an id is out of range"),
        (json.dumps(repair(1, value="???")), '"value" is no base64'),
        (json.dumps(repair(1, value="AAAA")), "too few for an event"),
        (json.dumps(repair(3, type="Followed", event=fields)), "run `shutterlog replay follows`"),
        (
            json.dumps(
                repair(1, type="PostDeleted")
                | {"event": {"event_id": ADA, "at": 1, "actor_id": ADA, "post_id": ADA, "author_id": ADA}}
            ),
            "a PostDeleted belongs into posts, not into graph",
        ),
    ):
        result = world.run("redrive", "--from", "-", given=json.dumps(good) + "\n\n" + line + "\n")
        assert result.exit_code == 1, line
        assert "line 3: " in result.stderr and reason in result.stderr, (line, result.stderr)
        assert "nothing was written" in result.stderr
    assert len(world.log("graph")) == 4
    assert len(world.names()) == 4
    assert "leave out the filters" in world.run("redrive", "--from", "-", "--topic", "graph", given="").stderr


def test_a_purge_says_so_and_deletes_only_when_told(world: DlqWorld) -> None:
    one, two, three = [world.bury("graph", KEY, b"garbage", error) for error in ("a", "b", "a")]
    assert "--all means every letter" in world.run("purge", "--yes").stderr
    dry = world.run("purge", "--error", "a", "--delete", "--dry-run", "--json")
    assert [line["outcome"] for line in objects(dry)] == ["would_purge"] * 2
    assert "1 records would be deleted" in dry.stderr
    declined = world.run("purge", "--error", "a", given="n\n")
    assert declined.exit_code == 1 and "Purge 2 letters?" in declined.stderr
    assert len(world.names()) == 3

    assert world.run("purge", "--error", "a", given="y\n").exit_code == 0
    assert world.names() == [str(two)]
    assert world.names("--resolved") == [str(one), str(two), str(three)]
    assert len(world.log("graph")) == 3  # the log keeps what it holds

    lines = world.run("list", "--json").stdout
    assert "say --yes" in world.run("purge", "--from", "-", given=lines).stderr
    assert "there is no letter" in world.run("purge", "--from", "-", "--yes", given=lines.replace("1", "7")).stderr
    assert world.run("purge", "--from", "-", "--yes", given=lines).exit_code == 0
    assert world.names() == []
    deleted = world.run("purge", "--delete", "--yes")
    assert deleted.exit_code == 0 and "records deleted" in deleted.stderr
    assert world.names("--resolved") == []
    assert world.run("redrive", one).exit_code == 0
    assert len(world.log("graph")) == 3
