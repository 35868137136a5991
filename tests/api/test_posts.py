"""Posts, and who may see and change them."""

from __future__ import annotations

import asyncio

import pytest

from schemas.events import PostDeleted, PostEdited, PostRejected, PostSubmitted, Source, UploadCompleted
from tests.api.gateway import Gateway, Person

pytestmark = pytest.mark.asyncio(loop_scope="session")


async def draft(gateway: Gateway, person: Person) -> str:
    return str((await gateway.upload(person)).json()["media_id"])


async def test_a_post_is_accepted_at_once(gateway: Gateway) -> None:
    ada, bob = await gateway.person("Ada"), await gateway.person()
    media_id = await draft(gateway, ada)
    body = {"media_ids": [media_id], "caption": "At dusk"}
    answer = await gateway.client.post("/api/v1/posts", json=body, headers=ada.headers)
    assert (answer.status_code, answer.json()["status"]) == (202, "processing")
    post_id = answer.json()["id"]
    event = gateway.said[-1]
    assert isinstance(event, PostSubmitted)
    assert (event.post_id, event.media_ids) == (int(post_id), [int(media_id)])
    assert b"dusk" not in event.caption
    address = f"/api/v1/posts/{post_id}"
    assert answer.headers["location"] == address
    # No view knows it yet; its author sees it all the same, and nobody else does.
    mine = await gateway.client.get(address, headers=ada.headers)
    assert (mine.status_code, mine.json()["status"], mine.json()["caption"]) == (200, "processing", "At dusk")
    for headers in (bob.headers, {}):
        assert (await gateway.client.get(address, headers=headers)).status_code == 404
    token = {"Consistency-Token": answer.headers["consistency-token"]}
    assert (await gateway.client.get(address, headers=ada.headers | token)).status_code == 503
    await gateway.catch_up()
    mine = await gateway.client.get(address, headers=ada.headers | token)
    assert (mine.json()["status"], mine.json()["author"]["name"]) == ("processing", "Ada")
    assert (await gateway.client.get(address, headers=bob.headers)).status_code == 404

    await gateway.publish(ada, post_id)
    await gateway.catch_up()
    for headers in (ada.headers, bob.headers, {}):
        seen = (await gateway.client.get(address, headers=headers)).json()
        assert (seen["status"], seen["caption"]) == ("published", "At dusk")
        rendition = seen["media"][0]["renditions"][0]
        assert rendition["url"].startswith("https://pictures.example/media/r/")
    listed = (await gateway.client.get(f"/api/v1/users/{ada.username}/posts")).json()
    assert [post["id"] for post in listed["items"]] == [post_id]


async def test_a_rejected_post_says_why_to_its_author(gateway: Gateway) -> None:
    ada, bob = await gateway.person(), await gateway.person()
    post_id = await gateway.post(ada)
    await gateway.say(
        PostRejected(
            event_id=gateway.stores.snowflakes.next(),
            at=1,
            actor_id=int(ada.id),
            post_id=int(post_id),
            author_id=int(ada.id),
            media_id=int(post_id) + 1,
            code="truncated",
            reason="Part of this picture is missing.",
            source=Source("media", 0, 0, 0),
        )
    )
    await gateway.catch_up()
    mine = (await gateway.client.get(f"/api/v1/posts/{post_id}", headers=ada.headers)).json()
    assert (mine["status"], mine["code"]) == ("rejected", "truncated")
    assert (await gateway.client.get(f"/api/v1/posts/{post_id}", headers=bob.headers)).status_code == 404
    assert (await gateway.client.get(f"/api/v1/users/{ada.id}/posts")).json()["items"] == []


