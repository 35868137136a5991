"""Comments: said, listed, counted, pinned, switched off, deleted; and by whom."""

from __future__ import annotations

from typing import Any

import httpx
import pytest

from schemas.events import CommentAdded, CommentDeleted
from tests.api.gateway import Gateway, Person
from tests.api.test_likes import counted, published

pytestmark = pytest.mark.asyncio(loop_scope="session")


async def say(gateway: Gateway, post_id: str, who: Person, text: str, parent: str | None = None) -> str:
    """Comment, and let the views know; the comment's id."""
    answer = await ask(gateway, post_id, who, text, parent)
    assert answer.status_code == 201, answer.text
    await gateway.catch_up()
    return str(answer.json()["id"])


async def ask(gateway: Gateway, post_id: str, who: Person, text: str, parent: str | None = None) -> httpx.Response:
    body = {"text": text} | ({"parent_id": parent} if parent else {})
    return await gateway.client.post(f"/api/v1/posts/{post_id}/comments", json=body, headers=who.headers)


async def listed(gateway: Gateway, path: str, **params: str) -> Any:
    answer = await gateway.client.get(f"/api/v1/{path}", params=params)
    assert answer.status_code == 200, answer.text
    return answer.json()


async def comment_count(gateway: Gateway, post_id: str) -> int | None:
    count: int | None = (await listed(gateway, f"posts/{post_id}"))["comment_count"]
    return count


def kind(answer: httpx.Response) -> tuple[int, str]:
    return answer.status_code, answer.json()["type"].rpartition(":")[2]


async def test_comments_and_replies_are_listed_and_counted(gateway: Gateway) -> None:
    ada, bob = await gateway.person("Ada"), await gateway.person("Bob")
    post_id = await published(gateway, ada)
    answer = await ask(gateway, post_id, bob, "What a light!")
    assert answer.status_code == 201
    first = answer.json()
    assert (first["text"], first["author"]["id"], first["parent_id"]) == ("What a light!", bob.id, None)
    event = gateway.said[-1]
    assert isinstance(event, CommentAdded)
    assert (str(event.comment_id), str(event.author_id), event.parent_id) == (first["id"], ada.id, 0)
    assert b"light" not in event.text, "comments are sealed"
    token = {"Consistency-Token": answer.headers["consistency-token"]}
    early = await gateway.client.get(f"/api/v1/posts/{post_id}/comments", headers=token)
    assert kind(early) == (503, "not-yet-consistent")
    await gateway.catch_up()
    second = await say(gateway, post_id, ada, "Thanks")
    reply = await say(gateway, post_id, ada, "At dusk", first["id"])
    said = next(event for event in reversed(gateway.said) if isinstance(event, CommentAdded))
    assert (str(said.parent_id), str(said.parent_author_id)) == (first["id"], bob.id)
    await counted(gateway)
    page = await listed(gateway, f"posts/{post_id}/comments")
    assert [(one["id"], one["text"], one["reply_count"]) for one in page["items"]] == [
        (second, "Thanks", 0),
        (first["id"], "What a light!", 1),
    ]
    assert [one["author"]["name"] for one in page["items"]] == ["Ada", "Bob"]
    replies = await listed(gateway, f"comments/{first['id']}/replies")
    assert [(one["id"], one["parent_id"], one["text"]) for one in replies["items"]] == [(reply, first["id"], "At dusk")]
    assert await comment_count(gateway, post_id) == 3
    assert kind(await ask(gateway, post_id, bob, "To whom?", reply)) == (422, "reply-to-reply")


async def test_lists_go_on_by_cursor_past_what_was_deleted(gateway: Gateway) -> None:
    ada = await gateway.person()
    post_id = await published(gateway, ada)
    made = [await say(gateway, post_id, ada, f"comment {n}") for n in range(6)]
    replies = [await say(gateway, post_id, ada, f"reply {n}", made[0]) for n in range(3)]
    for comment_id in (made[4], made[3], replies[1]):
        await gateway.client.delete(f"/api/v1/comments/{comment_id}", headers=ada.headers)
    await gateway.catch_up()
    for path, expected in (
        (f"posts/{post_id}/comments", [made[5], made[2], made[1], made[0]]),
        (f"comments/{made[0]}/replies", [replies[0], replies[2]]),
    ):
        found: list[str] = []
        params: dict[str, str] = {"limit": "1"}
        while True:
            page = await listed(gateway, path, **params)
            found += [one["id"] for one in page["items"]]
            if page["next_cursor"] is None:
                break
            params["cursor"] = page["next_cursor"]
        assert found == expected


