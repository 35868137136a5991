"""The search index: one tantivy index for each generation, of people, hashtags, places and posts, and in the same
commit the offsets that it holds.

What a word can be found by the beginning of is in the index with each of its beginnings, so that a letter typed is one
term, whatever the number of people whose name begins with it; and a typo is a term within an edit distance of that.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import NamedTuple, Self

from tantivy import Document, Index, IndexWriter, Query, Schema, SchemaBuilder, TextAnalyzerBuilder, Tokenizer

from sinks.search_rows import Held, NameRow
from sinks.settings import Settings
from streams.records import TopicPartition
from streams.search import (
    BADGE_LEVELS,
    LONGEST,
    RANK_BITS,
    WORDS_OF_A_CAPTION,
    City,
    level,
    plain,
    rank,
    words,
    words_of_a_name,
    words_of_a_person,
)

FOLDER = "index"
HELD = "fences"
PEOPLE, HASHTAGS, PLACES = "person", "hashtag", "place"
"""What is found by beginnings, each in a field of its own."""
_HEAP_BYTES = 64_000_000
_BEGINNINGS, _WHITESPACE, _RAW = "beginnings", "whitespace", "raw"


def folder_of(settings: Settings, generation: int) -> Path:
    """Where a generation stands: agents write it there, gateways on the same machine (or folder) read it."""
    root = settings.search_root or settings.shutterlog_home / "data" / "search"
    return root / f"{settings.topic_prefix}{generation}"


def schema() -> Schema:
    """Of every document; each kind has some of the fields."""
    builder = SchemaBuilder()
    builder.add_text_field("key", stored=True, tokenizer_name=_RAW, index_option="basic")
    builder.add_text_field("said", stored=True, tokenizer_name=_RAW, index_option="basic")
    builder.add_unsigned_field("id", indexed=True, fast=True)
    builder.add_unsigned_field("rank", indexed=True, fast=True)
    for kind in (PEOPLE, HASHTAGS, PLACES):
        builder.add_text_field(kind, tokenizer_name=_BEGINNINGS, index_option="basic")
    builder.add_text_field("whole", tokenizer_name=_RAW, index_option="basic")
    builder.add_text_field("caption", tokenizer_name=_WHITESPACE, index_option="basic")
    builder.add_float_field("latitude", indexed=True, fast=True)
    builder.add_float_field("longitude", indexed=True, fast=True)
    return builder.build()


SCHEMA = schema()


def open_index(folder: Path, *, make: bool = False) -> Index:
    """The index in ``folder``, made there with ``make``. Raises ``ValueError`` where there is none that can be read."""
    path = folder / FOLDER
    if make:
        path.mkdir(parents=True, exist_ok=True)
        index = Index(SCHEMA, path=str(path))
    else:
        index = Index.open(str(path))
    beginnings = Tokenizer.ngram(min_gram=1, max_gram=LONGEST, prefix_only=True)
    index.register_tokenizer(_BEGINNINGS, TextAnalyzerBuilder(beginnings).build())
    index.config_reader("manual")
    return index


class Person(NamedTuple):
    """A person who can be found, opened."""

    user_id: int
    username: str
    name: str
    verified: bool
    followers: int


class Writing:
    """One commit: documents by key, each in place of the one before, and the offsets that they speak of.

    A context manager, at whose end the next one may write. Without it a failure would keep the index from everybody:
    its traceback holds the frames, they hold the writer, and that holds the lock, until a garbage collection that
    agents hardly ever make.
    """

    def __init__(self, index: Index) -> None:
        """Raises ``ValueError`` while another writer is at work."""
        self._writer: IndexWriter = index.writer(_HEAP_BYTES, 1)
        # A commit that was cut off leaves files behind, and the next one, which counts on from the same number, would
        # give its own the same names: tantivy refuses that, each time anew.
        self._writer.garbage_collect_files()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *failure: object) -> None:
        del self._writer

    def clear(self) -> None:
        """Begin with nothing: the files of all that was there go with the commit."""
        self._writer.delete_all_documents()

    def remove(self, keys: Iterable[str]) -> None:
        """These are found no more."""
        for key in keys:
            self._writer.delete_documents_by_term("key", key)

    def person(self, person: Person) -> None:
        """Add somebody; ``remove`` comes before."""
        document = _document(f"u:{person.user_id}", person.user_id, said_of_person(person))
        stands = level(person.followers) + BADGE_LEVELS * person.verified
        document.add_unsigned("rank", rank(stands, person.user_id))
        for whole in {plain(person.username), " ".join(plain(person.name).split())} - {""}:
            document.add_text("whole", whole)
        for word in words_of_a_person(person.username, person.name):
            document.add_text(PEOPLE, word)
        self._writer.add_document(document)

    def name(self, row: NameRow, *, found: bool = True) -> None:
        """Add a hashtag or place. Where a city has its name, it is ``found`` by the city's."""
        number = _number(row.name)
        document = _document(row.name, number, said_of_name(row))
        document.add_unsigned("rank", rank(level(row.posts), number))
        for word in words_of_a_name(row.name[2:]) if found else ():
            document.add_text(HASHTAGS if row.name.startswith("t:") else PLACES, word)
        self._writer.add_document(document)

    def post(self, post_id: int, author_id: int, caption: str) -> None:
        """Add a post, if its caption has words. The newest rank highest."""
        found = words(caption, WORDS_OF_A_CAPTION)
        document = _document(f"p:{post_id}", post_id, said_of_post(author_id, caption))
        document.add_unsigned("rank", post_id)
        document.add_text("caption", " ".join(found))
        self._writer.add_document(document)

    def city(self, city: City) -> None:
        """Add a place of the operator's file."""
        said = {"name": city.name, "country": city.country, "population": city.population, "id": city.id}
        document = _document(f"g:{city.id}", city.id, json.dumps(said, ensure_ascii=False))
        document.add_unsigned("rank", rank(level(city.population), city.id))
        document.add_float("latitude", city.latitude)
        document.add_float("longitude", city.longitude)
        # Of its names in other words only the whole, or "new york" would find whatever is new in one of them.
        others = (plain(other) for other in city.others)
        for word in dict.fromkeys((*words_of_a_name(city.name), *others)):
            document.add_text(PLACES, word)
        self._writer.add_document(document)

    def commit(self, held: Mapping[TopicPartition, tuple[int, str]]) -> None:
        """All of it and the offsets, at once; then what merges there are to make."""
        self.remove([HELD])
        said = {str(tp): [tp.topic, tp.partition, *fence] for tp, fence in held.items()}
        self._writer.add_document(_document(HELD, 0, json.dumps(said)))
        self._writer.commit()
        self._writer.wait_merging_threads()


