"""What the home feed's buckets hold once a whole log is applied: worked out at once, for all buckets, without I/O.

``Layout`` gives the commands that put it into empty buckets. They may end anywhere: Redis can lose its last second, or
be put back to a snapshot taken in between. The live sink, which finds no fences then and begins at -1, makes of any
part of it what it makes of empty buckets, since it reconciles every follow with the timelines again.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from sinks.redis_bulk import Chunk, Commands, Ids, Words, word
from streams.buckets import GOLDEN

Places = npt.NDArray[np.intp]
"""Indices into an array."""
CHUNK_BYTES = 2_000_000
_GATHERED = 2_000_000
"""Ids of timelines that are merged at a time: more people together go faster, and take more memory."""
_FIELDS = 500
"""Fields of one HSET."""


def buckets_of(user_ids: Ids, buckets: int) -> Places:
    """``bucket_of`` for many."""
    mixed = user_ids.astype(np.uint64) * np.uint64(GOLDEN)
    low, high = mixed & np.uint64(0xFFFF_FFFF), mixed >> np.uint64(32)
    count, half = np.uint64(buckets), np.uint64(32)
    found: Places = ((high * count + (low * count >> half)) >> half).astype(np.intp)
    return found


def last_of_each(one: Ids, other: Ids) -> tuple[Ids, Ids, npt.NDArray[np.bool_], npt.NDArray[np.bool_]]:
    """The distinct pairs (abs(one), other), sorted; whether the last of each was positive; whether any was negative."""
    absolute = np.abs(one)
    order = np.lexsort((other, absolute))  # stable: equal pairs stay in the order of the log
    signs, first, second = one[order] > 0, absolute[order], other[order]
    ends = np.ones(len(order), np.bool_)
    ends[:-1] = (first[1:] != first[:-1]) | (second[1:] != second[:-1])
    places = np.flatnonzero(ends)
    starts = np.concatenate(([0], places[:-1] + 1)).astype(np.intp) if len(places) else places
    withdrawn = ~np.logical_and.reduceat(signs, starts) if len(places) else ends
    return first[places], second[places], signs[places], withdrawn


def _runs(sorted_ids: npt.NDArray[np.int64] | Places) -> tuple[Places, Places]:
    """Where each run of equal values begins, and where it ends."""
    if not len(sorted_ids):
        return np.zeros(0, np.intp), np.zeros(0, np.intp)
    begins = np.flatnonzero(np.concatenate(([True], sorted_ids[1:] != sorted_ids[:-1])))
    return begins, np.append(begins[1:], len(sorted_ids))


def _ranges(starts: Places, lengths: Places) -> Places:
    """``starts[0]``, ``starts[0] + 1``… (``lengths[0]`` of them), then those from ``starts[1]``, and so on."""
    before = np.cumsum(lengths) - lengths
    return np.repeat(starts - before, lengths) + np.arange(int(lengths.sum()))


@dataclass(frozen=True)
class Shape:
    """How a generation is laid out."""

    generation: int
    buckets: int
    cap: int
    pull_threshold: int

    def prefix(self, bucket: int) -> bytes:
        """What the keys of ``bucket`` begin with."""
        return b"hf%d:{%d}:" % (self.generation, bucket)


class Layout:
    """The final state of ``follows`` (follower, followee; a negative follower unfollows) and ``posts`` (post, author; a
    negative post is withdrawn), both in the order of the log, flat."""

    def __init__(self, shape: Shape, follows: Ids, posts: Ids) -> None:
        self._shape = shape
        followers, followees, stands, _ = last_of_each(follows[0::2], follows[1::2])
        followers, followees = followers[stands], followees[stands]
        published, authors, _, withdrawn = last_of_each(posts[0::2], posts[1::2])

        self.people: Ids = np.unique(np.concatenate((followers, followees, authors)))
        self._names = Words(self.people)
        self._home = buckets_of(self.people, shape.buckets)
        self._follower = np.searchsorted(self.people, followers)
        self._followee = np.searchsorted(self.people, followees)
        self._deleted, self._deleted_by = published[withdrawn], np.searchsorted(self.people, authors[withdrawn])

        self._timelines(published[~withdrawn], np.searchsorted(self.people, authors[~withdrawn]))
        counts = np.bincount(self._followee, minlength=len(self.people))
        self._pulled = (counts >= shape.pull_threshold) & (self._tl_length > 0)
        """Pulled from the first: nothing of theirs is in any feed."""
        gathered = np.where(self._pulled, 0, self._tl_length)[self._followee]
        self.weight = int(gathered.sum()) + 2 * len(self._follower) + len(self._tl_post) + len(self._deleted)
        """What the weights of all chunks come to: ids that are looked at."""

    def _timelines(self, posts: Ids, authors: Places) -> None:
        """``posts`` are sorted by age. Each author's newest ``cap``, oldest first, as places in ``_ids``."""
        order = np.argsort(authors, kind="stable")
        begins, ends = _runs(authors[order])
        owners, lengths = authors[order][begins], ends - begins
        kept = np.minimum(lengths, self._shape.cap)
        self._ids, self._texts = posts, Words(posts)
        self._tl_post: Places = order[_ranges(ends - kept, kept)]
        self._tl_start = np.zeros(len(self.people), np.intp)
        self._tl_length = np.zeros(len(self.people), np.intp)
        self._tl_floor = np.full(len(self.people), -1, np.intp)
        """The newest post that was left out, as a place in ``_ids``."""
        self._tl_start[owners], self._tl_length[owners] = np.cumsum(kept) - kept, kept
        longer = lengths > kept
        self._tl_floor[owners[longer]] = order[(ends - kept - 1)[longer]]

    def chunks(self) -> Iterator[Chunk]:
        """Everything but the fences, bucket by bucket."""
        for bucket in range(self._shape.buckets):
            prefix = self._shape.prefix(bucket)
            yield from self._relations(bucket, prefix)
            yield from self._own(bucket, prefix)
            yield from self._feeds(bucket, prefix)

    def _relations(self, bucket: int, prefix: bytes) -> Iterator[Chunk]:
        """o: f: d: big pulled, and the floors of timelines."""
        made = Commands()
        mine = self._home[self._follower] == bucket
        followers, followees = self._follower[mine], self._followee[mine]
        by_followee = np.argsort(followees, kind="stable")
        deleted = self._home[self._deleted_by] == bucket
        by_author = np.argsort(self._deleted_by[deleted], kind="stable")
        for kind, owners, members, words in (
            (b"o:", followers, followees, self._names),
            (b"f:", followees[by_followee], followers[by_followee], self._names),
            (b"d:", self._deleted_by[deleted][by_author], self._deleted[deleted][by_author], None),
        ):
            picked = words.picked(members) if words else Words(members).picked(np.arange(len(members)))
            begins, ends = _runs(owners)
            ids = self.people[owners[begins]].tolist()
            for owner, start, end in zip(ids, begins.tolist(), ends.tolist(), strict=True):
                made.add(b"SADD", prefix + kind + b"%d" % owner, picked, start, end)
                made.weigh(end - start)
                if made.size > CHUNK_BYTES:
                    yield made.take()
        pulled = self._names.picked(np.flatnonzero(self._pulled))
        for key in (b"big", b"pulled"):
            made.add(b"SADD", prefix + key, pulled, 0, int(self._pulled.sum()))
        owners = np.flatnonzero((self._home == bucket) & (self._tl_floor >= 0))
        _floors(made, prefix, b"t%d", self.people[owners], self._ids[self._tl_floor[owners]])
        yield made.take()

    def _own(self, bucket: int, prefix: bytes) -> Iterator[Chunk]:
        """t:, newest first."""
        made = Commands()
        owners = np.flatnonzero((self._home == bucket) & (self._tl_length > 0))
        lengths = self._tl_length[owners]
        picked = self._texts.picked(self._tl_post[_ranges(self._tl_start[owners], lengths)][::-1])
        ends = np.cumsum(lengths[::-1])[::-1]  # the last owner stands first now
        for owner, end, length in zip(self.people[owners].tolist(), ends.tolist(), lengths.tolist(), strict=True):
            made.add(b"RPUSH", prefix + b"t:%d" % owner, picked, end - length, end)
            made.weigh(length)
            if made.size > CHUNK_BYTES:
                yield made.take()
        yield made.take()

    def _feeds(self, bucket: int, prefix: bytes) -> Iterator[Chunk]:
        """h: and their floors: of everybody followed who is not pulled, the newest ``cap`` posts."""
        mine = (self._home[self._follower] == bucket) & ~self._pulled[self._followee]
        mine &= self._tl_length[self._followee] > 0
        followers, followees = self._follower[mine], self._followee[mine]
        begins, ends = _runs(followers)
        costs = np.cumsum(self._tl_length[followees])
        first = 0
        while first < len(begins):
            base = costs[begins[first] - 1] if begins[first] else 0
            last = int(np.searchsorted(costs[ends - 1], base + _GATHERED, "right"))
            last = max(last, first + 1)
            some = slice(int(begins[first]), int(ends[last - 1]))
            yield from self._merged(prefix, followers[some], followees[some])
            first = last

    def _merged(self, prefix: bytes, followers: Places, followees: Places) -> Iterator[Chunk]:
        """The feeds of some people: pairs sorted by follower."""
        cap = self._shape.cap
        begins, ends = _runs(followers)
        owners = self.people[followers[begins]]
        lengths = self._tl_length[followees]
        floors = np.maximum.reduceat(self._tl_floor[followees], begins)
        # Numbered among these people, and above the post: one sort of plain numbers sorts each feed, newest first.
        person = np.repeat(np.repeat(np.arange(len(begins)), ends - begins), lengths)
        post = self._tl_post[_ranges(self._tl_start[followees], lengths)]
        above = post > floors[person]
        count = len(self._ids)
        keys = person[above] * count + (count - 1 - post[above])
        keys.sort()
        person, post = keys // count, count - 1 - keys % count
        starts = np.searchsorted(person, np.arange(len(begins)))
        lengths = np.diff(np.append(starts, len(person)))
        cut = lengths > cap
        floors[cut] = post[starts[cut] + cap]  # above any floor of a timeline, since only those above were taken
        floored = floors >= 0
        made = Commands()
        _floors(made, prefix, b"%d", owners[floored], self._ids[floors[floored]])
        kept = np.minimum(lengths, cap)
        weights = np.add.reduceat(self._tl_length[followees], begins)
        picked = self._texts.picked(post[_ranges(starts, kept)])
        stops = np.cumsum(kept)
        for owner, stop, size, weight in zip(
            owners.tolist(), stops.tolist(), kept.tolist(), weights.tolist(), strict=True
        ):
            made.add(b"RPUSH", prefix + b"h:%d" % owner, picked, stop - size, stop)
            made.weigh(weight)
            if made.size > CHUNK_BYTES:
                yield made.take()
        yield made.take()


def _floors(made: Commands, prefix: bytes, field: bytes, owners: Ids, floors: Ids) -> None:
    fields = [
        word(field % owner) + word(b"%d" % floor) for owner, floor in zip(owners.tolist(), floors.tolist(), strict=True)
    ]
    for start in range(0, len(fields), _FIELDS):
        some = fields[start : start + _FIELDS]
        made.add_packed(b"HSET", prefix + b"floors", 2 * len(some), b"".join(some))
