"""Letters, folded from the records of a DLQ: which records are one, what became of each, what taints a view."""

from __future__ import annotations

from typing import Any

from sinks.dead_letters_fold import DeadRecord, Letter, LetterId, Resolution, fold
from sinks.generations import Generations
from streams.records import TopicPartition

GRAPH = TopicPartition("graph", 3)
POSTS = TopicPartition("posts", 0)


class Dlq:
    """The records of the DLQs, in the order in which they are put."""

    def __init__(self) -> None:
        self.records: list[DeadRecord] = []

    def put(
        self,
        tp: TopicPartition,
        offset: int,
        view: str = "",
        at: int = 100,
        key: bytes | None = b"k",
        value: bytes | None = b"v",
        **headers: Any,
    ) -> LetterId:
        """A try of a letter."""
        known = {"error": f"bad at {at}", "stack": "", "first_seen": at, "last_seen": at, "tries": 1} | headers
        self._add(tp, offset, view, known, key, value)
        return LetterId(tp, offset, view)

    def resolve(self, letter: LetterId, how: str, at: int = 500, by: str = "") -> None:
        """The record that resolves a letter."""
        self._add(letter.tp, letter.offset, letter.view, {"resolution": how, "at": at, "by": by}, b"k", None)

    def _add(
        self,
        tp: TopicPartition,
        offset: int,
        view: str,
        headers: dict[str, Any],
        key: bytes | None,
        value: bytes | None,
    ) -> None:
        where = {"topic": tp.topic, "partition": tp.partition, "offset": offset, "view": view}
        encoded = {name: str(text).encode() for name, text in (headers | where).items()}
        dlq = TopicPartition(tp.topic + ".dlq", tp.partition)
        self.records.append(DeadRecord(dlq, len(self.records), key, value, encoded))

    def letters(self, **generations: Generations) -> dict[LetterId, Letter]:
        """All letters."""
        return dict(fold(self.records, generations).letters)

    def tainted(self, view: str, **generations: Generations) -> list[int]:
        """The offsets of the letters that taint ``view``."""
        return [letter.id.offset for letter in fold(self.records, generations).refusals(view)]


def test_the_tries_of_a_record_are_one_letter_whoever_met_it() -> None:
    dlq = Dlq()
    bad = dlq.put(GRAPH, 7, at=200, error="newer", stack="")
    dlq.put(GRAPH, 7, at=100, error="older", tries=2)
    assert dlq.letters() == {
        bad: Letter(
            id=bad,
            error="newer",
            stack="",
            first_seen=100,
            last_seen=200,
            tries=3,
            key=b"k",
            value=b"v",
            key_size=1,
            value_size=1,
        )
    }
    assert dlq.letters()[bad].kind == "undecodable"


def test_each_view_that_refuses_a_record_has_a_letter_of_its_own() -> None:
    dlq = Dlq()
    follows, feeds = dlq.put(GRAPH, 7, "follows"), dlq.put(GRAPH, 7, "home_feed")
    other = dlq.put(POSTS, 7)
    assert list(dlq.letters()) == [follows, feeds, other]
    assert [letter.kind for letter in dlq.letters().values()] == ["refused", "refused", "undecodable"]
    assert (dlq.tainted("follows"), dlq.tainted("posts")) == ([7], [])


def test_a_resolved_letter_stays_so_although_it_is_met_again() -> None:
    dlq = Dlq()
    bad, refused = dlq.put(GRAPH, 7), dlq.put(GRAPH, 9, "follows")
    dlq.resolve(bad, "redriven", 500, "graph-3@12")
    dlq.put(GRAPH, 7, at=900)  # after a rewind
    dlq.resolve(bad, "redriven", 950, "graph-3@12")  # carried over
    dlq.resolve(refused, "purged")
    letters = dlq.letters()
    assert letters[bad].resolution == Resolution("redriven", 500, "graph-3@12")
    assert letters[bad].tries == 2
    assert letters[refused].resolution == Resolution("purged", 500)
    assert dlq.tainted("follows") == []
    assert fold(dlq.records, {}).unresolved() == []


