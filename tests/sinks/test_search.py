"""Search: rows and index together, whatever is cut off or lost; and what is found in them."""

from __future__ import annotations

import random
import shutil
import zipfile
from pathlib import Path
from typing import Any

import pytest

from schemas.events import (
    AccountDeactivated,
    AccountErased,
    AccountReactivated,
    AccountRegistered,
    BadgeChanged,
    Followed,
    PostDeleted,
    PostEdited,
    PrivacyChanged,
    ProfileChanged,
    Unfollowed,
)
from sinks.errors import FenceBehind, LogRemade, StoreAway
from sinks.search import SearchSink
from sinks.search_index import FOLDER, HASHTAGS, PLACES, Writing
from sinks.search_places import NoPlaces, Places, cities, packaged
from sinks.search_reader import counted
from sinks.search_rows import FILE
from sinks.search_tiers import BEGINS, EXACT, FRIEND, FRIEND_TYPO, ONE_TYPO, TWO_TYPOS, WHOLE_TYPO
from sinks.settings import Settings
from streams.records import Span
from streams.search import SEARCH
from tests.sinks.search_worlds import SearchWorld

ANNA, BEN, ZOE, EVE = 1001, 1002, 1003, 1004
POSTS = [5_000_001, 5_000_002, 5_000_003, 5_000_004]


@pytest.fixture
def world(tmp_path: Path) -> SearchWorld:
    world = SearchWorld(tmp_path / "home")
    world.say(AccountRegistered, ANNA, user_id=ANNA, username="anna.kalo", name="Anna Ünger")
    world.say(AccountRegistered, BEN, user_id=BEN, username="annabel", name="Ben")
    world.say(AccountRegistered, ZOE, user_id=ZOE, username="zoe", name="Zoe Annasdottir")
    world.say(AccountRegistered, EVE, user_id=EVE, username="ann", name="Eve")
    for follower in (BEN, ZOE, EVE, 77, 78):
        world.say(Followed, follower, follower_id=follower, followee_id=ANNA)
    world.say(Followed, 77, follower_id=77, followee_id=ANNA)  # said twice
    world.say(Followed, ANNA, follower_id=ANNA, followee_id=ZOE)
    world.post(ANNA, POSTS[0], "A hut by the sea", ["dusk", "sea"], "Kotor")
    world.post(BEN, POSTS[1], "The SEA again", ["sea"], "Kotor")
    world.post(EVE, POSTS[2], "secret sea", ["hers"], "Her home")
    world.say(PrivacyChanged, EVE, user_id=EVE, private=True)
    return world


async def found(world: SearchWorld, query: str, friends: tuple[int, ...] = (), most: int = 10) -> list[tuple[int, int]]:
    return [(hit.tier, int(hit.key[2:])) for hit in await world.reader().people(query, friends, None, most)]


async def names(world: SearchWorld, kind: str, query: str) -> dict[str, tuple[int, list[int]]]:
    return {hit.key[2:]: counted(hit.said) for hit in await world.reader().names(kind, query, None, 10)}


async def posts(world: SearchWorld, query: str) -> list[int]:
    return [hit.rank for hit in await world.reader().posts(query, None, 10)]


async def test_people_are_found_by_beginnings_and_with_typos(world: SearchWorld) -> None:
    await world.apply(world.sink())
    assert await found(world, "Ann") == [(EXACT, EVE), (BEGINS, ANNA), (BEGINS, ZOE), (BEGINS, BEN)]
    assert await found(world, "ann", (BEN,)) == [(EXACT, EVE), (FRIEND, BEN), (BEGINS, ANNA), (BEGINS, ZOE)]
    assert await found(world, "annakalo") == [(BEGINS, ANNA)]
    assert await found(world, "unger anna") == [(BEGINS, ANNA)]
    assert await found(world, "@anna.k") == [(BEGINS, ANNA)]
    assert await found(world, "anan") == [(WHOLE_TYPO, EVE), (ONE_TYPO, ANNA), (ONE_TYPO, ZOE), (ONE_TYPO, BEN)]
    assert (await found(world, "anmasdotir"))[0] == (TWO_TYPOS, ZOE)
    typed = await found(world, "annabl", (BEN, ZOE))
    assert typed == [(FRIEND_TYPO, BEN)], "whom one follows comes first, and once"
    assert await found(world, "anna unger") == [(EXACT, ANNA)]
    assert await found(world, "xyz") == await found(world, " @ ") == []
    walked, after = [], None
    while page := await world.reader().people("ann", [BEN], after, 1):
        walked.append(int(page[0].key[2:]))
        after = page[0].position
    assert walked == [EVE, BEN, ANNA, ZOE]
    world.say(BadgeChanged, BEN, user_id=BEN, verified=True)
    world.say(ProfileChanged, ZOE, user_id=ZOE, name="Zoe", bio="")
    await world.apply(world.sink())
    assert await found(world, "anna") == [(BEGINS, BEN), (BEGINS, ANNA), (WHOLE_TYPO, EVE)]
    assert await world.reader().followed_by([ANNA, ZOE], [BEN, EVE]) == {ANNA: 2, ZOE: 0}


