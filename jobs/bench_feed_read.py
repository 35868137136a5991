"""``shutterlog bench feed-read``: pages of feeds a second, through the gateway process.

Everybody follows 50 authors, ten of whom are over ``PULL_THRESHOLD`` and pulled; feeds are full, posts have a picture,
a caption and likes, pages have the default length. The yardstick is ``python -m api.bare``: a FastAPI route with the
same authentication, in a process of the same kind, that answers the same bytes. Both run in turn, by the same client.

In a world that stands still a gateway reads no row twice. ``under_writes`` is the figure while people go on to post and
to like what is on those pages, applied as the agents would, by this process, on the same machine.
"""

from __future__ import annotations

import asyncio
import json
import random
import time
from collections import deque
from pathlib import Path
from typing import Any, NamedTuple

from jobs.bench_gateway import Gateway, Person, World, opened, program
from jobs.bench_scene import AT, middle
from schemas.events import Event, Followed, PostLiked, PostPublished, PostSubmitted, RenderedMedia, Rendition, Source
from schemas.ids import snowflake
from sinks.sealing import seal
from sinks.settings import Settings

PATH = "/api/v1/feed"
SIZES = (1080, 640, 480, 320, 150)


class Shape(NamedTuple):
    """How large the world is. Everybody follows ``pushed`` and ``pulled`` authors of those that there are."""

    readers: int = 250
    authors: int = 400
    celebrities: int = 20
    pushed: int = 40
    pulled: int = 10
    posts: int = 14
    likes: int = 10_000


class Way(NamedTuple):
    """How a page is asked for."""

    connections: int = 32
    seconds: float = 5.0
    samples: int = 3
    writes: int = 20
    """Likes and posts a second for ``under_writes``, one of them in ten a post."""


SHAPE, WAY = Shape(), Way()
_BATCH_SECONDS = 0.25
"""From one batch of writes to the next."""


class Scene(NamedTuple):
    """Who is in the world, and what they have posted."""

    readers: list[int]
    keys: dict[int, bytes]
    """Of all authors, by whom these are."""
    posts: list[tuple[int, int]]
    """Post and author, the newest last."""


def run(shape: Shape = SHAPE, way: Way = WAY) -> dict[str, object]:
    """``figure`` and ``yardstick`` are pages/s, medians of ``way.samples`` runs in turn."""
    return asyncio.run(_run(shape, way))


