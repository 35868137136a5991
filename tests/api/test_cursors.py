"""Cursors."""

from __future__ import annotations

import base64

import pytest
from hypothesis import given
from hypothesis import strategies as st

from api.cursors import from_cursor, to_cursor
from api.problems import Problem
from schemas.ids import MAX_ID


@given(st.integers(0, MAX_ID))
def test_a_cursor_gives_back_its_id(last_id: int) -> None:
    assert from_cursor(to_cursor(last_id)) == last_id


@pytest.mark.parametrize("cursor", ["", "1", "!!!", "AAAA", base64.urlsafe_b64encode(b"\xff" * 8).decode(), "ä" * 11])
def test_what_is_no_cursor_is_refused(cursor: str) -> None:
    with pytest.raises(Problem) as refused:
        from_cursor(cursor)
    assert refused.value.status_code == 400


def test_a_cursor_has_one_spelling() -> None:
    with pytest.raises(Problem):
        from_cursor(to_cursor(5) + "=")
