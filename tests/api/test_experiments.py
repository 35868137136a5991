"""Experiments of the feed: who gets which one, what a page says of it, and what of that comes into the log."""

from __future__ import annotations

from typing import Any

import pytest

from schemas.events import PostSeen
from streams.experiments import Variant, experiments_of
from tests.api.gateway import Gateway, Person
from tests.api.test_ranking import like, model, scene

pytestmark = pytest.mark.asyncio(loop_scope="session")
__all__ = ["model"]


async def page(gateway: Gateway, who: Person, **params: str) -> tuple[list[str], dict[str, str], str | None]:
    """(posts, headers, cursor)"""
    answer = await gateway.client.get("/api/v1/feed", params=params, headers=who.headers)
    assert answer.status_code == 200, answer.text
    shown = {name: answer.headers.get(name, "") for name in ("feed-order", "feed-exposure", "ranking-fallback")}
    return [post["id"] for post in answer.json()["items"]], shown, answer.json()["next_cursor"]


async def report(gateway: Gateway, who: Person, post: str, exposure: str | None, surface: str = "feed") -> PostSeen:
    """What the log says after somebody saw ``post``."""
    sight: dict[str, Any] = {"post_id": post, "dwell_ms": 900, "surface": surface, "rank": 2}
    body = {"posts": [sight | ({"exposure": exposure} if exposure is not None else {})]}
    answer = await gateway.client.post("/api/v1/activity", json=body, headers=who.headers)
    assert answer.status_code == 204, answer.text
    seen = gateway.said[-1]
    assert isinstance(seen, PostSeen)
    return seen


async def test_a_lot_decides_which_feed_it_is_and_what_is_seen_says_so(
    gateway: Gateway, model: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    reader, _, posts = await scene(gateway, "Bob", "Ada", "Eve")
    await like(gateway, reader, posts[0])
    await gateway.catch_up()
    near, latest = [posts[0], posts[2], posts[1]], posts[::-1]

    def everybody(variant: str) -> None:
        monkeypatch.setattr(gateway.stores, "experiments", experiments_of(f"order-1={variant}:100"))

    async def plain() -> tuple[list[str], dict[str, str], str | None]:
        return await page(gateway, reader)

    assert (await plain())[:2] == (latest, {"feed-order": "latest", "feed-exposure": "", "ranking-fallback": ""})
    everybody("latest")
    found, shown, _ = await plain()
    assert (found, shown["feed-exposure"]) == (latest, "order-1/latest/")
    seen = await report(gateway, reader, posts[1], shown["feed-exposure"])
    assert (seen.experiment, seen.variant, seen.model, seen.rank) == ("order-1", "latest", "", 2)
    for variant in ("ranked", model):
        everybody(variant)
        found, shown, _ = await plain()
        exposure = f"order-1/{variant}/{model}"
        assert (found, shown["feed-order"], shown["feed-exposure"]) == (near, "ranked", exposure)
        seen = await report(gateway, reader, posts[1], exposure)
        assert (seen.experiment, seen.variant, seen.model) == ("order-1", variant, model)
    # Page by page, and below what was ranked.
    _, _, cursor = await page(gateway, reader, limit="1")
    assert cursor is not None
    found, shown, _ = await page(gateway, reader, cursor=cursor)
    assert (found, shown["feed-exposure"]) == (near[1:], exposure)
    # Who asks for an order gets it, and is no part of the experiment with that page.
    for order, expected in (("latest", latest), ("ranked", near)):
        found, shown, _ = await page(gateway, reader, order=order)
        assert (found, shown["feed-exposure"]) == (expected, "")
    # A model that is not there ranks nothing: the page says so, and still counts for who was to get it.
    everybody("20200101T000000-gone")
    found, shown, _ = await plain()
    assert (found, shown["ranking-fallback"]) == (latest, "no-model")
    assert shown["feed-exposure"] == "order-1/20200101T000000-gone/"


async def test_what_a_client_makes_up_is_left_out(gateway: Gateway, monkeypatch: pytest.MonkeyPatch) -> None:
    reader, _, (post,) = await scene(gateway, "Ada")
    experiments = experiments_of("order-1=latest:50,ranked:50")
    monkeypatch.setattr(gateway.stores, "experiments", experiments)
    mine = experiments[0].variant_of(int(reader.id))
    assert isinstance(mine, Variant)
    other = "ranked" if mine.name == "latest" else "latest"
    assert (await report(gateway, reader, post, f"order-1/{mine.name}/m-1")).variant == mine.name
    for wrong in (f"order-1/{other}/", f"order-2/{mine.name}/", "nonsense", "", None):
        seen = await report(gateway, reader, post, wrong)
        assert (seen.experiment, seen.variant, seen.model) == ("", "", ""), wrong
    assert (await report(gateway, reader, post, f"order-1/{mine.name}/", "profile")).experiment == ""
