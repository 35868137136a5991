"""What to explore."""

from __future__ import annotations

import asyncio

from fastapi import APIRouter

from api.consistency import Fresh
from api.cursors import Cursor, Limit, to_cursor
from api.explore import Exploring, told
from api.identity import Reader
from api.models_explore import Explore, Explored, ExploreFreshness, ExploreModel, Reason
from api.presenting import moment
from api.problems import problems
from api.stores import Opened

router = APIRouter(prefix="/api/v1", tags=["explore"])
_VIEWS = ("posts", "accounts", "follows", "saves", "seen_posts", "trending")


@router.get("/explore", responses=problems(400, 401, 422, 503))
async def explore(me: Reader, stores: Opened, fresh: Fresh, cursor: Cursor, limit: Limit = 30) -> Explore:
    """Posts that you have not seen: what trends, what people whom you follow keep, and what people turned to who like
    what you like. At most one post of each person; nothing of private people, of those you mute or block, or of your
    own. The list stays the same for five minutes; who may see what is looked at each time."""
    counts, _ = await asyncio.gather(fresh.reach_counts(me.user_id), fresh.reach(me.user_id, *_VIEWS))
    items, listed, after = await Exploring(stores, me.user_id, fresh).page(cursor, limit, counts)
    model = {"version": listed.model, "trained_at": moment(listed.trained_at)} if listed.model else None
    return Explore(
        items=[
            Explored(post=post, reason=Reason(kind=kind, people=people, text=text))
            for post, pick in items
            for kind, people, text in (told(pick),)
        ],
        freshness=ExploreFreshness.model_validate(
            {
                "made_at": moment(listed.made_at),
                "model": ExploreModel.model_validate(model) if model else None,
                "missing": listed.missing,
            }
        ),
        next_cursor=None if after is None else to_cursor(after),
    )
