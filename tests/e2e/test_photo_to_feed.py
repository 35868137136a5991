"""From photo to feed, the whole way: a client, the gateway, the log, the agents, the stores, and back."""

from __future__ import annotations

import io
from typing import Any

import pytest
from PIL import Image

from tests.agents.workers import until
from tests.e2e.conftest import SLOW, Person, Product

pytestmark = pytest.mark.asyncio(loop_scope="module")

ORIENTATION, MAKE, GPS = 0x0112, 0x010F, 0x8825
ROTATE_CLOCKWISE = 6


def photo(width: int = 1600, height: int = 1200, number: int = 0) -> bytes:
    """A photo lying on its side: its left half, which belongs to the top, is red and its right half blue. It tells
    where it was taken, and by what."""
    image = Image.new("RGB", (width, height), (200, 20, number % 256))
    image.paste((20, 20, 200), (width // 2, 0, width, height))
    exif = Image.Exif()
    exif[ORIENTATION], exif[MAKE] = ROTATE_CLOCKWISE, "Leaky Camera"
    exif.get_ifd(GPS).update({1: "N", 2: (48.0, 8.0, 14.5), 3: "E", 4: (11.0, 34.0, 31.0)})
    file = io.BytesIO()
    image.save(file, "JPEG", exif=exif, comment=b"taken at home")
    return file.getvalue()


def snapshot(number: int) -> bytes:
    """A small photo."""
    return photo(64, 48, number)


async def check_served(product: Product, picture: dict[str, Any]) -> None:
    """All five renditions are served, upright, and say nothing of where they were taken."""
    assert (picture["width"], picture["height"]) == (1200, 1600)
    assert [rendition["name"] for rendition in picture["renditions"]] == [1080, 640, 480, 320, 150]
    assert picture["blurhash"]
    assert picture["average_color"].startswith("#")
    for rendition in picture["renditions"]:
        answer = await product.client.get(rendition["url"])
        assert (answer.status_code, answer.headers["content-type"]) == (200, "image/jpeg")
        assert "immutable" in answer.headers["cache-control"]
        body = answer.content
        assert len(body) == rendition["bytes"]
        for leak in (b"Exif", b"Leaky", b"GPS", b"taken at home", b"http://ns.adobe.com"):
            assert leak not in body
        with Image.open(io.BytesIO(body)) as image:
            assert not image.getexif()
            assert image.size == (rendition["width"], rendition["height"])
            # The smallest is a square from the middle; the others are whole.
            shape = 1 if rendition["name"] == 150 else 1200 / 1600
            assert image.width == rendition["name"]
            assert image.width / image.height == pytest.approx(shape, rel=0.02)
            middle = image.width // 2
            top = image.getpixel((middle, image.height // 8))
            bottom = image.getpixel((middle, image.height * 7 // 8))
            assert isinstance(top, tuple)
            assert isinstance(bottom, tuple)
            assert top[0] > 150 > top[2]
            assert bottom[2] > 150 > bottom[0]


async def test_a_photo_stands_in_the_followers_feed_until_it_is_deleted(product: Product) -> None:
    ada, bob = await product.register("ada", "Ada"), await product.register("bob", "Bob")
    await bob.follow(ada)
    post_id = await ada.post(photo(), "From the hill")
    (post,) = await bob.sees(post_id)
    assert (post["caption"], post["author"]["name"], post["status"]) == ("From the hill", "Ada", "published")
    (picture,) = post["media"]
    await check_served(product, picture)
    assert await ada.feed() == []
    profile = await bob.get(f"/api/v1/users/{ada.id}/posts")
    assert [one["id"] for one in profile["items"]] == [post_id]

    await ada.ask("PATCH", f"/api/v1/posts/{post_id}", json={"caption": "From the tower"})

    async def edited() -> bool:
        return [one["caption"] for one in await bob.feed()] == ["From the tower"]

    await until("the caption changes in the feed", edited, SLOW)

    await bob.ask("POST", f"/api/v1/posts/{post_id}/like")

    async def liked() -> bool:
        return [(one["like_count"], one["liked_by_me"]) for one in await bob.feed()] == [(1, True)]

    await until("the like is counted in the feed", liked, SLOW)

    async def named() -> bool:
        # Counters and lists are views of their own, as are feed and page below: neither waits for the other.
        return [one["id"] for one in (await ada.get(f"/api/v1/posts/{post_id}/likes"))["items"]] == [bob.id]

    await until("the like is in the list", named, SLOW)

    await ada.ask("DELETE", f"/api/v1/posts/{post_id}")
    await bob.sees()

    async def gone() -> bool:
        return (await product.client.get(f"/api/v1/posts/{post_id}")).status_code == 404

    await until("the post's page is gone", gone, SLOW)


async def test_a_file_that_is_no_picture_is_refused_with_a_reason_and_a_notice(product: Product) -> None:
    ada, bob = await product.register("ada", "Ada"), await product.register("bob", "Bob")
    await bob.follow(ada)
    post_id = await ada.post(photo()[:2000], "Torn")
    seen: dict[str, Any] = {}

    async def rejected() -> bool:
        nonlocal seen
        seen = await ada.get(f"/api/v1/posts/{post_id}")
        return bool(seen["status"] == "rejected")

    await until("the post is rejected", rejected, SLOW)
    assert seen["code"]
    assert len(seen["reason"]) > 20
    notices: list[dict[str, Any]] = []

    async def told() -> bool:
        nonlocal notices
        everything = (await ada.get("/api/v1/notifications"))["items"]
        assert {one["kind"] for one in everything} <= {"follow", "upload_failed"}
        notices = [one for one in everything if one["kind"] == "upload_failed"]
        return bool(notices)

    await until("its author is told", told, SLOW)
    (notice,) = notices
    assert (notice["kind"], notice["media_id"]) == ("upload_failed", seen["media_ids"][0])
    assert (notice["code"], notice["reason"]) == (seen["code"], seen["reason"])
    media = await ada.get(f"/api/v1/media/{notice['media_id']}")
    assert media["status"] == "rejected"
    # The next one, by the same agents, is fine; nobody else ever saw the torn one.
    whole = await ada.post(snapshot(0))
    await bob.sees(whole)


async def walk_in_all_steps(reader: Person, posts: list[str]) -> None:
    """Pages of any size give the same feed."""
    for limit in (1, 2, 3, 7, 50):
        assert [post["id"] for post in await reader.feed(limit)] == posts


async def test_a_feed_goes_on_past_its_cap_and_follows_who_one_follows(product: Product) -> None:
    ada, eve, bob = [await product.register(name, name) for name in ("ada", "eve", "bob")]
    await bob.follow(ada)
    await bob.follow(eve)
    posts: list[tuple[str, Person]] = []
    for number in range(14):
        author = eve if number % 3 == 0 else ada
        posts.append((await author.post(snapshot(number)), author))
    newest_first = [post for post, _ in reversed(posts)]
    await bob.sees(*newest_first, limit=4)
    await walk_in_all_steps(bob, newest_first)

    # Unfollow: gone. Follow again: back, with what was posted before.
    await bob.ask("DELETE", f"/api/v1/users/{eve.id}/follow")
    of_ada = [post for post, author in reversed(posts) if author is ada]
    await bob.sees(*of_ada, limit=4)
    await walk_in_all_steps(bob, of_ada)
    await bob.follow(eve)
    await bob.sees(*newest_first, limit=4)
    await walk_in_all_steps(bob, newest_first)