async def test_a_deleted_comment_takes_its_replies_with_it(gateway: Gateway) -> None:
    ada, bob, eve = [await gateway.person() for _ in range(3)]
    post_id = await published(gateway, ada)
    own, others = await say(gateway, post_id, bob, "mine"), await say(gateway, post_id, bob, "hers to delete")
    reply = await say(gateway, post_id, eve, "well", own)
    assert kind(await gateway.client.delete(f"/api/v1/comments/{own}", headers=eve.headers)) == (403, "not-yours")
    for who, comment_id in ((bob, own), (ada, others)):
        answer = await gateway.client.delete(f"/api/v1/comments/{comment_id}", headers=who.headers)
        assert answer.status_code == 204
        event = gateway.said[-1]
        assert isinstance(event, CommentDeleted)
        assert (str(event.actor_id), str(event.commenter_id)) == (who.id, bob.id)
    await gateway.catch_up()
    await counted(gateway)
    assert (await listed(gateway, f"posts/{post_id}/comments"))["items"] == []
    assert await comment_count(gateway, post_id) == 0
    for path in (f"comments/{own}/replies", f"comments/{reply}/replies"):
        assert (await gateway.client.get(f"/api/v1/{path}")).status_code == 404
    for comment_id in (own, reply):
        answer = await gateway.client.delete(f"/api/v1/comments/{comment_id}", headers=ada.headers)
        assert kind(answer) == (404, "not-found")
    assert kind(await ask(gateway, post_id, eve, "again", own)) == (404, "not-found")


async def test_pins_stand_above_and_are_few(gateway: Gateway) -> None:
    ada, bob = await gateway.person(), await gateway.person()
    post_id = await published(gateway, ada)
    made = [await say(gateway, post_id, bob, f"comment {n}") for n in range(4)]
    reply = await say(gateway, post_id, bob, "reply", made[0])
    assert kind(await gateway.client.put(f"/api/v1/comments/{made[0]}/pin", headers=bob.headers)) == (403, "not-yours")
    assert kind(await gateway.client.put(f"/api/v1/comments/{reply}/pin", headers=ada.headers)) == (409, "reply-pinned")
    for comment_id in (*made[:3], made[0]):
        answer = await gateway.client.put(f"/api/v1/comments/{comment_id}/pin", headers=ada.headers)
        assert answer.json() == {"comment_id": comment_id, "pinned": True}
        await gateway.catch_up()
    answer = await gateway.client.put(f"/api/v1/comments/{made[3]}/pin", headers=ada.headers)
    assert kind(answer) == (409, "too-many-pinned")
    await gateway.client.delete(f"/api/v1/comments/{made[1]}/pin", headers=ada.headers)
    await gateway.catch_up()
    page = await listed(gateway, f"posts/{post_id}/comments")
    assert {one["id"] for one in page["pinned"]} == {made[0], made[2]}
    assert all(one["pinned"] for one in page["pinned"])
    assert [one["id"] for one in page["items"]] == [made[3], made[1]]


async def test_a_reply_that_cannot_be_seen_is_not_spoken_of(gateway: Gateway) -> None:
    ada, bob, cleo = await gateway.person(), await gateway.person(), await gateway.person()
    post_id = await published(gateway, ada)
    first = await say(gateway, post_id, ada, "first")
    deleted, blocking = (
        await say(gateway, post_id, bob, "a word", first),
        await say(gateway, post_id, cleo, "hm", first),
    )
    for reply in (deleted, blocking):
        assert kind(await ask(gateway, post_id, bob, "To whom?", reply)) == (422, "reply-to-reply")
    await gateway.client.delete(f"/api/v1/comments/{deleted}", headers=bob.headers)
    await gateway.client.put(f"/api/v1/users/{bob.id}/block", headers=cleo.headers)
    await gateway.catch_up()
    for reply in (deleted, blocking):
        assert kind(await ask(gateway, post_id, bob, "To whom now?", reply)) == (404, "not-found")


async def test_comments_can_be_switched_off(gateway: Gateway) -> None:
    ada, bob = await gateway.person(), await gateway.person()
    post_id = await published(gateway, ada)
    await say(gateway, post_id, bob, "in time")
    path = f"/api/v1/posts/{post_id}/comments"
    assert kind(await gateway.client.delete(path, headers=bob.headers)) == (403, "not-yours")
    assert (await gateway.client.delete(path, headers=ada.headers)).json() == {"post_id": post_id, "disabled": True}
    await gateway.catch_up()
    assert kind(await ask(gateway, post_id, bob, "too late")) == (403, "comments-disabled")
    page = await listed(gateway, f"posts/{post_id}/comments")
    assert (page["disabled"], [one["text"] for one in page["items"]]) == (True, ["in time"])
    await gateway.client.put(path, headers=ada.headers)
    await gateway.catch_up()
    await say(gateway, post_id, bob, "again")


