"""What is refused of a comment before it is said: too many of them, the same again, a flood of links."""

from __future__ import annotations

from hashlib import blake2b

from fastapi import Request

from api.limits import count
from api.problems import Problem
from api.stores import Stores
from sinks.idempotency import Claim
from sinks.throttles import Allowance
from streams.spam import FLOOD_ADDRESSES, gist, is_flood

SHORT = 20
"""Letters up to which the same may be said under different posts: many like many things."""
_ONCE_A_DAY = Allowance(1, 1 / 86_400)


async def check(
    request: Request, stores: Stores, user_id: int, post_id: int, text: str, claim: Claim, *, keyed: bool
) -> None:
    """Raise ``Problem`` 422 for a flood of links, 429 for the same again or too many. A retry of what was let through
    is let through; ``keyed`` says that there may be one."""
    if is_flood(text):
        detail = f"A comment has at most {FLOOD_ADDRESSES} links. Leave some of them out."
        raise Problem(422, "too-many-links", detail)
    passed = f"commented:{claim.id}"
    if not claim.first and await stores.throttles.take(passed, _ONCE_A_DAY):
        return
    try:
        await _check_said(request, stores, user_id, post_id, text)
    except Problem:
        if not claim.first:
            await stores.throttles.forgive(passed)
        raise
    if claim.first and keyed:
        await stores.throttles.take(passed, _ONCE_A_DAY)


async def _check_said(request: Request, stores: Stores, user_id: int, post_id: int, text: str) -> None:
    settings = stores.settings
    allowance = Allowance(settings.comment_burst, settings.comment_per_second)
    detail = f"You comment faster than is allowed: {settings.comment_burst} a minute. Wait a moment."
    refusal = Problem(429, "too-many-comments", detail)
    await count(request, stores, "comments", f"comments:{user_id}", allowance, refusal)
    words = gist(text) or text.strip()
    where = "" if len(words) > SHORT else str(post_id)
    # Hashed under the person's id: what was said stands nowhere in clear.
    said = blake2b(words.encode(), key=str(user_id).encode(), digest_size=16).hexdigest()
    wait = await stores.throttles.take(f"said:{user_id}:{where}:{said}", Allowance(1, 1 / settings.repeat_seconds))
    if wait:
        raise Problem(429, "comment-repeated", "You have just said the same. Say something else.", retry_after=wait)