async def test_what_private_people_and_those_who_went_away_use_is_not_found(world: SearchWorld) -> None:
    sink = world.sink()
    await world.apply(sink)
    assert await names(world, HASHTAGS, "s") == {"sea": (2, [BEN, ANNA])}
    assert await names(world, PLACES, "k") == {"Kotor": (2, [BEN, ANNA])}
    assert await names(world, HASHTAGS, "hers") == await names(world, PLACES, "home") == {}
    assert await posts(world, "sea") == [POSTS[2], POSTS[1], POSTS[0]]  # readers' rules see to who is private
    assert await posts(world, "the se") == [] != await posts(world, "the sea") == [POSTS[1], POSTS[0]]

    world.say(AccountDeactivated, BEN, user_id=BEN)
    world.say(PrivacyChanged, EVE, user_id=EVE, private=False)
    await world.apply(sink)
    assert await names(world, HASHTAGS, "sea") == {"sea": (1, [ANNA])}
    assert await names(world, HASHTAGS, "hers") == {"hers": (1, [EVE])}
    assert await posts(world, "sea") == [POSTS[2], POSTS[0]]
    assert await found(world, "annabel") == []

    world.say(AccountReactivated, BEN, user_id=BEN)
    edit: dict[str, Any] = {"author_id": ANNA, "caption": "A hat", "hashtags": ["hat"], "place": ""}
    world.say(PostEdited, ANNA, post_id=POSTS[0], **edit)
    world.say(PostDeleted, EVE, post_id=POSTS[2], author_id=EVE)
    await world.apply(sink)
    assert await names(world, HASHTAGS, "h") == {"hat": (1, [ANNA])}
    assert await names(world, PLACES, "kotor") == {"Kotor": (1, [BEN])}
    assert await posts(world, "hat") == [POSTS[0]] and await posts(world, "sea") == [POSTS[1]]
    assert await found(world, "annabel") == [(EXACT, BEN)]


async def test_redelivery_with_other_boundaries_changes_nothing(world: SearchWorld) -> None:
    whole = SearchWorld(world.settings.shutterlog_home / "whole")
    whole.log, whole.keys = world.log, world.keys
    await whole.apply(whole.sink())
    rng = random.Random(4)
    for _ in range(2):
        for tp, part in world.log.items():
            at = 0
            while at < len(part):
                end = min(len(part), at + rng.randint(2, 9))
                start = max(0, at - rng.randint(0, 4))
                await world.apply(world.sink(), [one for one in part[start:end] if one.tp == tp])
                at = end
    assert world.everything() == whole.everything() != {}


