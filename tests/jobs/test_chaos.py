"""The parts of chaos that need no stack: the plan, the ledger and its check, the links, the report and its page."""

from __future__ import annotations

import asyncio
import json
import os
import random
import signal
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from xml.etree import ElementTree

import pytest
from typer.testing import CliRunner

from jobs import chaos_guard, chaos_strike
from jobs.chaos import Wishes, _Run
from jobs.chaos_deeds import DEEDS, NEED_POSTS, OFTEN
from jobs.chaos_ledger import Entry, Ledger, LedgerCheck
from jobs.chaos_links import Link
from jobs.chaos_page import page, timeline
from jobs.chaos_plan import CLUSTER_KINDS, KINDS, NAMES, Fault, plan
from jobs.chaos_poison import spoiled
from jobs.chaos_report import MANY, ChaosReport, Injected
from jobs.chaos_stack import ChaosStack
from jobs.cli import app
from jobs.services import pids
from jobs.services.home import Home
from schemas.codec import Undecodable, decode_record
from schemas.events import Event, Followed, PostLiked
from streams.records import TopicPartition
from tests.agents.workers import ROOT, until

AT = 1_700_000_000_000
GRAPH = TopicPartition("graph", 3)


# -- the plan ---------------------------------------------------------------------------------------------------------


def test_a_seed_gives_one_plan() -> None:
    assert plan(10, 1) == plan(10, 1)
    assert plan(10, 1) != plan(10, 2)


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_ten_minutes_have_every_kind_of_fault(seed: int) -> None:
    faults = plan(10, seed)
    assert {fault.name for fault in faults} == set(NAMES)
    assert [fault.number for fault in faults] == list(range(50))
    kinds = {kind.name: kind for kind in KINDS}
    assert all(kinds[fault.name].least <= fault.seconds <= kinds[fault.name].most for fault in faults)


def test_clusters_have_faults_of_their_own() -> None:
    faults = plan(5, 1, clusters=True)
    assert {fault.name for fault in faults} == {kind.name for kind in CLUSTER_KINDS}
    assert faults == plan(5, 1, clusters=True)
    with pytest.raises(ValueError, match="there is no fault flush redis"):
        plan(1, 1, ["flush redis"], clusters=True)


def test_a_plan_of_some_kinds_has_no_others() -> None:
    assert {fault.name for fault in plan(1, 1, ["kill redis", "flush redis"])} == {"kill redis", "flush redis"}
    with pytest.raises(ValueError, match="there is no fault eat redis"):
        plan(1, 1, ["eat redis"])
    with pytest.raises(ValueError, match="some minutes"):
        plan(0, 1)


def test_the_command_line_prints_the_plan() -> None:
    answer = CliRunner().invoke(app, ["chaos", "--minutes", "1", "--seed", "7", "--dry-run"])
    assert answer.exit_code == 0
    printed = [" ".join(line.split()[1:3]) for line in answer.stdout.splitlines()]
    assert printed == [fault.name for fault in plan(1, 7)]
    wrong = CliRunner().invoke(app, ["chaos", "--only", "eat redis", "--dry-run"])
    assert wrong.exit_code == 1
    assert "there is no fault eat redis" in wrong.stderr


# -- the ledger -------------------------------------------------------------------------------------------------------


def follow(one: int, other: int) -> Followed:
    return Followed(event_id=one * 100 + other, at=AT, actor_id=one, follower_id=one, followee_id=other)


def entry(event: Followed, token: str) -> Entry:
    return Entry(1.0, "Followed", {"follower_id": event.follower_id, "followee_id": event.followee_id}, token)


LOG: list[Event] = [follow(1, 2), follow(1, 3), follow(2, 3)]


def lost(entries: list[Entry], log: list[Event]) -> list[str]:
    check = LedgerCheck(entries)
    for offset, event in enumerate(log):
        check.take(GRAPH, offset, AT, event)
    return check.lost()


def test_what_was_acknowledged_and_is_in_the_log_is_not_lost() -> None:
    entries = [entry(event, f"graph-3-{offset}") for offset, event in enumerate(LOG) if isinstance(event, Followed)]
    assert lost(entries, LOG) == []
    # Answered twice for the same request, the second time without a place.
    assert lost([*entries, entry(follow(1, 3), "")], LOG) == []


def test_an_acknowledged_write_that_was_dropped_is_found() -> None:
    entries = [entry(event, f"graph-3-{offset}") for offset, event in enumerate(LOG) if isinstance(event, Followed)]
    (found,) = lost(entries, LOG[:2])
    assert found == "Followed follower_id=2 followee_id=3, acknowledged at 1.0 s as graph-3-2: not in the log"
    (found,) = lost([entry(follow(7, 8), "")], LOG)
    assert "follower_id=7 followee_id=8, acknowledged at 1.0 s as done before: not in the log" in found


