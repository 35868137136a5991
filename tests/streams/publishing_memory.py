"""The publisher's memory without a server, which lets others run at every step that is not atomic in Cassandra."""

from __future__ import annotations

from collections.abc import Collection, Generator, Sequence

from schemas.events import RenderedMedia
from streams.publishing import Memory, Outcome, Post, Removed, Seen, Settled, Submitted
from streams.rendering import Refusal


class Turn:
    """Awaiting it lets whoever drives the coroutine run others first, or never come back."""

    def __await__(self) -> Generator[None, None, None]:
        yield


class MemoryInMemory(Memory):
    """Every row is written, and every key read, in a turn of its own."""

    def __init__(self) -> None:
        self.posts: dict[tuple[int, int], Post] = {}
        """By media id and post id."""
        self.rendered: dict[int, RenderedMedia] = {}
        self.refused: dict[int, tuple[int, Refusal]] = {}
        self.gone: set[int] = set()

    async def store(self, seen: Sequence[Seen]) -> None:
        for one in seen:
            match one:
                case Submitted(_, post):
                    for media_id in post.media_ids:
                        await Turn()
                        self.posts[media_id, post.post_id] = post
                case Settled(_, media_id, RenderedMedia() as rendered):
                    await Turn()
                    self.rendered[media_id] = rendered
                case Settled(cause, media_id, Refusal() as refusal):
                    await Turn()
                    if media_id not in self.refused or self.refused[media_id][0] <= cause.mark.offset:
                        self.refused[media_id] = cause.mark.offset, refusal
                case Removed(_, post_id):
                    await Turn()
                    self.gone.add(post_id)

    async def wanting(self, media_ids: Collection[int]) -> list[tuple[int, Post]]:
        found = []
        for media_id in media_ids:
            await Turn()
            found += [(media_id, post) for (wanted, _), post in self.posts.items() if wanted == media_id]
        return found

    async def outcomes(self, media_ids: Collection[int]) -> dict[int, Outcome]:
        found: dict[int, Outcome] = {}
        for media_id in media_ids:
            await Turn()
            if media_id in self.rendered:
                found[media_id] = self.rendered[media_id]
            elif media_id in self.refused:
                found[media_id] = self.refused[media_id][1]
        return found

    async def removed(self, post_ids: Collection[int]) -> set[int]:
        await Turn()
        return self.gone & set(post_ids)
