"""Tags, mentions and addresses, by the rules of twitter-text: our own cases, and the suite where it is at hand."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from streams import text
from streams.text import Entity, addresses, hashtags, mentions, names, tags


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ("#dusk", ["dusk"]),
        ("one #two, (#three) [#four] .#five", ["two", "three", "four", "five"]),
        ("#1st #123 #_1", ["1st"]),
        ("word#no ü#no 日本#no &#no; #a#b", []),
        ("日本語 #ハッシュタグ です", ["ハッシュタグ"]),
        ("＃ｔｗ #한국어 #पाकिस्तान #پاکستان #ашок", ["ｔｗ", "한국어", "पाकिस्तान", "پاکستان", "ашок"]),
        ("#café #mañana #l·l", ["café", "mañana", "l·l"]),
        ("#️⃣ is a key, 🐱#cat and ❤️#heart are not", ["cat", "heart"]),
        ("http://a.com/#no https://a.co/x?y=#no www.a.com/#no #yes", ["yes"]),
        ("#http://a.com #x://y", []),
        ("##twice", ["twice"]),
        ("#𠮷野家", ["𠮷野家"]),
    ],
)
def test_hashtags(words: str, expected: list[str]) -> None:
    assert [tag.text for tag in hashtags(words)] == expected
    assert all(words[tag.start + 1 : tag.end] == tag.text for tag in hashtags(words))


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ("@ada and @bob_1, (@c) .@d", ["ada", "bob_1", "c", "d"]),
        ("a@b.com !@no #@no $@no @@no", []),
        ("@no@there @né @no://x @user/list", []),
        ("RT@ada rt:@bob 日本@c ＠d", ["ada", "bob", "c", "d"]),
        ("@" + "a" * 25, ["a" * 20]),
    ],
)
def test_mentions(words: str, expected: list[str]) -> None:
    assert [one.text for one in mentions(words)] == expected


def test_names_are_those_that_people_have_here() -> None:
    words = "Thanks @Ada. See @ada.lovelace and @ada, not a@bob.com, @ab or http://a.com/@carl or @" + "x" * 31
    assert names(words) == [["ada"], ["ada.lovelace", "ada"]]
    assert len(names(" ".join(f"@person{n}" for n in range(50)))) == text.NAMES_AT_MOST


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ("RT@ada: so true. rt:@bob, but not start@carl", [["ada"], ["bob"]]),
        ("She is great.@ada knows", [["ada"]]),
        ("@ada/friends is a list, and @bob/ or @carl/1 are none", [["bob"], ["carl"]]),
        ("日本@ada ＠bob (@carl)", [["ada"], ["bob"], ["carl"]]),
        ("@ada@bob @née_x @ada://x", []),
        # Of a name with dots that cannot be one, what stands before the first dot is left.
        ("@ada.lovelace@x @bob.é @carl.b/list", [["ada"], ["bob"], ["carl"]]),
        ("@ada.@bob.@carl", [["ada"], ["bob"], ["carl"]]),
    ],
)
def test_names_begin_and_end_where_mentions_do(words: str, expected: list[list[str]]) -> None:
    assert names(words) == expected
    assert {meant[-1] for meant in names(words)} == {one.text for one in mentions(words)}


def test_tags_are_folded_and_few() -> None:
    assert tags("#Dusk #dusk #ＤＵＳＫ #Cafe\u0301 #café #cafe #STRASSE #straße") == ["dusk", "café", "cafe", "strasse"]
    assert len(tags(" ".join(f"#tag{n}" for n in range(50)))) == text.TAGS_AT_MOST


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ("see http://☃.net/, example.com/a(b)c.", ["http://☃.net/", "example.com/a(b)c"]),
        ("これはexample.comです", ["example.com"]),
        ("a@example.com -example.com http://-a.com http://256.1.2.3/", []),
        # Names under what is no top-level domain are none, with a scheme neither; of a longer one, what is one.
        ("notes.txt http://a.html/x It was late.Then we left http://printer.local/", []),
        (
            "http://a.museum/x?y=z http://a.com.bak http://b.org/c",
            ["http://a.museum/x?y=z", "http://a.com", "http://b.org/c"],
        ),
        ("a.nowhere/http://b.org/c", ["http://b.org/c"]),
        (
            "http://xn--h1alffa9f.xn--p1ai/ http://россия.рф/a http://例え.みんなです",
            ["http://xn--h1alffa9f.xn--p1ai/", "http://россия.рф/a", "http://例え.みんな"],
        ),
        # Without a scheme: of several names between words of another script each, and the path is of the last one.
        ("まずa.comとb.orgへ、次にc.net/dへ", ["a.com", "b.org", "c.net/d"]),
        # What stands behind the name in a shortened address is not part of it, and a longer name is none.
        ("https://t.co/aB3、 https://t.co/aB3/c http://t.co/" + "a" * 41, ["https://t.co/aB3", "https://t.co/aB3"]),
    ],
)
def test_addresses(words: str, expected: list[str]) -> None:
    assert [one.text for one in addresses(words)] == expected


@given(st.text(st.sampled_from("#@＃&a1_é日.:/-() \ufe0f"), max_size=30))
def test_whatever_is_found_stands_there(words: str) -> None:
    for found in (hashtags(words), mentions(words), addresses(words)):
        assert all(0 <= one.start < one.end <= len(words) for one in found)
        assert all(one.end <= other.start for one, other in zip(found, found[1:], strict=False))
    names(words)


def test_no_text_takes_long() -> None:
    began = time.process_time()
    for words in ("a." * 1100, "a-" * 1100 + ".", "http://a.com/" + "(a" * 1000, "@" * 2200, "#" * 2200, "#a" * 1100):
        addresses(words), hashtags(words), mentions(words), names(words)
    assert time.process_time() - began < 2


SUITE: list[tuple[str, Callable[[str], list[Entity]]]] = [
    ("usernames", mentions),
    ("hashtags", hashtags),
    ("urls_without_protocol", addresses),
]


@pytest.mark.parametrize(("part", "found"), SUITE)
def test_the_suite(shared_data: Path, part: str, found: Callable[[str], list[Entity]]) -> None:
    """Valid is what is found as a whole, and nothing else beside it."""
    cases = yaml.safe_load((shared_data / "text" / "twitter-text" / "validate.yml").read_text())["tests"][part]
    for case in cases:
        spans = [(one.start, one.end) for one in found(case["text"])]
        assert (spans == [(0, len(case["text"]))]) == case["expected"], case
