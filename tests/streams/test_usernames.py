from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streams.usernames import chosen, folded, is_reserved, skeleton

NAMES = st.from_regex(r"[A-Za-z0-9._]{3,30}", fullmatch=True)


@given(NAMES)
def test_folding_is_done_once_and_keeps_the_look(text: str) -> None:
    try:
        username = folded(text)
    except ValueError:
        assert text.isdecimal()
        return
    assert folded(username) == username == text.lower()
    assert skeleton(text) == skeleton(username) == skeleton(skeleton(username))


@pytest.mark.parametrize(
    "text", ["ab", "a" * 31, "näme", "straße", "\u212aelvin", "аda", "a da", "123", "", "a-b", "ada\n"]
)
def test_what_is_no_username(text: str) -> None:
    with pytest.raises(ValueError, match="a username has"):
        folded(text)


@pytest.mark.parametrize("text", ["admin", "Admin", "4dm1n", "ad.min", "_support_", "r00t", "offic1a1", "he1p", "___"])
def test_what_nobody_may_take(text: str) -> None:
    with pytest.raises(ValueError, match="kept for|at least"):
        chosen(text)


@pytest.mark.parametrize("text", ["ada", "adminton", "rooted", "mall", "helpful", "left.alone", "p1700000000000"])
def test_what_anybody_may_take(text: str) -> None:
    assert chosen(text) == text


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("paypal", "paypa1"),
        ("bob", "b0b"),
        ("modern", "modem"),
        ("vvally", "wally"),
        ("Ada", "аdа"),  # Cyrillic
        ("ada", "ａｄａ"),
        ("ada", "𝖆𝖉𝖆"),
        ("ada", "àdá"),
        ("scope", "ѕсоре"),
        ("nikon", "ոικοո"),
        ("fine", "ﬁne"),
    ],
)
def test_look_alikes(one: str, other: str) -> None:
    assert skeleton(one) == skeleton(other)


@pytest.mark.parametrize(("one", "other"), [("ada", "adam"), ("a.b", "a_b"), ("mail", "mall"), ("sim1_2", "sim12_")])
def test_what_a_reader_can_tell_apart(one: str, other: str) -> None:
    assert skeleton(one) != skeleton(other)


def test_names_of_the_house_in_letters_of_elsewhere() -> None:
    assert is_reserved("аdmіn") and is_reserved("ｓｕｐｐｏｒｔ") and not is_reserved("adа")