def test_a_resolution_counts_before_its_letter_too() -> None:
    """They may stand in different partitions, and a purge may have taken the first letter away."""
    dlq = Dlq()
    dlq.resolve(LetterId(GRAPH, 7, ""), "redriven", 500, "graph-3@12")
    assert dlq.letters() == {}
    bad = dlq.put(GRAPH, 7, at=900)
    assert dlq.letters()[bad].resolution == Resolution("redriven", 500, "graph-3@12")


def test_missing_keys_and_cut_values_are_told_apart() -> None:
    dlq = Dlq()
    missing = dlq.put(GRAPH, 1, key=None, value=None)
    empty = dlq.put(GRAPH, 2, key=b"", value=b"")
    cut = dlq.put(GRAPH, 3, value_bytes=9000)
    letters = dlq.letters()
    assert (letters[missing].key_size, letters[missing].value_size, letters[missing].is_whole) == (-1, -1, True)
    assert (letters[empty].key_size, letters[empty].value_size, letters[empty].is_whole) == (0, 0, True)
    assert (letters[cut].value_size, letters[cut].is_whole) == (9000, False)


def test_what_is_no_dead_letter_is_counted_and_passed_over() -> None:
    dlq = Dlq()
    bad = dlq.put(GRAPH, 7)
    dlq.records.append(DeadRecord(TopicPartition("graph.dlq", 0), 5, b"k", b"hello", {}))
    dlq.put(GRAPH, 8, tries="many")
    dlq.resolve(bad, "eaten")
    book = fold(dlq.records, {})
    assert list(book.letters) == [bad]
    assert book.foreign == 3
    assert book.letters[bad].resolution is None


# -- what a replay makes good -----------------------------------------------------------------------------------------

FRESH = Generations(view="follows")
BUILT = {"graph-3": 10, "graph-4": 50}


def test_a_replay_that_refused_nothing_ends_the_taint_as_far_as_it_was_built() -> None:
    dlq = Dlq()
    inside, beyond = dlq.put(GRAPH, 10, "follows"), dlq.put(GRAPH, 11, "follows")
    elsewhere = dlq.put(GRAPH, 10, "home_feed")
    undecodable = dlq.put(GRAPH, 9)
    assert dlq.tainted("follows", follows=FRESH) == [10, 11]

    replayed = FRESH.begun(200).flipped(2, 300, refused=0, built_to=BUILT)
    letters = dlq.letters(follows=replayed)
    assert letters[inside].resolution == Resolution("replayed", 300, "generation 2")
    assert [letters[one].resolution for one in (beyond, elsewhere, undecodable)] == [None, None, None]

    # Its first generation, gone back to, never took them.
    assert dlq.tainted("follows", follows=replayed.flipped(1, 400)) == [10, 11]
    assert dlq.tainted("follows", follows=replayed.flipped(1, 400, built_to=BUILT)) == [10, 11]
    # While the next is being built, the first is still what readers see.
    assert dlq.tainted("follows", follows=FRESH.begun(200)) == [10, 11]


def test_what_the_new_generation_refused_too_still_taints() -> None:
    dlq = Dlq()
    dlq.put(GRAPH, 5, "follows", at=100)
    dlq.put(GRAPH, 6, "follows", at=100)
    replayed = FRESH.begun(200).flipped(2, 300, refused=1, built_to=BUILT)
    # It is not known which of the two was refused once more.
    assert dlq.tainted("follows", follows=replayed) == [5, 6]
    dlq.put(GRAPH, 6, "follows", at=250, generation=2)
    assert dlq.tainted("follows", follows=replayed) == [6]


def test_a_refusal_after_the_flip_is_the_live_generation_s() -> None:
    dlq = Dlq()
    dlq.put(GRAPH, 5, "follows", at=100)
    replayed = FRESH.begun(200).flipped(2, 300, refused=0, built_to=BUILT)
    dlq.put(GRAPH, 5, "follows", at=350, generation=1)  # a straggler, which says so
    assert dlq.tainted("follows", follows=replayed) == []
    dlq.put(GRAPH, 5, "follows", at=360)
    assert dlq.tainted("follows", follows=replayed) == [5]
