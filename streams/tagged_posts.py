"""Tagged posts: which posts have named a hashtag or a place, newest first, in ``tagged_posts``.

A row says that a post named it once, and stays: what a post names now, and whether it still stands, is its own row's to
say, which every reader of a list looks at anyway. So no event has to know what a caption said before, and an edit that
takes a tag away, or gives it back, needs no order among tables. How many posts name it now is counted exactly by the
counters.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from schemas.events import PostEdited, PostSubmitted
from streams.records import Record
from streams.trending import HASHTAGS, PLACES, name_of
from streams.views import Mark, Upsert, View


def names_of(hashtags: Iterable[str], place: str) -> tuple[str, ...]:
    """The names, as the trends have them, of what a post is about: its hashtags and its place, each once."""
    names = [name_of(HASHTAGS, tag) for tag in hashtags]
    if place:
        names.append(name_of(PLACES, place))
    return tuple(dict.fromkeys(names))


def project(batch: Sequence[Record]) -> list[Upsert]:
    """One upsert for each name in each submission and each edit."""
    writes: list[Upsert] = []
    for tp, offset, _, event in batch:
        if isinstance(event, PostSubmitted | PostEdited):
            mark, columns = Mark(tp, offset), {"author_id": event.author_id}
            for name in names_of(event.hashtags, event.place):
                writes.append(Upsert(mark, "tagged_posts", {"name": name, "post_id": event.post_id}, columns))
    return writes


TAGGED_POSTS: View[Upsert] = View("tagged_posts", ("posts",), project)