async def test_captions_change_and_posts_go(gateway: Gateway) -> None:
    ada, bob = await gateway.person(), await gateway.person()
    post_id = await gateway.post(ada, "first")
    address = f"/api/v1/posts/{post_id}"
    changed = await gateway.client.patch(address, json={"caption": "second"}, headers=ada.headers)
    assert (changed.status_code, changed.json()) == (200, {"id": post_id, "caption": "second"})
    assert isinstance(gateway.said[-1], PostEdited)
    await gateway.publish(ada, post_id)
    await gateway.catch_up()
    assert (await gateway.client.get(address)).json()["caption"] == "second"
    for method, body in (("PATCH", {"caption": "mine"}), ("DELETE", None)):
        answer = await gateway.client.request(method, address, json=body, headers=bob.headers)
        assert (answer.status_code, answer.json()["type"].rpartition(":")[2]) == (403, "not-yours")
        assert (await gateway.client.request(method, address, json=body)).status_code == 401
    gone = await gateway.client.delete(address, headers=ada.headers)
    assert (gone.status_code, gone.content) == (204, b"")
    assert isinstance(gateway.said[-1], PostDeleted)
    token = {"Consistency-Token": gone.headers["consistency-token"]}
    assert (await gateway.client.get(address, headers=token)).status_code == 503
    await gateway.catch_up()
    for method, body in (("GET", None), ("PATCH", {"caption": "late"}), ("DELETE", None)):
        answer = await gateway.client.request(method, address, json=body, headers=ada.headers)
        assert answer.status_code == 404
    assert (await gateway.client.get(f"/api/v1/users/{ada.id}/posts")).json()["items"] == []


async def test_what_a_post_needs(gateway: Gateway) -> None:
    ada, bob = await gateway.person(), await gateway.person()
    mine, his = await draft(gateway, ada), await draft(gateway, bob)

    async def refusal(**body: object) -> tuple[int, str]:
        answer = await gateway.client.post("/api/v1/posts", json=body, headers=ada.headers)
        return answer.status_code, answer.json()["type"].rpartition(":")[2]

    assert await refusal(media_ids=[his]) == (403, "media-not-yours")
    assert await refusal(media_ids=["12"]) == (422, "media-unknown")
    assert await refusal(media_ids=[mine, mine]) == (422, "media-repeated")
    assert await refusal(media_ids=[]) == (422, "invalid-request")
    assert await refusal(media_ids=["x"]) == (422, "invalid-request")
    assert await refusal(media_ids=[str(n) for n in range(1, 12)]) == (422, "invalid-request")
    assert await refusal(media_ids=[mine], caption="a" * 2201) == (422, "invalid-request")
    assert await refusal(caption="no media") == (422, "invalid-request")
    fits = {"media_ids": [mine], "caption": "🎞" * 2200}
    assert (await gateway.client.post("/api/v1/posts", json=fits, headers=ada.headers)).status_code == 202


async def test_a_retry_gives_the_same_post(gateway: Gateway) -> None:
    ada = await gateway.person()
    body = {"media_ids": [await draft(gateway, ada)], "caption": "once"}
    headers = ada.headers | {"Idempotency-Key": "p-1"}
    answers = await asyncio.gather(
        *(gateway.client.post("/api/v1/posts", json=body, headers=headers) for _ in range(3))
    )
    assert {answer.status_code for answer in answers} == {202}
    assert len({answer.json()["id"] for answer in answers}) == 1
    ids = {(event.event_id, event.at) for event in gateway.said[-3:]}
    assert len(ids) == 1
    other = await gateway.client.post("/api/v1/posts", json=body | {"caption": "twice"}, headers=headers)
    assert other.status_code == 422
    # One key is for one request, whatever its address.
    upload = await gateway.upload(ada, None, Idempotency_Key="p-1")
    assert upload.status_code == 422


