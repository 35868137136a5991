"""What people keep, in which collections, and what they pass on."""

from __future__ import annotations

from typing import Any

import httpx
import pytest

from schemas.events import PostSaved, PostShared, PostUnsaved
from tests.api.gateway import Gateway, Person
from tests.api.test_likes import published

pytestmark = pytest.mark.asyncio(loop_scope="session")


async def ask(gateway: Gateway, who: Person, method: str, path: str, **body: Any) -> httpx.Response:
    """Ask, and let the views know of it."""
    answer = await gateway.client.request(method, f"/api/v1/{path}", headers=who.headers, **body)
    await gateway.catch_up()
    return answer


async def kept(gateway: Gateway, who: Person, path: str = "me/saved") -> list[str]:
    answer = await ask(gateway, who, "GET", path)
    assert answer.status_code == 200, answer.text
    return [post["id"] for post in answer.json()["items"]]


async def test_posts_are_kept_in_collections_and_let_go(gateway: Gateway) -> None:
    ada, bob = await gateway.person(), await gateway.person()
    posts = [await published(gateway, ada) for _ in range(3)]
    made = await ask(gateway, bob, "POST", "me/collections", json={"name": " Light "})
    assert made.status_code == 201, made.text
    collection = made.json()["id"]
    assert made.json()["name"] == "Light"
    assert (await ask(gateway, bob, "GET", "me/collections")).json()["items"] == [made.json()]
    for post_id in posts[:2]:
        answer = await ask(gateway, bob, "POST", f"posts/{post_id}/save")
        assert answer.json() == {"post_id": post_id, "saved": True, "collection_id": None}
        assert isinstance(gateway.said[-1], PostSaved)
    answer = await ask(gateway, bob, "POST", f"posts/{posts[2]}/save?collection_id={collection}")
    assert answer.json() == {"post_id": posts[2], "saved": True, "collection_id": collection}
    assert await kept(gateway, bob) == [posts[2], posts[1], posts[0]]
    assert await kept(gateway, bob, f"me/collections/{collection}/posts") == [posts[2]]
    answer = await ask(gateway, bob, "GET", f"posts/{posts[2]}")
    assert (answer.json()["saved_by_me"]) in (True, None)
    answer = await ask(gateway, bob, "DELETE", f"posts/{posts[2]}/save?collection_id={collection}")
    assert (answer.json()["saved"], await kept(gateway, bob)) == (True, [posts[2], posts[1], posts[0]])
    assert await kept(gateway, bob, f"me/collections/{collection}/posts") == []
    await ask(gateway, bob, "POST", f"posts/{posts[1]}/save?collection_id={collection}")
    assert (await ask(gateway, bob, "DELETE", f"posts/{posts[1]}/save")).json()["saved"] is False
    assert isinstance(gateway.said[-1], PostUnsaved)
    assert await kept(gateway, bob) == [posts[2], posts[0]]
    await ask(gateway, bob, "POST", f"posts/{posts[1]}/save")
    assert await kept(gateway, bob, f"me/collections/{collection}/posts") == []
    assert await kept(gateway, ada) == []


async def test_what_is_kept_goes_on_by_cursor_without_what_is_gone(gateway: Gateway) -> None:
    ada, bob = await gateway.person(), await gateway.person()
    posts = [await published(gateway, ada) for _ in range(4)]
    for post_id in posts:
        await ask(gateway, bob, "POST", f"posts/{post_id}/save")
    await ask(gateway, ada, "DELETE", f"posts/{posts[2]}")
    found: list[str] = []
    cursor = ""
    while True:
        page = (await ask(gateway, bob, "GET", f"me/saved?limit=1{cursor}")).json()
        found += [post["id"] for post in page["items"]]
        if page["next_cursor"] is None:
            break
        cursor = f"&cursor={page['next_cursor']}"
    assert found == [posts[3], posts[1], posts[0]]
    answer = await ask(gateway, bob, "DELETE", f"posts/{posts[2]}/save")
    assert answer.status_code == 200, "what is gone can be let go"
    assert (await ask(gateway, bob, "DELETE", f"posts/{posts[2]}/save")).status_code == 404


async def test_collections_are_one_s_own(gateway: Gateway) -> None:
    ada, bob = await gateway.person(), await gateway.person()
    post_id = await published(gateway, ada)
    collection = (await ask(gateway, ada, "POST", "me/collections", json={"name": "Mine"})).json()["id"]
    for method, path, body in (
        ("GET", f"me/collections/{collection}/posts", None),
        ("PATCH", f"me/collections/{collection}", {"name": "His"}),
        ("DELETE", f"me/collections/{collection}", None),
        ("POST", f"posts/{post_id}/save?collection_id={collection}", None),
        ("POST", "posts/1000000000000000001/save", None),
    ):
        assert (await ask(gateway, bob, method, path, json=body)).status_code == 404, path
    renamed = await ask(gateway, ada, "PATCH", f"me/collections/{collection}", json={"name": "Ours"})
    assert renamed.json()["name"] == "Ours"
    assert [one["name"] for one in (await ask(gateway, ada, "GET", "me/collections")).json()["items"]] == ["Ours"]
    await ask(gateway, ada, "POST", f"posts/{post_id}/save?collection_id={collection}")
    assert (await ask(gateway, ada, "DELETE", f"me/collections/{collection}")).status_code == 204
    assert (await ask(gateway, ada, "GET", f"me/collections/{collection}/posts")).status_code == 404
    assert await kept(gateway, ada) == [post_id]
    assert (await ask(gateway, ada, "GET", "me/collections")).json()["items"] == []


async def test_shares_are_counted_by_person(gateway: Gateway) -> None:
    ada, bob = await gateway.person(), await gateway.person()
    post_id = await published(gateway, ada)
    for who in (bob, bob, ada):
        answer = await ask(gateway, who, "POST", f"posts/{post_id}/share")
        assert answer.json()["url"].endswith(f"/api/v1/posts/{post_id}")
        assert isinstance(gateway.said[-1], PostShared)
    assert (await gateway.stores.counters.posts([int(post_id)], None))[int(post_id)].shares == 2
