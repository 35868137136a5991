from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from typer.testing import CliRunner

from jobs.cli import app
from jobs.spam import NoComments, report
from streams.spam import FEATURES, WEIGHTS, features, gist, is_flood, score


def test_what_lures_scores_higher_than_what_is_said_to_people() -> None:
    spam = "Please check out my channel and subscribe! http://example.com/free"
    assert score(spam) > 900 > 300 > score("What a light, @ada!")
    assert len(FEATURES) == len(WEIGHTS) == len(set(FEATURES))


@given(st.text(max_size=300))
def test_any_text_has_a_score(text: str) -> None:
    assert 0 <= score(text) <= 1000
    assert len(features(text)) == len(FEATURES)


def test_floods_and_repetitions() -> None:
    assert is_flood("a.com b.com c.com d.com/x") and not is_flood("a.com b.com c.com and d. com")
    assert gist("Nice  PICTURE!!") == gist("nice-picture") != gist("nice pictures")


def test_labelled_comments(shared_data: Path) -> None:
    folder = shared_data / "text" / "youtube_spam"
    printed = CliRunner().invoke(app, ["spam", str(folder), "--json"])
    assert printed.exit_code == 0, printed.output
    found = json.loads(printed.stdout)
    assert found["precision"] > 0.9 and found["recall"] > 0.85
    assert found["unseen"]["precision"] > 0.9 and found["unseen"]["recall"] > 0.8, "of files that were not learned from"


def test_weights_are_learned_from_labelled_comments(tmp_path: Path) -> None:
    with pytest.raises(NoComments, match="no CSV file"):
        report(tmp_path)
    rows = "".join(f"subscribe to my page {n},1\nwhat a song {n},0\n" for n in range(20))
    for name in ("a.csv", "b.csv"):
        (tmp_path / name).write_text("CONTENT,CLASS\n" + rows)
    found = report(tmp_path, training=True)
    assert found["unseen"] == {"precision": 1.0, "recall": 1.0}
    assert found["weights"]["subscribe"] > 0 > found["weights"]["song"]