async def test_a_person_s_posts_go_on_by_cursor(gateway: Gateway) -> None:
    ada = await gateway.person()
    posts = [await gateway.post(ada) for _ in range(7)]
    for post_id in posts:
        await gateway.publish(ada, post_id)
    await gateway.client.delete(f"/api/v1/posts/{posts[3]}", headers=ada.headers)
    await gateway.catch_up()
    seen: list[str] = []
    cursor: str | None = None
    while True:
        given = {"limit": "2"} | ({"cursor": cursor} if cursor else {})
        page = (await gateway.client.get(f"/api/v1/users/{ada.id}/posts", params=given)).json()
        seen += [post["id"] for post in page["items"]]
        cursor = page["next_cursor"]
        if cursor is None:
            break
    assert seen == [post_id for post_id in reversed(posts) if post_id != posts[3]]
    assert (await gateway.client.get("/api/v1/users/1000000000000000001/posts")).status_code == 404


@pytest.mark.parametrize("post_id", ["x", "0", "-1", "1" * 40, "1000000000000000001", "٣"])
async def test_no_such_post(gateway: Gateway, post_id: str) -> None:
    ada = await gateway.person()
    for method, body in (("GET", None), ("PATCH", {"caption": ""}), ("DELETE", None)):
        answer = await gateway.client.request(method, f"/api/v1/posts/{post_id}", json=body, headers=ada.headers)
        assert answer.status_code == 404


async def test_media_that_came_by_the_log_can_be_posted_too(gateway: Gateway) -> None:
    ada, bob = await gateway.person(), await gateway.person()
    media_id = gateway.stores.snowflakes.next()
    await gateway.say(
        UploadCompleted(
            event_id=media_id,
            at=1,
            actor_id=int(ada.id),
            media_id=media_id,
            owner_id=int(ada.id),
            original_key="somewhere/original",
            content_type="image/png",
            size=1,
            sha256="0" * 64,
        )
    )
    await gateway.catch_up()
    body = {"media_ids": [str(media_id)]}
    assert (await gateway.client.post("/api/v1/posts", json=body, headers=bob.headers)).status_code == 403
    assert (await gateway.client.post("/api/v1/posts", json=body, headers=ada.headers)).status_code == 202


async def test_posts_carry_whom_they_name_and_show_and_where(gateway: Gateway) -> None:
    ada, bob, eve = await gateway.person("Ada"), await gateway.person("Bob"), await gateway.person("Eve")
    await gateway.catch_up()
    media_id = (await gateway.upload(ada)).json()["media_id"]
    body = {
        "media_ids": [media_id],
        "caption": f"With @{bob.username} #Dusk",
        "tagged": [eve.id, eve.id],
        "place": " London ",
    }
    answer = await gateway.client.post("/api/v1/posts", json=body, headers=ada.headers)
    assert answer.status_code == 202, answer.text
    post_id = answer.json()["id"]
    event = gateway.said[-1]
    assert isinstance(event, PostSubmitted)
    assert (event.mentions, event.tagged) == ([int(bob.id)], [int(eve.id)])
    assert (event.hashtags, event.place) == (["dusk"], "London")

    async def seen() -> tuple[list[str], list[str], list[str], str]:
        post = (await gateway.client.get(f"/api/v1/posts/{post_id}", headers=ada.headers)).json()
        named = ([person["name"] for person in post[field]] for field in ("mentions", "tagged"))
        return (*named, post["hashtags"], post["place"])

    assert await seen() == (["Bob"], ["Eve"], ["dusk"], "London"), "as it was submitted"
    await gateway.catch_up()
    assert await seen() == (["Bob"], ["Eve"], ["dusk"], "London"), "as the view has it"
    await gateway.client.patch(f"/api/v1/posts/{post_id}", json={"caption": "#Dawn"}, headers=ada.headers)
    await gateway.catch_up()
    assert await seen() == ([], ["Eve"], ["dawn"], "London")
    change = {"caption": "", "tagged": [], "place": ""}
    await gateway.client.patch(f"/api/v1/posts/{post_id}", json=change, headers=ada.headers)
    await gateway.catch_up()
    assert await seen() == ([], [], [], "")
    body["tagged"] = ["1000000000000000001"]
    answer = await gateway.client.post("/api/v1/posts", json=body, headers=ada.headers)
    assert (answer.status_code, answer.json()["type"].rpartition(":")[2]) == (422, "tagged-unknown")