async def test_nobody_comments_what_they_may_not_see(gateway: Gateway) -> None:
    ada, bob = await gateway.person(), await gateway.person()
    hidden, deleted = await gateway.post(ada), await published(gateway, ada)
    comment_id = await say(gateway, deleted, bob, "gone soon")
    await gateway.client.delete(f"/api/v1/posts/{deleted}", headers=ada.headers)
    await gateway.catch_up()
    for post_id in (hidden, deleted, "1000000000000000001", "nonsense"):
        assert (await ask(gateway, post_id, bob, "hello")).status_code == 404
        answer = await gateway.client.get(f"/api/v1/posts/{post_id}/comments", headers=bob.headers)
        assert answer.status_code == 404
    for method, path in (("DELETE", ""), ("GET", "/replies"), ("PUT", "/pin"), ("DELETE", "/pin")):
        answer = await gateway.client.request(method, f"/api/v1/comments/{comment_id}{path}", headers=bob.headers)
        assert answer.status_code == 404, (method, path)


@pytest.mark.parametrize("text", ["", " \n\t ", "x" * 2201, "a\x00b"])
async def test_text_that_is_no_comment_is_refused(gateway: Gateway, text: str) -> None:
    ada = await gateway.person()
    post_id = await published(gateway, ada)
    assert kind(await ask(gateway, post_id, ada, text)) == (422, "invalid-request")


async def test_a_retried_comment_is_one(gateway: Gateway) -> None:
    ada = await gateway.person()
    post_id = await published(gateway, ada)
    headers = ada.headers | {"Idempotency-Key": "once"}
    path, body = f"/api/v1/posts/{post_id}/comments", {"text": "once"}
    ids = {(await gateway.client.post(path, json=body, headers=headers)).json()["id"] for _ in range(2)}
    assert len(ids) == 1
    await gateway.catch_up()
    await counted(gateway)
    assert await comment_count(gateway, post_id) == 1
    await gateway.client.delete(f"/api/v1/comments/{ids.pop()}", headers=ada.headers)
    await gateway.client.post(path, json=body, headers=headers)
    await gateway.catch_up()
    assert await comment_count(gateway, post_id) == 0
    assert (await listed(gateway, f"posts/{post_id}/comments"))["items"] == []


async def test_comments_name_people_and_tags(gateway: Gateway) -> None:
    ada, bob = await gateway.person("Ada"), await gateway.person("Bob")
    post_id = await published(gateway, ada)
    answer = await ask(gateway, post_id, bob, f"Look @{ada.username}, and @nobody.at.all! #Dusk #dusk")
    event = gateway.said[-1]
    assert isinstance(event, CommentAdded)
    assert (event.mentions, event.hashtags) == ([int(ada.id)], ["dusk"])
    assert [person["id"] for person in answer.json()["mentions"]] == [ada.id]
    await gateway.catch_up()
    (shown,) = (await listed(gateway, f"posts/{post_id}/comments"))["items"]
    assert [person["name"] for person in shown["mentions"]] == ["Ada"]


async def test_too_many_comments_have_to_wait(gateway: Gateway) -> None:
    ada = await gateway.person()
    post_id = await published(gateway, ada)
    answers = [await ask(gateway, post_id, ada, f"comment {n}") for n in range(21)]
    assert [answer.status_code for answer in answers] == [201] * 20 + [429]
    assert kind(answers[-1]) == (429, "too-many-comments")
    assert 1 <= int(answers[-1].headers["retry-after"]) <= 3


async def test_the_same_again_and_floods_of_links_are_refused(gateway: Gateway) -> None:
    ada = await gateway.person()
    post_id, other = await published(gateway, ada), await published(gateway, ada)
    first = "Come and see my pictures, all of them!"
    headers = ada.headers | {"Idempotency-Key": "said"}
    path = f"/api/v1/posts/{post_id}/comments"
    said = await gateway.client.post(path, json={"text": first}, headers=headers)
    assert said.status_code == 201
    for where, text in ((post_id, first), (other, "come and see my PICTURES; all of them")):
        answer = await ask(gateway, where, ada, text)
        assert (kind(answer), int(answer.headers["retry-after"]) > 60) == ((429, "comment-repeated"), True)
    again = await gateway.client.post(path, json={"text": first}, headers=headers)
    assert (again.status_code, again.json()["id"]) == (201, said.json()["id"]), "a retry is no repetition"
    refused = await gateway.client.post(path, json={"text": first}, headers=ada.headers | {"Idempotency-Key": "new"})
    tried = await gateway.client.post(path, json={"text": first}, headers=ada.headers | {"Idempotency-Key": "new"})
    assert kind(refused) == kind(tried) == (429, "comment-repeated"), "a retry of what was refused is refused"
    for where in (post_id, other):
        assert (await ask(gateway, where, ada, "Wow")).status_code == 201
    assert kind(await ask(gateway, other, ada, "a.com b.com c.com d.com")) == (422, "too-many-links")
    event = next(event for event in reversed(gateway.said) if isinstance(event, CommentAdded))
    assert 0 <= event.spam < 500
