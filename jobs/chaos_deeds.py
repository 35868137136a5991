"""What the people of chaos do: all that a person can do to others through the API."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from jobs.chaos_citizen import PASSWORD, Citizen

if TYPE_CHECKING:
    from jobs.chaos_load import Load

OFTEN: Mapping[str, int] = {
    "like": 30,
    "comment": 15,
    "feed": 20,
    "post": 10,
    "unlike": 8,
    "follow": 7,
    "see": 5,
    "story": 5,
    "unfollow": 4,
    "save": 4,
    "watch": 4,
    "edit": 3,
    "share": 2,
    "unsave": 2,
    "uncomment": 2,
    "notices": 2,
    "delete": 2,
    "profile": 1,
    "mute": 1,
    "register": 1,
    "pass by": 2,
}
"""How often people do what, in proportion."""
_KEPT_POSTS = 200

Deed = Callable[["Load", Citizen, Sequence[Citizen]], Awaitable[None]]
"""What somebody does, perhaps to one of some others. Raises ``Refused`` and ``Unanswered``."""


async def _read_feed(load: Load, person: Citizen, others: Sequence[Citizen]) -> None:
    answer = await person.ask("GET", "/api/v1/feed?limit=20", fresh=True)
    load.feeds[f"from {answer.headers.get('Feed-Source', '?')}"] += 1
    for post in answer.json()["items"]:
        if int(post["id"]) not in load.posts:
            load.posts.append(int(post["id"]))
    del load.posts[:-_KEPT_POSTS]


async def _post(load: Load, person: Citizen, others: Sequence[Citizen]) -> None:
    media_id = await person.upload(load.chance.choice(load.photos))
    number = load.number()
    await person.post(media_id, f"Picture {number} #chaos #tag{number % 7}")


async def _tell_story(load: Load, person: Citizen, others: Sequence[Citizen]) -> None:
    await person.story(await person.upload(load.chance.choice(load.photos)))


async def _follow(load: Load, person: Citizen, others: Sequence[Citizen]) -> None:
    await person.follow(_other(load, person, others).id)


async def _unfollow(load: Load, person: Citizen, others: Sequence[Citizen]) -> None:
    await person.follow(_other(load, person, others).id, False)


async def _mute(load: Load, person: Citizen, others: Sequence[Citizen]) -> None:
    other = _other(load, person, others).id
    muted = {"muter_id": person.id, "muted_id": other}
    event, method = load.chance.choice((("Muted", "PUT"), ("Unmuted", "DELETE")))
    await person.write(event, method, f"/api/v1/users/{other}/mute", muted)


async def _like(load: Load, person: Citizen, others: Sequence[Citizen]) -> None:
    await _say_like(load, person, True)


async def _unlike(load: Load, person: Citizen, others: Sequence[Citizen]) -> None:
    await _say_like(load, person, False)


async def _say_like(load: Load, person: Citizen, likes: bool) -> None:
    post_id = load.chance.choice(load.posts)
    await person.like(post_id, likes)
    token = person.token
    seen = (await person.ask("GET", f"/api/v1/posts/{post_id}", fresh=True)).json()["liked_by_me"]
    if seen is not None and seen is not likes and load.seconds > person.unsure_until:
        load.stale.append(f"{load.seconds:.1f} s: {person.id} said {likes} of {post_id} ({token}) and was shown {seen}")


async def _comment(load: Load, person: Citizen, others: Sequence[Citizen]) -> None:
    text = f"Seen as number {load.number()}, and liked it"
    person.comments.append(await person.comment(load.chance.choice(load.posts), text))


async def _uncomment(load: Load, person: Citizen, others: Sequence[Citizen]) -> None:
    if person.comments:
        comment_id = person.comments.pop()
        await person.write("CommentDeleted", "DELETE", f"/api/v1/comments/{comment_id}", {"comment_id": comment_id})


async def _to_post(load: Load, person: Citizen, event: str, method: str, what: str) -> None:
    post_id = load.chance.choice(load.posts)
    await person.write(event, method, f"/api/v1/posts/{post_id}/{what}", {"post_id": post_id, "actor_id": person.id})


async def _save(load: Load, person: Citizen, others: Sequence[Citizen]) -> None:
    await _to_post(load, person, "PostSaved", "POST", "save")


async def _unsave(load: Load, person: Citizen, others: Sequence[Citizen]) -> None:
    await _to_post(load, person, "PostUnsaved", "DELETE", "save")


async def _share(load: Load, person: Citizen, others: Sequence[Citizen]) -> None:
    await _to_post(load, person, "PostShared", "POST", "share")


async def _see(load: Load, person: Citizen, others: Sequence[Citizen]) -> None:
    post_id = load.chance.choice(load.posts)
    sight = {"post_id": str(post_id), "dwell_ms": 2400, "surface": "feed", "rank": 0}
    fields = {"viewer_id": person.id, "post_id": post_id}
    # One's own, and what one may not see, is left out without a word.
    await person.write("PostSeen", "POST", "/api/v1/activity", fields, maybe=True, json={"posts": [sight]})


async def _watch(load: Load, person: Citizen, others: Sequence[Citizen]) -> None:
    """See the newest story of the tray, and sometimes answer it."""
    tray = (await person.ask("GET", "/api/v1/stories/feed")).json()["items"]
    if not tray:
        return
    story_id = int(tray[0]["stories"][-1]["id"])
    fields, path = {"story_id": story_id, "actor_id": person.id}, f"/api/v1/stories/{story_id}"
    await person.write("StoryViewed", "POST", f"{path}/views", fields)
    if load.chance.random() < 0.5:
        await person.write("StoryReacted", "PUT", f"{path}/reaction", fields, json={"reaction": "🔥"})


async def _look_at_notices(load: Load, person: Citizen, others: Sequence[Citizen]) -> None:
    position = (await person.ask("GET", "/api/v1/notifications")).json()["position"]
    fields = {"viewer_id": person.id, "position": int(position)}
    await person.write("NotificationsSeen", "PUT", "/api/v1/notifications/seen", fields, json={"position": position})


async def _change_profile(load: Load, person: Citizen, others: Sequence[Citizen]) -> None:
    bio = {"bio": f"Lives through fault after fault, {load.number()}"}
    await person.write("ProfileChanged", "PATCH", "/api/v1/me", {"user_id": person.id}, json=bio)


async def _own_posts(person: Citizen) -> list[int]:
    """The newest first."""
    shown: list[dict[str, Any]] = (await person.ask("GET", f"/api/v1/users/{person.id}/posts")).json()["items"]
    return [int(post["id"]) for post in shown]


async def _edit(load: Load, person: Citizen, others: Sequence[Citizen]) -> None:
    own = await _own_posts(person)
    if own:
        post_id, number = load.chance.choice(own), load.number()
        caption = f"Picture {number}, with @{_other(load, person, others).name} #edited #tag{number % 7}"
        fields = {"post_id": post_id, "author_id": person.id}
        await person.write("PostEdited", "PATCH", f"/api/v1/posts/{post_id}", fields, json={"caption": caption})


async def _delete(load: Load, person: Citizen, others: Sequence[Citizen]) -> None:
    own = await _own_posts(person)
    if len(own) > 3:
        fields = {"post_id": own[-1], "author_id": person.id}
        await person.write("PostDeleted", "DELETE", f"/api/v1/posts/{own[-1]}", fields)
        load.forget([own[-1]])


async def _register(load: Load, person: Citizen, others: Sequence[Citizen]) -> None:
    newcomer = load.stranger(f"n{load.number()}x")
    try:
        await load.registered(newcomer)
    finally:
        await newcomer.close()


async def _pass_by(load: Load, person: Citizen, others: Sequence[Citizen]) -> None:
    """Somebody private comes, whom ``person`` asks to follow; does what is done to others, blocks one, and is erased.

    What is to be undone afterwards is for the saga, for every view, and for the object store.
    """
    guest = await load.citizen(f"p{load.number()}x")
    try:
        # All of it is of people who know of each other: a token is that of what has just been said.
        private = {"user_id": guest.id, "private": 1}
        await guest.write("PrivacyChanged", "PUT", "/api/v1/me/privacy", private, json={"private": True})
        asks = {"follower_id": person.id, "followee_id": guest.id}
        follow, approve = f"/api/v1/users/{guest.id}/follow", f"/api/v1/me/requests/{person.id}"
        await person.write("FollowRequested", "PUT", follow, asks, after=guest.token)
        await guest.write("Followed", "PUT", approve, asks, after=person.token)
        await guest.follow(person.id)
        media_id = await guest.upload(load.chance.choice(load.photos))
        post_id = await guest.post(media_id, f"A guest, with @{person.name} #chaos #guest")
        await guest.story(media_id)
        for deed in (_save, _share, _comment, _see):
            await deed(load, guest, others)
        await guest.like(load.chance.choice(load.posts))
        blocked = _other(load, person, others)
        fields = {"blocker_id": guest.id, "blocked_id": blocked.id}
        await guest.write("Blocked", "PUT", f"/api/v1/users/{blocked.id}/block", fields)
        erased = {"user_id": guest.id}
        await guest.write("AccountErased", "DELETE", "/api/v1/me", erased, json={"password": PASSWORD})
        load.forget([post_id])
    finally:
        await guest.close()


def _other(load: Load, person: Citizen, others: Sequence[Citizen]) -> Citizen:
    return load.chance.choice([one for one in others if one is not person])


DEEDS: Mapping[str, Deed] = {
    "like": _like,
    "comment": _comment,
    "feed": _read_feed,
    "post": _post,
    "unlike": _unlike,
    "follow": _follow,
    "see": _see,
    "story": _tell_story,
    "unfollow": _unfollow,
    "save": _save,
    "watch": _watch,
    "edit": _edit,
    "share": _share,
    "unsave": _unsave,
    "uncomment": _uncomment,
    "notices": _look_at_notices,
    "delete": _delete,
    "profile": _change_profile,
    "mute": _mute,
    "register": _register,
    "pass by": _pass_by,
}
NEED_POSTS = frozenset({"like", "comment", "unlike", "see", "save", "share", "unsave", "pass by"})
"""Deeds to a post that somebody has seen: as long as nobody has, they read their feed."""


async def do(load: Load, person: Citizen, deed: str, others: Sequence[Citizen]) -> None:
    """One deed by its name. Raises ``Refused``, ``Unanswered``."""
    await DEEDS["feed" if deed in NEED_POSTS and not load.posts else deed](load, person, others)