async def test_a_commit_that_was_cut_off_is_made_up_for(world: SearchWorld, monkeypatch: pytest.MonkeyPatch) -> None:
    sink = world.sink()
    await world.apply(sink)
    world.say(Unfollowed, BEN, follower_id=BEN, followee_id=ANNA)
    world.say(PostDeleted, BEN, post_id=POSTS[1], author_id=BEN)
    held = await sink.fences(list(world.log))
    with monkeypatch.context() as cut, pytest.raises(ZeroDivisionError):
        cut.setattr(Writing, "commit", lambda *_: 1 // 0)
        await world.apply(sink)
    assert await sink.fences(list(world.log)) == held  # the rows have it, the index has not
    assert await posts(world, "sea") == [POSTS[2], POSTS[1], POSTS[0]]
    other = world.sink()
    await other.apply([], {tp: Span(at, at) for tp, at in held.items()})
    assert await posts(world, "sea") == [POSTS[2], POSTS[0]]
    assert await names(world, HASHTAGS, "sea") == {"sea": (1, [ANNA])}
    ends = {tp: part[-1].offset for tp, part in world.log.items()}
    assert await other.fences(list(world.log)) == ends


async def test_what_is_lost_is_noticed(world: SearchWorld) -> None:
    sink = world.sink()
    await world.apply(sink)
    before, ends = world.everything(), {tp: Span(part[-1].offset, part[-1].offset) for tp, part in world.log.items()}

    shutil.rmtree(world.folder / FOLDER)  # the index alone: its rows have it all
    await sink.apply([], ends)
    assert world.everything() == before

    copy = world.folder.with_name("copy")
    shutil.copytree(world.folder / FOLDER, copy)
    world.post(ZOE, POSTS[3], "more sea", ["sea"])
    await world.apply(sink)
    after = world.everything()
    shutil.rmtree(world.folder / FOLDER)
    shutil.copytree(copy, world.folder / FOLDER)  # an older one, put back
    await world.sink().apply([], ends)
    assert world.everything() == after != before

    (world.folder / FILE).unlink()  # the rows: all comes again from the log
    with pytest.raises(FenceBehind) as behind:
        await world.sink().apply([], ends)
    assert set(behind.value.positions.values()) == {-1}
    assert world.everything() == {}
    await world.apply(world.sink())
    assert world.everything() == after

    shutil.rmtree(world.folder)
    with pytest.raises(FenceBehind):
        await sink.apply([], ends)
    with pytest.raises(StoreAway, match="is its agent at work"):
        await SearchWorld(world.settings.shutterlog_home / "none").reader().people("a", [], None, 1)


async def test_another_log_is_refused(world: SearchWorld) -> None:
    await world.apply(world.sink())
    other = SearchSink(world.settings, world.keys, 1, dict.fromkeys(SEARCH.sources, "other"))
    with pytest.raises(LogRemade, match="replay search"):
        await other.fences(list(world.log))


async def test_who_is_erased_is_found_no_more_and_later_is_in_no_file(world: SearchWorld) -> None:
    def segments() -> set[str]:
        """Files that never change; names of letters that follow one another cannot be looked for in them."""
        return {path.name for path in (world.folder / FOLDER).iterdir() if path.stem.isalnum() and path.stem != "meta"}

    world.say(ProfileChanged, BEN, user_id=BEN, name="Quillibrand", bio="")
    sink = world.sink()
    await world.apply(sink)
    assert await found(world, "quillibrand") == [(EXACT, BEN)]
    world.keys.destroyed.add(BEN)
    world.say(AccountErased, BEN, user_id=BEN)
    await world.apply(sink)
    assert await found(world, "quillibrand") == [] and await posts(world, "again") == []
    spans = {tp: Span(part[-1].offset, part[-1].offset) for tp, part in world.log.items()}
    world.now += world.settings.search_purge_seconds - 1
    await sink.apply([], spans)
    left, files = world.everything(), segments()
    assert len(files) > 5
    world.now += 1
    await sink.apply([], spans)
    assert files.isdisjoint(segments()), "a file is left that the erased name is in"
    assert world.everything() == left != {}


GEONAMES = Path(__file__).parents[3] / "shared/data/text/geonames_cities15000.zip"
LINE = "{}\t{}\t{}\t{}\t{}\t{}\tP\tPPL\t{}\t\t01\t\t\t\t{}\t\t10\tEurope/X\t2024-01-01\n"
CITIES = [
    (1, "Kotor", "Kotor", "Cattaro,Котор", 42.42, 18.77, "ME", 5345),
    (2, "Kotorsko", "Kotorsko", "", 44.8, 18.1, "BA", 900),
    (3, "New Kotor City", "New Kotor City", "Neu-Cattaro", 42.5, 18.8, "ME", 10),
    (4, "Taveuni", "Taveuni", "", -16.8, 179.9, "FJ", 9000),
    (5, "Rabi", "Rabi", "", -16.5, -179.9, "FJ", 5000),
]


async def test_places_of_a_file_are_found_by_any_name_and_near(world: SearchWorld, tmp_path: Path) -> None:
    file = tmp_path / "places.zip"
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr("places.txt", "".join(LINE.format(*city) for city in CITIES))
    await world.apply(world.sink())
    world.settings = Settings(shutterlog_home=world.settings.shutterlog_home, places_file=file)
    await world.sink().apply([], {})
    reader = world.reader()

    async def keys(query: str) -> list[str]:
        return [hit.key for hit in await reader.names(PLACES, query, None, 10)]

    assert await keys("kotor") == ["g:1", "g:2", "g:3"]  # what posts call so is found as the city
    assert await keys("котор") == await keys("cattaro") == ["g:1"]
    assert await keys("cattoro") == ["g:1"]
    assert await keys("new kotor") == ["g:3"]
    assert await reader.said(["l:Kotor"]) == {"l:Kotor": "[2, 1002, 1001]"}
    assert await reader.located(["g:1", "g:9"]) == {"g:1": (42.42, 18.77)}
    assert [round(one.km) for one in await reader.near(42.42, 18.77, 50)] == [0, 9]
    assert [round(one.km) for one in await reader.near(-16.7, 180, 60)] == [15, 25]
    assert len(await reader.near(42.42, 18.77, 500)) == 3 and len(await reader.near(42.42, 18.77, 500, "kotor")) == 3
    assert len(await reader.near(90, 0, 100)) == 0 and await reader.near(0, 0, 10, "@") == []
    world.settings = Settings(shutterlog_home=world.settings.shutterlog_home)
    await world.sink().apply([], {})
    reader = world.reader()  # another one looks again after a while only
    assert await keys("cattaro") == [] and await keys("kotor") == ["l:Kotor"]


async def test_without_a_file_the_package_s_places_are_found_and_a_file_wins(
    world: SearchWorld, tmp_path: Path
) -> None:
    home = world.settings.shutterlog_home
    world.settings = Settings(shutterlog_home=home, places_packaged=True)
    await world.apply(world.sink())
    await world.sink().apply([], {})
    reader = world.reader()
    munich = "g:2867714"
    for query in ("münchen", "munich", "muenchen"):
        assert (await reader.names(PLACES, query, None, 1))[0].key == munich
    assert (await reader.near(48.137, 11.575, 30))[0].said.find("Munich") > 0
    file = tmp_path / "places.txt"
    file.write_text(LINE.format(2867714, "Minga", "Minga", "Munich", 48.13743, 11.57549, "DE", 1260391))
    world.settings = Settings(shutterlog_home=home, places_packaged=True, places_file=file)
    await world.sink().apply([], {})
    reader = world.reader()
    assert [hit.key for hit in await reader.names(PLACES, "munich", None, 9)] == [munich]
    assert len(await reader.near(48.137, 11.575, 30)) == 1


@pytest.mark.skipif(not GEONAMES.exists(), reason="the shared data folder is not here")
def test_a_place_of_the_package_and_of_a_dump_has_one_id() -> None:
    dumped = {city.id: city for city in cities(GEONAMES)}
    both = [(city, dumped[city.id]) for city in packaged() if city.id in dumped]
    assert len(both) > 0.99 * len(dumped)
    apart = [1 for one, other in both if abs(one.latitude - other.latitude) > 0.1 or one.country != other.country]
    assert len(apart) < 0.001 * len(both)


def test_the_package_is_the_default_and_can_be_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("PLACES_PACKAGED")
    assert Places.of(Settings()).packaged
    monkeypatch.setenv("PLACES_PACKAGED", "false")
    assert list(Places.of(Settings()).cities()) == [] and Places.of(Settings()).fingerprint() == ""


@pytest.mark.parametrize("text", ["one line\n", LINE.format("x", "", "", "", 1, 2, "", 3)])
def test_a_file_of_something_else_is_refused_with_its_line(tmp_path: Path, text: str) -> None:
    file = tmp_path / "places.txt"
    file.write_text(text)
    with pytest.raises(NoPlaces, match="line 1"):
        list(cities(file))


async def test_a_store_that_was_away_keeps_nobody_from_the_index(
    world: SearchWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever still holds the failure, and with it the frames it came through: the next try may write."""
    sink, keys = world.sink(), world.keys.get_many

    async def away(ids: object) -> dict[int, bytes]:
        raise StoreAway("Cassandra is away")

    monkeypatch.setattr(world.keys, "get_many", away)
    with pytest.raises(StoreAway, match="Cassandra is away") as held:
        await world.apply(sink)
    with pytest.raises(StoreAway, match="Cassandra is away"):
        await world.apply(sink)
    monkeypatch.setattr(world.keys, "get_many", keys)
    await world.apply(sink)
    assert await found(world, "annabel") == [(EXACT, BEN)]
    assert held.tb is not None
