"""What each route has to show after a history, by the model alone, and what it did show."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from tests.api.history_model import Group, Model, Viewer

Expected = tuple[int, Any]
"""Status and content."""
NAMED = 3
PEOPLE = {name: f"/users/{{}}/{name}" for name in ("posts", "followers", "following", "mutuals")}
READS = PEOPLE | {
    "profile": "/users/{}",
    "post": "/posts/{}",
    "likes": "/posts/{}/likes",
    "comments": "/posts/{}/comments",
    "replies": "/comments/{}/replies",
    "feed": "/feed",
    "ranked": "/feed?order=ranked",
    "requests": "/me/requests",
    "requested": "/me/requested",
    "blocks": "/me/blocks",
    "mutes": "/me/mutes",
    "saved": "/me/saved",
    "collections": "/me/collections",
    "collection": "/me/collections/{}/posts",
    "notifications": "/notifications",
    "unseen": "/notifications/unseen",
}
OWN = ("mutuals", "feed", "ranked", "requests", "requested", "blocks", "mutes", "saved", "collections", "collection")
LOGGED_IN = (*OWN, "notifications", "unseen")
ONE_ANSWER = ("profile", "post", "collections", "unseen")
"""Routes without pages."""


def expected(model: Model, route: str, v: Viewer, b: str) -> Expected:
    """What ``v`` has to get of ``b``, a person, a post, a comment or a collection."""
    if route in PEOPLE:
        return _of_person(model, route, v, b)
    if route == "profile":
        return (404, None) if model.hidden(v, b) else (200, _profile(model, v, b))
    if route in ("post", "likes", "comments"):
        return (200, _of_post(model, route, v, b)) if model.opens(v, b) else (404, None)
    if route == "replies":
        if not model.opens_comment(v, b) or model.comments[b].parent:
            return 404, None
        return 200, [_comment(model, v, one) for one in _met_comments(model, v, model.comments[b].post, b)]
    assert v is not None
    if route == "collection" and model.collections.get(b) != v:
        return 404, None
    return 200, _own(model, route, v, b)


def _of_person(model: Model, route: str, v: Viewer, b: str) -> Expected:
    if not model.open(v, b):
        return (404 if model.hidden(v, b) else 403), None
    followers = {x for x, y in model.follows if y == b and not model.hidden(v, x)}
    match route:
        case "posts":
            return 200, newest(post for post, author in model.posts.items() if author == b)
        case "followers":
            return 200, sorted(followers)
        case "following":
            return 200, sorted(y for x, y in model.follows if x == b and not model.hidden(v, y))
    return 200, sorted(x for x in followers if (v, x) in model.follows)


def _profile(model: Model, v: Viewer, b: str) -> Any:
    you = None
    if v not in (None, b):
        you = {
            "follow": (v, b) in model.follows,
            "requested": (v, b) in model.asks,
            "mute": (v, b) in model.mutes,
            "followed_by": (b, v) in model.follows,
        }
    followers = sum(two[1] == b for two in model.follows)
    following = sum(two[0] == b for two in model.follows)
    return b in model.private, followers, following, sum(author == b for author in model.posts.values()), you


def _of_post(model: Model, route: str, v: Viewer, b: str) -> Any:
    if route == "post":
        return _post(model, v, b)
    if route == "likes":
        return sorted(x for x, post in model.likes if post == b and not model.hidden(v, x))
    found = _met_comments(model, v, b)
    pinned = [_comment(model, v, one) for one in found if one in model.pins]
    return [_comment(model, v, one) for one in newest(found) if one not in model.pins], pinned, b in model.disabled


def _post(model: Model, v: Viewer, b: str) -> Any:
    mentions, tagged = model.named[b]
    likers = {x for x, post in model.likes if post == b}
    followed = sorted(x for x in likers if v and (v, x) in model.follows and not model.hidden(v, x))
    return (
        len(likers),
        v in likers,
        model.comment_count(b),
        sum(post == b for _, post in model.shares),
        (v, b) in model.saves,
        followed[:NAMED],
        [x for x in mentions if not model.hidden(v, x)],
        [x for x in tagged if not model.hidden(v, x)],
    )


def _met_comments(model: Model, v: Viewer, post: str, parent: str = "") -> list[str]:
    return sorted(one for one in model.under(post, parent) if not model.hidden(v, model.comments[one].by))


def _comment(model: Model, v: Viewer, comment: str) -> Any:
    said = model.comments[comment]
    replies = sum(1 for _ in model.under(said.post, comment))
    return comment, said.by, replies, [x for x in said.mentions if not model.hidden(v, x)]


def _own(model: Model, route: str, v: str, b: str) -> Any:
    match route:
        case "feed" | "ranked":
            followed = {y for x, y in model.follows if x == v and (v, y) not in model.mutes and model.open(v, y)}
            return newest(post for post, author in model.posts.items() if author in followed)
        case "requests":
            return sorted(x for x, y in model.asks if y == v and not model.hidden(v, x))
        case "requested":
            return sorted(y for x, y in model.asks if x == v and not model.hidden(v, y))
        case "blocks":
            # Who went away, or blocks back, has no name.
            return sorted((y, y not in model.away and (y, x) not in model.blocks) for x, y in model.blocks if x == v)
        case "mutes":
            return sorted(y for x, y in model.mutes if x == v and not model.hidden(v, y))
        case "saved":
            return newest(post for x, post in model.saves if x == v and model.opens(v, post))
        case "collections":
            return newest(collection for collection, owner in model.collections.items() if owner == v)
        case "collection":
            return newest(post for collection, post in model.collected if collection == b and model.opens(v, post))
    groups = [(group, causes) for group in model.causes if (causes := standing(model, v, group))]
    unseen = sum(max(causes.values()) > model.seen_up_to.get(v, 0) for _, causes in groups)
    if route == "unseen":
        return unseen
    groups.sort(key=lambda one: model.told_last[one[0]], reverse=True)
    return [_notification(*one) for one in groups], unseen


def standing(model: Model, v: str, group: Group) -> dict[tuple[str, str], int]:
    """What stands of a group for its recipient."""
    if group.recipient != v or (v, group.kind) in model.silenced or (group.post and not model.opens(v, group.post)):
        return {}
    return {
        (actor, comment): when
        for (actor, comment), when in model.causes[group].items()
        if not model.hidden(v, actor) and (v, actor) not in model.mutes and (not comment or model.stands(comment))
    }


def _notification(group: Group, causes: dict[tuple[str, str], int]) -> Any:
    latest = sorted(causes, key=lambda one: causes[one], reverse=True)
    actors = list(dict.fromkeys(actor for actor, _ in latest))
    return group.kind, group.post or None, latest[0][1] or None, actors[:NAMED], len(actors)


def newest(ids: Iterable[str]) -> list[str]:
    return sorted(ids, reverse=True)


# -- what was shown ---------------------------------------------------------------------------------------------------


def told(route: str, pages: list[dict[str, Any]]) -> Any:
    """What the answers hold, in the form of ``expected``."""
    first, items = pages[0], [item for page in pages for item in page.get("items", [])]
    match route:
        case "profile":
            return first["private"], first["followers"], first["following"], first["posts"], first["you"]
        case "post":
            counts = ("like_count", "liked_by_me", "comment_count", "share_count", "saved_by_me")
            lists = ("liked_by_followed", "mentions", "tagged")
            return *(first[name] for name in counts), *(_ids(first[name]) for name in lists)
        case "comments":
            assert not any(page["pinned"] for page in pages[1:])
            return [_said(one) for one in items], sorted(_said(one) for one in first["pinned"]), first["disabled"]
        case "replies":
            return [_said(one) for one in items]
        case "ranked":
            return newest(_ids(items))  # in whatever order: each once
        case "blocks":
            return [(item["id"], bool(item["name"])) for item in items]
        case "unseen":
            return first["unseen_count"]
        case "notifications":
            found = [
                (one["kind"], one["post_id"], one["comment_id"], _ids(one["actors"]), one["actor_count"])
                for one in items
            ]
            return found, first["unseen_count"]
    return _ids(items)


def _ids(items: list[dict[str, Any]]) -> list[str]:
    return [item["id"] for item in items]


def _said(one: dict[str, Any]) -> Any:
    assert one["text"], "nobody's text is empty while their key is there"
    return one["id"], one["author"]["id"], one["reply_count"], _ids(one["mentions"])
