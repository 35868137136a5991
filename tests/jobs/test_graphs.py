"""Follow graphs from files and from seeds."""

from __future__ import annotations

import gzip
from pathlib import Path

import numpy as np
import pytest

from jobs.graphs import Graph, UnreadableGraph, make_graph, read_graph


def edges(graph: Graph) -> list[tuple[int, int]]:
    return list(zip(graph.followers.tolist(), graph.followees.tolist(), strict=True))


def written(folder: Path, name: str, text: str) -> Path:
    path = folder / name
    path.write_bytes(gzip.compress(text.encode()) if name.endswith(".gz") else text.encode())
    return path


def test_an_undirected_edge_is_two_follows(tmp_path: Path) -> None:
    graph = read_graph(written(tmp_path, "a.txt.gz", "0 1\n1 2\n"))
    assert graph.people == 3
    assert edges(graph) == [(0, 1), (1, 0), (1, 2), (2, 1)]


def test_the_comment_of_a_file_says_that_it_is_directed(tmp_path: Path) -> None:
    text = "# Directed graph (each unordered pair once): x\n# FromNodeId\tToNodeId\n10\t7\n7\t7\n7\t10\n10\t7\n99\t99\n"
    graph = read_graph(written(tmp_path, "a.txt", text))
    # Self-loops and the repeated edge are gone; 99, who had nothing else, stays as a person.
    assert graph.people == 3
    assert edges(graph) == [(1, 0), (0, 1)]
    assert len(edges(read_graph(tmp_path / "a.txt", directed=False))) == 2


def test_csv_has_a_header(tmp_path: Path) -> None:
    assert edges(read_graph(written(tmp_path, "a.csv.gz", "node_1,node_2\n0,5\n"))) == [(0, 1), (1, 0)]
    assert edges(read_graph(written(tmp_path, "b.csv", "follower,followee\n5,0\n"))) == [(1, 0)]
    assert edges(read_graph(written(tmp_path, "c.csv", "5,0\n"), directed=True)) == [(1, 0)]


@pytest.mark.parametrize("text", ["", "# only words\n", "1\n", "a b\n"])
def test_what_is_no_graph_is_refused(tmp_path: Path, text: str) -> None:
    with pytest.raises(UnreadableGraph):
        read_graph(written(tmp_path, "a.txt", text))


def test_a_cut_file_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.txt.gz"
    path.write_bytes(gzip.compress(b"0 1\n" * 1000)[:-20])
    with pytest.raises(UnreadableGraph):
        read_graph(path)


def test_a_made_graph_depends_on_the_seed_alone_and_has_a_power_law() -> None:
    graph = make_graph(500, seed=3)
    assert edges(graph) == edges(make_graph(500, seed=3)) != edges(make_graph(500, seed=4))
    assert len(set(edges(graph))) == len(graph)
    assert not np.any(graph.followers == graph.followees)
    followers = np.bincount(graph.followees, minlength=500)
    assert followers.max() > 8 * followers.mean()


@pytest.mark.parametrize(
    ("name", "people", "follows"),
    [
        ("facebook_combined.txt.gz", 4_039, 2 * 88_234),
        ("lastfm_asia_edges.csv.gz", 7_624, 2 * 27_806),
        ("soc-Slashdot0902.txt.gz", 82_168, 870_161),
    ],
)
def test_real_graphs(shared_data: Path, name: str, people: int, follows: int) -> None:
    graph = read_graph(shared_data / "graphs" / name)
    assert (graph.people, len(graph)) == (people, follows)