def test_something_else_in_its_place_is_as_bad() -> None:
    entries = [entry(follow(1, 2), "graph-3-0")]
    base: dict[str, Any] = {"event_id": 9, "at": AT, "actor_id": 1}
    for other in (follow(1, 3), PostLiked(**base, post_id=4, author_id=5)):
        (found,) = lost(entries, [other])
        assert f"there stands a {type(other).__name__} of another kind or person" in found


def test_a_repeated_request_that_made_two_things_is_noted() -> None:
    ledger = Ledger()
    made = Entry(0.0, "CommentAdded", {"comment_id": 5}, "engagement-0-1")
    ledger.note(made, "key-1", 5)
    ledger.note(made, "key-1", 5)
    ledger.note(made, "key-2", 6)
    assert ledger.doubled == []
    ledger.note(made, "key-1", 7)
    assert ledger.doubled == ["key-1 was answered with 5, and later with 7"]
    assert ledger.by_event() == {"CommentAdded": 4}


# -- poison -----------------------------------------------------------------------------------------------------------


def test_nobody_can_decode_what_is_spoiled() -> None:
    chance = random.Random(1)
    for number in range(10):
        key, value = spoiled(number, chance, AT)
        with pytest.raises(Undecodable):
            decode_record("graph", key, value)


# -- links ------------------------------------------------------------------------------------------------------------


async def echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while said := await reader.read(100):
        writer.write(said)
    writer.close()


async def ask(port: int, said: bytes, seconds: float = 5.0) -> bytes:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        async with asyncio.timeout(seconds):
            writer.write(said)
            return await reader.read(100)
    finally:
        writer.close()


async def test_a_link_carries_breaks_holds_and_slows() -> None:
    server = await asyncio.start_server(echo, "127.0.0.1", 0)
    async with server, Link("echo", server.sockets[0].getsockname()[1]) as link:
        reader, writer = await asyncio.open_connection("127.0.0.1", link.port)
        writer.write(b"one")
        assert await reader.read(100) == b"one"

        link.silence()
        writer.write(b"two")
        answer = asyncio.ensure_future(reader.read(100))

        async def held() -> bool:
            return link.held > 0

        await until("the link holds it back", held)
        assert not answer.done()
        link.restore()
        assert await answer == b"two", "nothing is lost in silence"

        link.slow(0.01)
        writer.write(b"three")
        assert await reader.read(100) == b"three"
        assert link.delayed == 2

        link.cut()
        with pytest.raises(ConnectionError):
            if not await reader.read(100):
                raise ConnectionError
        writer.close()
        assert link.severed == 1
        with pytest.raises(ConnectionError):
            if not await ask(link.port, b"four"):
                raise ConnectionError
        assert link.refused == 1
        link.restore()
        assert await ask(link.port, b"five") == b"five"


# -- the load ---------------------------------------------------------------------------------------------------------


def test_every_deed_is_done() -> None:
    assert OFTEN.keys() == DEEDS.keys() > NEED_POSTS
    assert chaos_strike.DEEDS.keys() < DEEDS.keys()


# -- the report -------------------------------------------------------------------------------------------------------


def report(**other: Any) -> ChaosReport:
    """A run in which all went well."""
    first, second, third = (Injected(Fault(n, "kill", "redis", 0.0, 1.0, 5)) for n in range(3))
    first.began, first.lifted, first.recovered, first.fired, first.proof = 1.0, 1.5, 3.5, True, "<gone>"
    second.began, second.lifted, second.recovered, second.fired = 5.0, 6.0, 10.0, True
    third.skipped, third.proof = True, "not permitted here"
    well: dict[str, Any] = {"acknowledged": 9, "differences": 0, "seconds": 12.0, "faults": [first, second, third]}
    well["allow_skipped"] = True
    well["views"] = {"likes": {"checked": 4, "differences": 0}}
    return ChaosReport(1.0, 7, **{**well, **other})


def test_a_good_run_is_well() -> None:
    found = report()
    assert found.problems() == [] and found.well
    told = json.loads(json.dumps(found.to_json()))
    assert (told["lost"], told["differences"], told["faults_fired"], told["faults_skipped"]) == (0, 0, 2, 1)
    assert (told["median_recovery_seconds"], told["worst_recovery_seconds"]) == (3.0, 4.0)
    assert told["by_fault"]["kill redis"] == {
        "planned": 3,
        "fired": 2,
        "skipped": 1,
        "median_recovery_seconds": 3.0,
        "worst_recovery_seconds": 4.0,
    }


