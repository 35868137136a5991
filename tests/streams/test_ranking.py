"""Ranking: features of a post for a viewer, what is worth most, and how ranked posts are spaced."""

from __future__ import annotations

import math
from collections import Counter
from itertools import groupby

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from schemas.ids import snowflake
from streams.affinity import STEP_MS, Pair
from streams.ranking import FEATURES, HEADS, IN_A_ROW, WORTH, Candidate, features, ranked, spaced, values

NOW = 10_000 * STEP_MS
HOUR, DAY = 3_600_000, 86_400_000
authors_of = st.lists(st.sampled_from([1, 1, 1, 2, 3, 4]), max_size=60)


def runs(authors: list[int]) -> int:
    """The longest row of one author."""
    return max((len(list(group)) for _, group in groupby(authors)), default=0)


@given(authors_of, st.lists(st.sampled_from([1, 2, 3]), max_size=3))
def test_no_author_comes_three_times_in_a_row_while_there_are_others(authors: list[int], shown: list[int]) -> None:
    if runs(shown) > IN_A_ROW:
        shown = []
    order = spaced(authors, shown)
    assert sorted(order) == list(range(len(authors))), "nothing is lost, nothing comes twice"
    whole = shown + [authors[n] for n in order]
    if runs(whole) > IN_A_ROW:
        # Only where it cannot be otherwise: more of one than two for each gap that the others leave.
        most, count = Counter(authors).most_common(1)[0]
        others = len(authors) - count
        before = next((n for n, one in enumerate(reversed(shown)) if one != most), len(shown))
        assert count > IN_A_ROW * (others + 1) - before
        tail = [authors[n] for n in order]
        assert runs(shown + tail[: len(tail) - (count - IN_A_ROW * (others + 1) + before)]) <= IN_A_ROW
    for author in set(authors):
        mine = [n for n in order if authors[n] == author]
        assert mine == sorted(mine), "each author's best comes first"


@given(authors_of)
def test_what_needs_no_spacing_stays(authors: list[int]) -> None:
    if runs(authors) <= IN_A_ROW:
        assert spaced(authors) == list(range(len(authors)))


def test_who_would_be_third_waits_for_one_other_only() -> None:
    assert spaced([7, 7, 7, 8, 9]) == [0, 1, 3, 2, 4]
    assert spaced([7, 8, 9], shown=[7, 7]) == [1, 0, 2]
    assert spaced([8, 9, 7, 7, 7, 7]) == [0, 2, 3, 1, 4, 5], "at the end there is nobody else: they go back up"


def candidate(age_ms: int = HOUR, author: int = 5, sequence: int = 0, **kind: int) -> Candidate:
    about = {"pictures": 1, "hashtags": 0, "placed": False, "naming": False} | kind
    return Candidate(snowflake(NOW - age_ms, 1, sequence), author, **about)  # type: ignore[arg-type]


def test_features() -> None:
    plain = candidate()
    rich = candidate(DAY, 6, pictures=3, hashtags=2, placed=True, naming=True)
    pair = Pair(NOW - 9 * DAY, {NOW // STEP_MS: 7})
    rows = features([plain, rich], {6: pair}, {rich.post_id: (3.0, 15.0)}, NOW)
    assert rows.shape == (2, len(FEATURES)) and rows.dtype == np.float32
    first, second = (dict(zip(FEATURES, row, strict=True)) for row in rows.tolist())
    assert {name for name, value in first.items() if value} == {"age", "is_new"}
    expected = {"age": 25, "affinity": 8, "followed_for": 10, "velocity_1h": 4, "velocity_24h": 16}
    expected |= {"pictures": 3, "hashtags": 3, "shown_at": 1}
    for name, counted in expected.items():
        assert math.isclose(second[name], math.log(counted), rel_tol=1e-3), name
    assert (second["placed"], second["naming"], second["follows"]) == (1, 1, 1)
    assert features([], {}, {}, NOW).shape == (0, len(FEATURES))


def test_save_and_share_are_worth_most_and_ties_go_to_the_newer() -> None:
    assert values(np.eye(len(HEADS), dtype=np.float32)).tolist() == list(WORTH)
    assert set(sorted(WORTH)[-2:]) == {WORTH[HEADS.index("save")], WORTH[HEADS.index("share")]}
    posts = [candidate(author=n, sequence=n) for n in range(3)]
    assert ranked(posts, [0.5, 0.25, 0.5]) == [posts[2], posts[0], posts[1]]
    assert ranked([], []) == []
