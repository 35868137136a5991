"""What is refused for its links: addresses that are meant as such, and no sentences."""

from __future__ import annotations

import pytest

from streams.spam import is_flood


@pytest.mark.parametrize(
    "words",
    [
        "http://a.org http://b.org https://c.org https://d.org",
        "a.com b.net c.xyz D.COM",
        "www.a.shop www.b.shop www.c.shop www.d.shop",
        "bit.ly/1 bit.ly/2 t.me/3 x.it/4",
    ],
)
def test_more_than_three_addresses_are_a_flood(words: str) -> None:
    assert is_flood(words)
    assert not is_flood(words.rpartition(" ")[0])


def test_sentences_without_blanks_are_none() -> None:
    assert not is_flood("Love it.So nice.Great shot.Where is this.Tell me.Please do.Thanks")
