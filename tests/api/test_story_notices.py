"""What the author of a story is told of reactions to it while it lives: in the list, by push and on the live stream."""

from __future__ import annotations

import time

import pytest

from tests.api.gateway import Gateway, Person
from tests.api.test_live import address, listening
from tests.api.test_notifications import brief, told
from tests.api.test_push import Pushing, pushing, service, subscribe
from tests.api.test_stories import DAY_MS, ask, published
from tests.sinks.push_services import PushEndpoint

pytestmark = pytest.mark.asyncio(loop_scope="session")
__all__ = ["address", "pushing", "service"]


async def react(gateway: Gateway, fan: Person, story_id: str, reaction: str = "🔥") -> None:
    answer = await ask(gateway, fan, "PUT", f"stories/{story_id}/reaction", json={"reaction": reaction})
    assert answer.status_code == 200, answer.text


async def test_reactions_are_one_group_that_shrinks_and_goes_with_its_story(gateway: Gateway) -> None:
    ada, *fans = [await gateway.person(name) for name in ("Ada", "Bob", "Cam", "Dan", "Eve")]
    bob, cam, dan, eve = fans
    at = int(time.time() * 1000)
    kept, passing, deleted = [await published(gateway, ada, at=at) for _ in range(3)]
    for fan in (*fans, bob):
        await react(gateway, fan, kept)
    await react(gateway, bob, passing)
    await react(gateway, bob, deleted)
    page = await told(gateway, ada)
    one = page["items"][-1]
    assert (one["kind"], one["story_id"], one["post_id"]) == ("story_reaction", kept, None)
    assert one["text"] == "Bob, Eve and 2 others reacted to your story."
    assert [each["story_id"] for each in page["items"]] == [deleted, passing, kept]
    assert page["unseen_count"] == 3
    assert brief(await told(gateway, bob)) == []

    await ask(gateway, bob, "DELETE", f"stories/{kept}/reaction")
    await ask(gateway, ada, "DELETE", f"stories/{deleted}")
    await ask(gateway, ada, "PUT", f"users/{cam.id}/block")
    await ask(gateway, ada, "PUT", f"users/{dan.id}/mute")
    page = await told(gateway, ada)
    assert [(each["story_id"], each["text"]) for each in page["items"]] == [
        (passing, "Bob reacted to your story."),
        (kept, "Eve reacted to your story."),
    ]
    # What is over is told no more, but for what a highlight keeps; and not if it is told of no story at all.
    highlight = (await ask(gateway, ada, "POST", "me/highlights", json={"name": "Kept"})).json()["id"]
    await ask(gateway, ada, "PUT", f"me/highlights/{highlight}/stories/{kept}")
    clock = gateway.stores.clock
    try:
        gateway.stores.clock = lambda: at + DAY_MS + 1000
        page = await told(gateway, ada)
        assert ([each["story_id"] for each in page["items"]], page["unseen_count"]) == ([kept], 1)
        change = {"kinds": {"story_reaction": {"told": False}}}
        await ask(gateway, ada, "PATCH", "notifications/preferences", json=change)
        assert (await told(gateway, ada))["items"] == []
    finally:
        gateway.stores.clock = clock


async def test_a_reaction_is_pushed_once_for_each_story(
    gateway: Gateway, service: PushEndpoint, pushing: Pushing
) -> None:
    ada, bob, cam = [await gateway.person(name) for name in ("Ada", "Bob", "Cam")]
    await subscribe(gateway, ada, service.device("/ada"))
    at = int(time.time() * 1000)
    first, second, over = [await published(gateway, ada, at=at - late) for late in (0, 0, DAY_MS - 60_000)]
    for fan, story_id in ((bob, first), (cam, first), (bob, second), (bob, over)):
        await react(gateway, fan, story_id)
    later = time.time() + 120
    assert sorted(await pushing.take(clock=lambda: later)) == ["held", "sent", "sent", "untold"]
    said = [one.said for one in service.taken]
    assert sorted((one["kind"], one["story_id"], one["post_id"]) for one in said) == sorted(
        ("story_reaction", story_id, None) for story_id in (first, second)
    )
    pushing.forget()  # as a replay of its topic would
    assert "sent" not in await pushing.take(clock=lambda: later)


async def test_a_reaction_comes_live_while_its_story_stands(gateway: Gateway, address: str) -> None:
    ada, bob = [await gateway.person(name) for name in ("Ada", "Bob")]
    story_id, gone = [await published(gateway, ada) for _ in range(2)]
    async with listening(address, ada) as device:
        body = {"reaction": "🔥"}
        # Deleted before the reaction comes to it.
        said = await gateway.client.put(f"/api/v1/stories/{gone}/reaction", json=body, headers=bob.headers)
        assert said.status_code == 200
        await ask(gateway, ada, "DELETE", f"stories/{gone}")
        await react(gateway, bob, story_id)
        came = await device.next()
        assert (came.name, came.said["kind"]) == ("notification", "story_reaction")
        assert (came.said["story_id"], came.said["text"]) == (story_id, "Bob reacted to your story.")
        await ask(gateway, bob, "DELETE", f"stories/{story_id}/reaction")
        undone = await device.next()
        assert (undone.name, undone.said) == ("withdrawal", {"id": came.said["id"], "kind": "story_reaction"})
