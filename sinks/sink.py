"""What ``deliver`` asks of a sink."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from typing import Protocol, TypeVar

from streams.records import Spans, TopicPartition

Write_contra = TypeVar("Write_contra", contravariant=True)


class Sink(Protocol[Write_contra]):
    """Applies writes and holds, with them, the offsets up to which they are applied.

    Invariant: the effect of every write at or below a partition's fence is in the store, exactly once.
    """

    async def fences(self, partitions: Collection[TopicPartition]) -> dict[TopicPartition, int]:
        """The lowest offset applied everywhere in this sink, for each partition; -1 where nothing is.

        Raises ``StoreAway``, and ``LogRemade`` where a fence belongs to another incarnation of the topic.
        """

    async def apply(self, writes: Sequence[Write_contra], spans: Spans) -> None:
        """Apply ``writes`` (in order within each partition) and move the fences to ``spans[tp].last``.

        Writes at or below a fence are skipped. Nothing is applied and ``FenceBehind`` is raised if a stored fence
        is lower than ``spans[tp].prior``. With no writes this is the idle call that notices a lost store.
        Raises ``StoreAway`` when the store cannot be reached: the same call can then be made again.
        """


class BulkSink(Sink[Write_contra], Protocol):
    """A sink for replay, which may keep what it is given, in memory and in a checkpoint, until it is loaded.

    ``fences`` counts what is kept as applied. One process at a time feeds it, and nobody else writes its generation
    before it is loaded.
    """

    async def checkpoint(self) -> None:
        """Make what was applied so far outlive this process. A kill at any moment leaves the checkpoint before, or
        this one."""

    async def load(self, moved: Callable[[int, int], None]) -> None:
        """Write everything into the store, the fences last; the live sink can then go on in the same generation.

        ``moved`` hears (done, of), in a unit of the sink's own. Can be called again after a kill or a failure, and
        then begins anew with what was not finished. Raises ``StoreAway``.
        """
