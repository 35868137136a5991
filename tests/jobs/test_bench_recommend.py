"""The bench of recommendations in small, and what a model may and may not give."""

from __future__ import annotations

import gzip
from pathlib import Path

import numpy as np
import pytest

from jobs import bench_recommend
from jobs.bench_recommend import made, popularity, read
from jobs.co_engagement import Turned, fitted, histories_of, hit_rate, train
from streams.co_engagement import Taste

MOVIELENS = Path(__file__).parents[3] / "shared/data/events/ml-latest-small/ratings.csv.gz"


def test_a_made_world_of_tastes_is_learnt_better_than_popularity(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(bench_recommend, "LOG", tmp_path / "none")
    found = bench_recommend.run()
    assert {"name", "figure", "unit", "yardstick", "yardstick_name", "ratio", "samples"} <= set(found)
    assert (found["log"], found["samples"]) == ("made", 300)
    assert float(str(found["ratio"])) > 1.5
    assert float(str(found["als"])) > 0 and float(str(found["neighbours"])) > 0


@pytest.mark.skipif(not MOVIELENS.exists(), reason="the shared data folder is not here")
def test_part_of_movielens() -> None:
    """Every fourth person: enough to see that what is learnt beats what is popular."""
    histories = histories_of(one for one in read(MOVIELENS) if not one.person % 4)
    held = {person: posts[-1] for person, posts in histories.items() if len(posts) > 1}
    training = {person: posts[: -1 if person in held else None] for person, posts in histories.items()}
    model = fitted(training, Taste(3.0, 0.3))
    assert len(held) == 152
    assert hit_rate(model, held) > popularity(training, held)


def test_nothing_is_given_twice_or_to_strangers_and_a_model_comes_out_the_same() -> None:
    histories = histories_of(made(2))
    first, second = (train(histories, [Taste(3.0, 1.0)])[0] for _ in range(2))
    assert np.array_equal(first.factors, second.factors) and np.array_equal(first.neighbours, second.neighbours)
    for person, posts in list(histories.items())[:50]:
        given = first.recommend(person, 20)
        assert given == second.recommend(person, 20)
        assert len(set(given)) == len(given) and not set(given) & set(posts)
    assert first.recommend(10**6, 20) == [] == first.recommend(0, 0)
    assert first.recommend(next(iter(histories)), 1)[0] == first.recommend(next(iter(histories)), 5)[0]


def test_what_stands_near_counts_and_the_last_counts_most() -> None:
    pairs = [(1, 2), (3, 4), (5, 6)]
    log = [Turned(100 * a + n, post, at) for a, b in pairs for n in range(8) for at, post in enumerate((a, b))]
    log += [Turned(1, post, at) for at, post in enumerate((5, 3, 1))]
    model = fitted(histories_of(log), Taste(1.0, 0.0))
    assert model.recommend(1, 3) == [2, 4, 6]
    assert histories_of([Turned(1, 7, 3.0), Turned(1, 8, 1.0), Turned(1, 7, 0.5)]) == {1: [7, 8]}


def test_likes_are_four_of_five_or_four_fifths_or_every_line(tmp_path: Path) -> None:
    log = tmp_path / "log"
    for text, liked in (
        ("1 7 4\n1 8 3\n1 9 5\n", [7, 9]),
        ("1 7 8\n1 8 7\n1 9 10\n", [7, 9]),
        ("1,7,1\n1,8,0\n1,9,1\n", [7, 9]),
        ("1 8\n1 7\n1 9\n", [8, 7, 9]),
        ("1\t9\t964982703\n1\t7\t964982701\n", [7, 9]),
    ):
        log.write_text(text)
        assert histories_of(read(log)) == {1: liked}, text
    log.write_text("ann,x\nbob,x\nann,y\n")
    (ann, bob), posts = histories_of(read(log)).items(), {one.post for one in read(log)}
    assert ann[1][0] == bob[1][0] and len(posts) == 2 and ann[0] != bob[0]


def test_what_is_no_log_is_told(tmp_path: Path) -> None:
    wrong = tmp_path / "log.csv.gz"
    with gzip.open(wrong, "wt") as file:
        file.write("userid,movieid,rating,timestamp\n1,2,5.0,3\n1,two,5.0,4\n")
    assert len(list(read(wrong))) == 2, "ids may be words"
    with gzip.open(wrong, "wt") as file:
        file.write("userid,movieid,rating,timestamp\n1,2,5.0,3\n1,two,good,4\n")
    with pytest.raises(ValueError, match="line 3: the rating 'good' is no number"):
        bench_recommend.run(wrong)
    lone = tmp_path / "lone.csv"
    lone.write_text("1,2,5.0,3\n2,2,3.0,4\n")
    with pytest.raises(ValueError, match="nothing can be held out"):
        bench_recommend.run(lone)
    with pytest.raises(ValueError, match="nothing to learn"):
        train({1: [2], 3: [2]})