@pytest.mark.parametrize(
    ("wrong", "why"),
    [
        ({"lost": ["a like"]}, "1 acknowledged writes are lost"),
        ({"differences": 2}, "2 differences between views and log"),
        ({"differences": None}, "the views were not verified"),
        ({"doubled": ["a key"]}, "1 repeated requests were done twice"),
        ({"stale": ["a read"]}, "1 reads did not show"),
        ({"undecodable": 3, "poisoned": 5}, "3 records cannot be decoded, and 5 were made so"),
        ({"acknowledged": 0}, "nothing was acknowledged"),
        (
            {"acknowledged": MANY, "views": {"saves": {"checked": 0, "differences": 0}}},
            "saves was never put to the test",
        ),
        ({"allow_skipped": False}, "kill redis (number 2) was skipped: not permitted here"),
        ({"failure": "it fell over"}, "it fell over"),
        ({"faults": [Injected(Fault(0, "kill", "redis", 0.0, 1.0, 5), proof="too late")]}, "did not fire: too late"),
        ({"faults": [Injected(Fault(0, "kill", "api", 0, 1, 5), 1.0, 2.0, fired=True)]}, "was not recovered from"),
    ],
)
def test_anything_wrong_is_a_problem(wrong: dict[str, Any], why: str) -> None:
    found = report(**wrong)
    assert not found.well
    assert any(why in problem for problem in found.problems()), found.problems()
    assert any(why in line for line in found.text())
    assert why in page(found, [])


def test_the_page_stands_alone_and_shows_each_fault() -> None:
    ticks = [(0.5, "acknowledged"), (0.7, "acknowledged"), (6.1, "refused"), (7.0, "read")]
    shown = page(report(), ticks)
    assert "http" not in shown.replace("http://www.w3.org/2000/svg", "")
    assert "&lt;gone&gt;" in shown and "<gone>" not in shown
    assert "All as promised." in shown
    drawn = ElementTree.fromstring(timeline(report(), ticks))  # noqa: S314 - our own
    bars = [one for one in drawn if one.tag.endswith("rect")]
    assert len(bars) == 4, "two faults, and how long each took to recover from"
    assert len([one for one in drawn if one.tag.endswith("polyline")]) == 3


# -- the end ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kept", [False, True])
async def test_of_a_run_that_went_wrong_the_logs_are_left(tmp_path: Path, kept: bool) -> None:
    said: list[str] = []
    stack = ChaosStack(tmp_path / "home", said.append)
    stack.home.create()
    stack.home.log("api").write_text("why")
    (stack.home.root / "secrets.json").write_text("{}")
    stack.keeps_logs = kept
    stack.remove()
    assert [str(path.relative_to(tmp_path)) for path in tmp_path.rglob("*") if path.is_file()] == (
        ["home/logs/api.log"] if kept else []
    )
    assert stack.home.root.exists() is kept and len(said) == kept


@pytest.mark.parametrize("killed", [True, False])
async def test_what_a_killed_run_leaves_is_ended(tmp_path: Path, killed: bool) -> None:
    home = Home.at(tmp_path / "home")
    home.create()
    marked = {**os.environ, "SHUTTERLOG_HOME": str(home.root), pids.MARK: "worker"}
    sleeper = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"], env=marked)
    guard = subprocess.Popen([sys.executable, "-m", chaos_guard.__name__, str(home.root)], stdin=-1, cwd=ROOT)
    try:
        sleeper.send_signal(signal.SIGSTOP)  # frozen ones are ended, too
        await asyncio.to_thread(guard.communicate, b"" if killed else chaos_guard.DONE, 60)
        assert guard.returncode == 0
        if killed:
            assert sleeper.wait(10) != 0
        else:
            assert sleeper.poll() is None, "whoever says that it is done has ended everything itself"
        assert home.root.exists() is not killed
    finally:
        sleeper.kill()
        sleeper.wait()
        guard.kill()
        guard.wait()


async def test_a_run_that_breaks_off_has_a_report(tmp_path: Path) -> None:
    """Chaos itself may fail after fifty minutes: what it did until then is judged, and the run is not well."""
    said: list[str] = []
    run = _Run(Wishes(1.0, 1, tmp_path / "home"), [Fault(0, "kill", "worker", 0.0, 0.0, 1)] * 2, said.append)

    async def save_redis() -> None:
        raise FileNotFoundError("appendonly.aof.3.incr.aof")

    nobody: Any = SimpleNamespace(save_redis=save_redis, seconds=0.0)
    await run._break(nobody, nobody, nobody)
    assert run._report.problems()[0] == "broken off: FileNotFoundError: appendonly.aof.3.incr.aof"
    assert len(said) == 1 and "Traceback" in said[0], "once, with the place"