def _document(key: str, number: int, said: str) -> Document:
    document = Document()
    document.add_text("key", key)
    document.add_unsigned("id", number)
    document.add_text("said", said)
    return document


def held(index: Index) -> Held:
    """The offsets of the last commit."""
    index.reload()
    searcher = index.searcher()
    hits = searcher.search(Query.term_query(SCHEMA, "key", HELD, "basic"), 1, count=False).hits
    if not hits:
        return {}
    said = json.loads(str(searcher.doc(hits[0][1]).get_first("said")))
    return {TopicPartition(topic, part): (applied, topic_id) for topic, part, applied, topic_id in said.values()}


def said_of_person(person: Person) -> str:
    """What a document says that has to be right, for ``verify``; a name is in it as a digest, since it is personal."""
    text = f"{person.username}\0{person.name}\0{int(person.verified)}\0{level(person.followers)}"
    return hashlib.blake2b(text.encode(), digest_size=8).hexdigest()


def said_of_post(author_id: int, caption: str) -> str:
    """See ``said_of_person``."""
    return hashlib.blake2b(f"{author_id}\0{caption}".encode(), digest_size=8).hexdigest()


def said_of_name(row: NameRow) -> str:
    """How many public posts have it, and authors of some of them."""
    return json.dumps([row.posts, *row.authors])


def _number(name: str) -> int:
    return int.from_bytes(hashlib.blake2b(name.encode(), digest_size=8).digest()) >> (64 - RANK_BITS)
