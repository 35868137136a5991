"""The index of search by itself: what a commit that was cut off leaves behind."""

from __future__ import annotations

from pathlib import Path

from sinks.search_index import FOLDER, Person, Writing, held, open_index
from streams.records import TopicPartition

TP = TopicPartition("accounts", 0)


def write(folder: Path, offset: int, name: str) -> None:
    """One commit, by a process of its own as it were: everybody is there, and one is said anew."""
    writing = Writing(open_index(folder, make=True))
    for number in range(1, 6) if not offset else (1,):
        writing.remove([f"u:{number}"])
        writing.person(Person(number, f"ada{number}", name, False, 0))
    writing.commit({TP: (offset, "id")})


def test_a_commit_that_was_cut_off_before_its_last_word_can_be_made_again(tmp_path: Path) -> None:
    meta = tmp_path / FOLDER / "meta.json"
    write(tmp_path, 0, "Ada")
    before = meta.read_bytes()
    write(tmp_path, 1, "Ada Lovelace")
    assert list(meta.parent.glob("*.del")), "the second commit wrote down whom it took out of the first one's files"
    meta.write_bytes(before)  # all files of the second commit are there, and nothing says so
    assert held(open_index(tmp_path)) == {TP: (0, "id")}
    write(tmp_path, 1, "Ada Lovelace")
    index = open_index(tmp_path)
    assert held(index) == {TP: (1, "id")}
    assert index.searcher().num_docs == 6
