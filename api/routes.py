"""What routes share: ids in addresses, and people by name or id."""

from __future__ import annotations

from typing import Annotated

from fastapi import Path

from api.bodies import username_of
from api.problems import Problem, not_found
from api.stores import Stores
from schemas.ids import MAX_ID
from sinks.posts import PostRow
from streams.rules import may_open

UserPath = Annotated[str, Path(description="A username or a user id.", examples=["ada", "1000000000000000001"])]
IdPath = Annotated[str, Path(description="An id.", examples=["1000000000000000001"])]


def id_of(text: str, what: str) -> int:
    """The id in an address; anything else names no ``what``: ``Problem`` 404."""
    if not (text.isascii() and text.isdecimal() and len(text) <= len(str(MAX_ID)) and 0 < int(text) <= MAX_ID):
        raise not_found(what)
    return int(text)


async def user_id_of(stores: Stores, user: str) -> int:
    """The person behind a username or an id. An id is taken as it is; an unknown name is ``Problem`` 404."""
    if user.isascii() and user.isdecimal():
        return id_of(user, "person")
    try:
        name = await stores.usernames.find(username_of(user))
    except ValueError as error:
        raise not_found("person") from error
    if name is None:
        raise not_found("person")
    return name.user_id


async def check_person(stores: Stores, user_id: int) -> None:
    """Raise ``Problem`` 404 unless there is such a person: in the view, or registered here a moment ago."""
    if user_id not in await stores.accounts.by_ids([user_id]) and await stores.credentials.find(user_id) is None:
        raise not_found("person")


def check_author(author_id: int, user_id: int) -> None:
    """Raise ``Problem`` 403 unless the post is one's own."""
    if author_id != user_id:
        raise Problem(403, "not-yours", "This post is somebody else's: only its author can change or delete it.")


async def open_post(stores: Stores, post_id: int, viewer_id: int | None) -> PostRow:
    """The post, as the view has it or as it was submitted; ``Problem`` 404 where ``viewer_id`` may not see it."""
    row = (await stores.posts.by_ids([post_id])).get(post_id) or await _submitted(stores, post_id)
    if row is None or not may_open(row, viewer_id):
        raise not_found("post")
    return row


async def _submitted(stores: Stores, post_id: int) -> PostRow | None:
    submitted = await stores.submissions.post(post_id)
    if submitted is None:
        return None
    return PostRow(
        post_id=post_id,
        author_id=submitted.author_id,
        media_ids=submitted.media_ids,
        caption=submitted.caption,
        submitted_at=submitted.at,
        edited_at=None,
        published_at=None,
        media=[],
        rejected_code=None,
        rejected_reason=None,
        deleted=False,
    )