async def _run(shape: Shape, way: Way) -> dict[str, Any]:
    threshold = max(2, shape.readers * shape.pulled // shape.celebrities // 2)
    async with opened(Settings(), pull_threshold=threshold, public_url="https://pictures.example") as world:
        scene = await _fill(world, shape)
        people = await world.log_in(scene.readers)
        folder = world.settings.shutterlog_home / "pages"
        folder.mkdir()
        ours: list[dict[str, float]] = []
        theirs: list[dict[str, float]] = []
        async with world.serving() as gateway:
            await asyncio.to_thread(_keep_pages, gateway, people, folder)
            async with world.serving("api.bare", BARE_PAGES=str(folder)) as bare:
                for _ in range(way.samples):
                    spent = gateway.processor_seconds()
                    ours.append(await _load(gateway, people, way))
                    ours[-1]["busy"] = (gateway.processor_seconds() - spent) / ours[-1]["pages"] * 1000
                    theirs.append(await _load(bare, people, way))
                rate = middle([one["pages_per_second"] for one in ours])
                at_half = await _load(gateway, people, way, rate / 2)
                bare_rate = middle([one["pages_per_second"] for one in theirs])
                bare_at_half = await _load(bare, people, way, bare_rate / 2)
            written = await _load_under_writes(world, scene, gateway, people, way)
        size = sum(file.stat().st_size for file in folder.iterdir()) / len(people)
    return {
        "name": "feed-read",
        "figure": round(rate),
        "unit": "pages/s of the default limit, one gateway process",
        "yardstick": round(bare_rate),
        "yardstick_name": "a FastAPI route with the same authentication that answers the same bytes",
        "ratio": round(rate / bare_rate, 3),
        "samples": way.samples,
        "each": [round(one["pages_per_second"]) for one in ours],
        "yardstick_each": [round(one["pages_per_second"]) for one in theirs],
        "half_load": round(rate / 2),
        "p50_ms": round(at_half["p50_ms"], 2),
        "p99_ms": round(at_half["p99_ms"], 2),
        "yardstick_p50_ms": round(bare_at_half["p50_ms"], 2),
        "yardstick_p99_ms": round(bare_at_half["p99_ms"], 2),
        "under_writes": round(written["pages_per_second"]),
        "under_writes_ratio": round(written["pages_per_second"] / bare_rate, 3),
        "writes_per_second": round(written["writes_per_second"], 1),
        "gateway_ms_a_page": round(middle([one["busy"] for one in ours]), 3),
        "client_ms_a_page": round(middle([one["client_microseconds"] for one in ours]) / 1000, 3),
        "connections": way.connections,
        "page_bytes": round(size),
        "readers": shape.readers,
        "followees": shape.pushed + shape.pulled,
        "pulled_share": round(shape.pulled / (shape.pushed + shape.pulled), 2),
    }


async def _fill(world: World, shape: Shape) -> Scene:
    """The world of the bench."""
    chance = random.Random(1)  # noqa: S311
    readers = await world.register(shape.readers, 1)
    authors, celebrities = await world.register(shape.authors, 2), await world.register(shape.celebrities, 3)
    await world.say(
        [
            Followed(event_id=author, at=AT, actor_id=reader, follower_id=reader, followee_id=author)
            for reader in readers
            for author in chance.sample(authors, shape.pushed) + chance.sample(celebrities, shape.pulled)
        ]
    )
    keys = await world.keys.get_many([*authors, *celebrities])
    posts: list[Event] = []
    for number in range(shape.posts * (len(authors) + len(celebrities))):
        author = (*authors, *celebrities)[number % (len(authors) + len(celebrities))]
        posts += _post(number, author, seal(keys[author], author, f"Number {number}, seen from the hill at dusk"))
    await world.say(posts)
    ids = [(event.post_id, event.author_id) for event in posts if isinstance(event, PostPublished)]
    await world.say([_like(chance.choice(readers), chance.choice(ids)) for _ in range(shape.likes)])
    return Scene(readers, keys, ids)


def _like(person: int, liked: tuple[int, int]) -> Event:
    post, author = liked
    return PostLiked(event_id=post, at=AT, actor_id=person, post_id=post, author_id=author)


async def _load_under_writes(
    world: World, scene: Scene, gateway: Gateway, people: list[Person], way: Way
) -> dict[str, float]:
    """As ``_load``, while ``scene`` goes on."""
    loading = asyncio.create_task(_load(gateway, people, way))
    chance = random.Random(2)  # noqa: S311
    began, written = time.perf_counter(), 0
    newest = deque(scene.posts, 200)
    while not loading.done():
        due = int((time.perf_counter() - began) * way.writes) - written
        events: list[Event] = []
        for _ in range(due):
            written += 1
            if written % 10:
                events.append(_like(chance.choice(scene.readers), chance.choice(newest)))
                continue
            number, author = len(scene.posts), chance.choice(list(scene.keys))
            posted = _post(number, author, seal(scene.keys[author], author, f"Number {number}, just now"))
            newest.append((posted[1].post_id, author))
            scene.posts.append(newest[-1])
            events += posted
        await world.say(events)
        await asyncio.wait([loading], timeout=_BATCH_SECONDS)
    return {**loading.result(), "writes_per_second": written / (time.perf_counter() - began)}


def _post(number: int, author: int, caption: bytes) -> tuple[PostSubmitted, PostPublished]:
    post_id = snowflake(AT + 60_000 + number * 10, 2, 0)
    renditions = [Rendition(size, size, size * 3 // 4, f"r/0a/{post_id:064d}.jpg", size * 90) for size in SIZES]
    media = [RenderedMedia(post_id, 4000, 3000, "LEHV6nWB2yk8pyo0adR*.7kCMdnj", "#7f8081", renditions)]
    base: dict[str, Any] = {"event_id": post_id, "at": AT, "actor_id": author, "post_id": post_id, "author_id": author}
    said = PostSubmitted(**base, media_ids=[post_id], caption=caption, hashtags=["dusk"], place="London")
    source = Source("media", number % 16, number, 0)
    return said, PostPublished(**base, media=media, source=source, hashtags=["dusk"], place="London")


def _keep_pages(gateway: Gateway, people: list[Person], folder: Path) -> None:
    """Keep everybody's page, for the yardstick; raises where one is not what it should be."""
    for person in people:
        headers, body = gateway.page(PATH, person.token)
        page = json.loads(body)
        source = {name.lower(): value for name, value in headers.items()}["feed-source"]
        if len(page["items"]) != 20 or source != "redis" or page["items"][0]["like_count"] is None:
            raise ValueError(f"the feed of {person.user_id} has {len(page['items'])} posts, from {source}")
        (folder / f"{person.user_id}.json").write_bytes(body)


async def _load(gateway: Gateway, people: list[Person], way: Way, rate: float = 0) -> dict[str, float]:
    told = {"port": gateway.port, "requests": [(PATH, person.token) for person in people]}
    told |= {"connections": way.connections, "seconds": way.seconds, "rate": rate}
    answer, _ = await asyncio.to_thread(program("jobs.bench_client", told).communicate)
    return dict(json.loads(answer))
