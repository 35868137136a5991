"""Follow graphs: read from files of edges, or made from a seed."""

from __future__ import annotations

import csv
import gzip
import io
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

Ints = npt.NDArray[np.int64]

_FOLLOWER_COLUMNS = frozenset({"follower", "follower_id", "source", "src", "from", "fromnodeid"})
"""First columns of a header that say that an edge has a direction."""


class UnreadableGraph(ValueError):
    """A file does not hold a follow graph."""


@dataclass(frozen=True)
class Graph:
    """Who follows whom among people 0 to ``people - 1``: edge i says that ``followers[i]`` follows ``followees[i]``.

    No edge stands twice and nobody follows themselves. The order is that of the file.
    """

    people: int
    followers: Ints
    followees: Ints

    def __len__(self) -> int:
        return len(self.followers)


def read_graph(path: Path, directed: bool | None = None) -> Graph:
    """The graph in ``path``: two words a line, ``#`` for comments, or CSV where the name says so, ``.gz`` or not.

    In a directed graph "a b" means that a follows b; in an undirected one they follow each other. Unless ``directed``
    says which, the file does: SNAP's comment "Directed graph", or a header such as ``follower,followee``. Without any
    such word a file is taken as undirected. Self-loops and repeated edges are dropped; a person who only had those
    stays, alone. Raises ``UnreadableGraph``, and ``OSError`` where the file cannot be opened.
    """
    is_csv = ".csv" in (suffix.lower() for suffix in path.suffixes)
    hints: list[str] = []
    try:
        raw = path.read_bytes()
        text = (gzip.decompress(raw) if path.suffix == ".gz" else raw).decode()
        edges = list(_csv_edges(text, hints) if is_csv else _spaced_edges(text, hints))
    except (UnicodeDecodeError, ValueError, EOFError, gzip.BadGzipFile) as error:
        raise UnreadableGraph(f"{path.name} is no list of edges: {error}") from error
    if not edges:
        raise UnreadableGraph(f"{path.name} holds no edge")
    if directed is None:
        directed = "directed" in hints
    nodes, dense = np.unique(np.array(edges, dtype=np.int64).reshape(-1), return_inverse=True)
    return _graph(len(nodes), dense[0::2], dense[1::2], directed)


def make_graph(people: int, seed: int, mean_following: int = 20) -> Graph:
    """A graph with a power law in both directions: few are followed by many, few follow many. Deterministic."""
    if people < 2:
        raise ValueError("a follow graph needs two people or more")
    random = np.random.default_rng([seed, 1])
    weights = (1.0 + np.arange(people)) ** -0.8
    edges = people * min(mean_following, people - 1)
    popular, keen = random.permutation(people), random.permutation(people)
    followers = keen[random.choice(people, edges, p=weights / weights.sum())]
    followees = popular[random.choice(people, edges, p=weights / weights.sum())]
    return _graph(people, followers, followees, True)


def _graph(people: int, followers: Ints, followees: Ints, directed: bool) -> Graph:
    if not directed:
        # Edge by edge both ways, so that the order stays that of the file.
        followers, followees = (
            np.column_stack([followers, followees]).reshape(-1),
            np.column_stack([followees, followers]).reshape(-1),
        )
    honest = followers != followees
    followers, followees = followers[honest], followees[honest]
    _, first = np.unique(followers * people + followees, return_index=True)
    first.sort()
    return Graph(people, followers[first].astype(np.int64), followees[first].astype(np.int64))


def _spaced_edges(text: str, hints: list[str]) -> Iterator[tuple[int, int]]:
    for number, line in enumerate(io.StringIO(text), 1):
        line = line.strip()
        if line.startswith("#"):
            words = line.lower().lstrip("# ").split()
            hints.extend(word for word in words[:1] if word in ("directed", "undirected"))
        elif line:
            parts = line.split()
            if len(parts) < 2:
                raise ValueError(f"line {number} has no second node")
            yield int(parts[0]), int(parts[1])


def _csv_edges(text: str, hints: list[str]) -> Iterator[tuple[int, int]]:
    rows = csv.reader(io.StringIO(text))
    for number, row in enumerate(rows, 1):
        if not row:
            continue
        if len(row) < 2:
            raise ValueError(f"line {number} has no second column")
        if number == 1 and not row[0].strip().lstrip("-").isdigit():
            if row[0].strip().lower() in _FOLLOWER_COLUMNS:
                hints.append("directed")
            continue
        yield int(row[0]), int(row[1])
