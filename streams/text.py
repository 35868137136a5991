"""What stands in captions and comments: hashtags, mentions and addresses, by the rules of twitter-text.

A tag or a mention within an address is none. Addresses are found to that end, and to count them: names that end with
a top-level domain that exists.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator
from typing import NamedTuple

from streams.tops import tops

TAGS_AT_MOST = 30
"""Hashtags of one text that are taken; further ones are only text."""
NAMES_AT_MOST = 20
"""Mentions of one text that are taken."""
_SLUG_AT_MOST = 40

_HASHES, _ATS = "#＃", "@＠"
_TAG_MARKS = frozenset(
    "_\u200c\u200d\ua67e\u05be\u05f3\u05f4\uff5e\u301c\u309b\u309c\u30a0\u30fb\u3003\u0f0b\u0f0c\u00b7"
)
"""What joins the words of a tag besides letters, marks and digits."""
_EMOJI_JOINERS = "\ufe0f\u20e3"
"""A hash before one of these is the hash of a keypad."""

_LATIN = (
    "\u00c0-\u00d6\u00d8-\u00f6\u00f8-\u024f\u0253\u0254\u0256\u0257\u0259\u025b"
    "\u0263\u0268\u026f\u0272\u0289\u028b\u02bb\u0300-\u036f\u1e00-\u1eff"
)
_CYRILLIC = "\u0400-\u04ff"
_DIRECTIONAL = "\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069"
_INVALID = "\ufffe\ufeff\uffff"
_SPACES = "\\x09-\\x0d\\x20\\x85\\xa0\u1680\u180e\u2000-\u200a\u2028\u2029\u202f\u205f\u3000"
_PUNCTUATION = (
    "!-/:-@\\[-`{-~\u00a1\u00a7\u00ab\u00b6\u00b7\u00bb\u00bf"
    "\u2010-\u2027\u2030-\u205e\u3001-\u3003\u3008-\u3011\uff01-\uff0f\uff1a-\uff20"
)
_LETTER = f"[^{_PUNCTUATION}{_SPACES}{_DIRECTIONAL}{_INVALID}]"
"""One of a host's letters; ``-`` and ``_`` are added where they may stand."""

_PATH = f"[a-z{_CYRILLIC}0-9!*';:=+,.$/%#\\[\\]\\-\u2013_~@|&{_LATIN}]"
_BALANCED = f"\\({_PATH}*(?:\\({_PATH}+\\){_PATH}*)?\\)"
_PATH_END = f"(?:[+\\-a-z{_CYRILLIC}0-9=_#/{_LATIN}]|{_BALANCED})"
_ADDRESS = re.compile(
    f"(?P<before>[^A-Za-z0-9@＠$#＃{_INVALID}]|^)"
    "(?P<scheme>https?://)?"
    f"(?P<host>(?:{_LETTER}(?:[-_]|{_LETTER}){{0,62}}\\.){{1,20}}(?P<top>xn--[a-z0-9-]+|[a-z]{{2,}}|(?![0-9]){_LETTER}{{2,}})(?![0-9a-zA-Z@+-]))"
    "(?::[0-9]+)?"
    f"(?P<path>/(?:(?:{_PATH}*(?:{_BALANCED}{_PATH}*)*{_PATH_END})|(?:@{_PATH}+/))?)?"
    "(?:\\?[a-z0-9!?*'@();:&=+$/%#\\[\\]\\-_.,~|]*[a-z0-9\\-_&=#/])?",
    re.IGNORECASE,
)
_ASCII_HOST = re.compile(f"(?:[a-z0-9{_LATIN}-]+\\.)+(?:xn--[a-z0-9-]+|[a-z]{{2,}})", re.IGNORECASE)
_ENDS_NO_TOP = re.compile("[0-9a-zA-Z@+-]")
"""What may not stand right behind a top-level domain."""
_SHORTENED = re.compile(
    "https?://t\\.co/(?P<slug>[a-z0-9]+)(?:\\?[a-z0-9!?*'@();:&=+$/%#\\[\\]\\-_.,~|]*[a-z0-9\\-_&=#/])?", re.IGNORECASE
)
"""What stands behind the name that it gives is not part of such an address, which is 40 letters long at most."""
_LABEL = re.compile("[^-_](?:.*[^-_])?|[^-_]")

_BEFORE_MENTION = "(?:^|[^a-zA-Z0-9_!#$%&*@＠]|(?:^|[^a-zA-Z0-9_+~.-])(?:rt|RT|rT|Rt):?)[@＠]"
_LIST = "/[a-zA-Z][a-zA-Z0-9_-]{0,24}"
_MENTION = re.compile(f"{_BEFORE_MENTION}(?P<name>[a-zA-Z0-9_]{{1,20}})(?P<list>{_LIST})?")
_MENTION_ENDS = re.compile(f"[@＠{_LATIN}]|://")
_OWN_MENTION = re.compile(f"{_BEFORE_MENTION}(?P<name>[a-zA-Z0-9._]{{0,29}}[a-zA-Z0-9_])(?![a-zA-Z0-9_])")
_OWN_MENTION_ENDS = re.compile(f"{_MENTION_ENDS.pattern}|{_LIST}")
"""A list of somebody's is not that person."""


class Entity(NamedTuple):
    """``text`` without its sign, from ``start`` (the sign) to before ``end``, in code points."""

    text: str
    start: int
    end: int


def addresses(text: str) -> list[Entity]:
    """The web addresses in ``text``, with or without ``http://``."""
    found: list[Entity] = []
    at = 0 if "." in text else len(text)
    while match := _ADDRESS.search(text, at):
        at, host = match.end(), match["host"]
        length = _named(host)
        if length < len(host):
            at = match.start("host") + (length or len(host))
        labels = host[:length].split(".")
        if len(labels) < 2 or not all(_LABEL.fullmatch(label) for label in labels) or "_" in labels[-2]:
            continue
        if match["scheme"] is None:
            if match["before"] not in ("-", "_", ".", "/"):
                found += _ascii(text, match.start("host"), host[:length], at)
            continue
        start, end = match.end("before"), at
        if shortened := _SHORTENED.match(text, start, end):
            if len(shortened["slug"]) > _SLUG_AT_MOST:
                continue
            end = shortened.end()
        found.append(Entity(text[start:end], start, end))
    return found


def _ascii(text: str, start: int, host: str, end: int) -> Iterator[Entity]:
    """Without a scheme only ASCII is taken for a host, so that words of other scripts may stand right before it; each
    of several. What follows the last one, up to ``end``, is its path."""
    for match in _ASCII_HOST.finditer(host):
        if length := _named(match[0]):
            begins, ends = start + match.start(), start + match.start() + length
            if match.start() + length == len(host):
                ends = end
            yield Entity(text[begins:ends], begins, ends)


def _named(host: str) -> int:
    """How much of ``host`` is a name under a top-level domain that exists: as much as can be, 0 for nothing."""
    end, known = len(host), tops()
    while (dot := host.rfind(".", 0, end)) > 0:
        label = host[dot + 1 : end].lower()
        if label.startswith("xn--"):
            return end
        for length in range(len(label), 1, -1):
            # Other scripts put no blank between a name and the word behind it.
            if label[:length] in known and not _ENDS_NO_TOP.match(label, length):
                return dot + 1 + length
        end = dot
    return 0


def hashtags(text: str) -> list[Entity]:
    """The hashtags in ``text`` that stand in no address, as they are written, without the sign."""
    if not any(sign in text for sign in _HASHES):
        return []
    within = addresses(text)
    return [tag for tag in _tags(text) if not any(tag.start < one.end and one.start < tag.end for one in within)]


def mentions(text: str) -> list[Entity]:
    """The people whom ``text`` names, by twitter-text's idea of a name: at most 20 of ``a-z``, digits and ``_``."""
    found: list[Entity] = []
    for match in _MENTION.finditer(text):
        if match["list"] is None and not _MENTION_ENDS.match(text, match.end()):
            found.append(Entity(match["name"], match.start("name") - 1, match.end("name")))
    return found


def names(text: str) -> list[list[str]]:
    """Of each mention, the usernames of Shutterlog that it may mean, the likeliest first, folded; none twice.

    A name here may have dots and 30 letters, and a sentence may end with one: ``@ada.`` is ada, and ``@ada.lovelace``
    whoever has that name, else ada.
    """
    if not any(sign in text for sign in _ATS):
        return []
    within = addresses(text)
    found: dict[tuple[str, ...], None] = {}
    for match in _OWN_MENTION.finditer(text):
        start, end = match.span("name")
        if any(one.start < start < one.end for one in within if "@" in one.text):
            continue
        name = match["name"].lower()
        first, dot, _ = name.partition(".")
        meant = ([] if _OWN_MENTION_ENDS.match(text, end) else [name]) + ([first] if dot else [])
        found.setdefault(tuple(one for one in meant if len(one) >= 3))
    return [list(meant) for meant in found if meant][:NAMES_AT_MOST]


def tags(text: str) -> list[str]:
    """The hashtags of ``text``, folded so that equal tags are equal strings, each once, in their order."""
    folded = (fold(tag.text) for tag in hashtags(text))
    return list(dict.fromkeys(folded))[:TAGS_AT_MOST]


def fold(tag: str) -> str:
    """``tag`` as it is compared: without the differences of case and of width. Accents count."""
    return unicodedata.normalize("NFC", unicodedata.normalize("NFKC", tag).casefold())


def _tags(text: str) -> Iterator[Entity]:
    at = 0
    while at < len(text):
        start, at = at, at + 1
        if text[start] not in _HASHES or (start and _bars(text[start - 1])):
            continue
        if text[at : at + 1] and text[at] in _EMOJI_JOINERS:
            continue
        end = at
        while end < len(text) and _joins(text[end]):
            end += 1
        ends_well = text[end : end + 1] not in tuple(_HASHES) and not text.startswith("://", end)
        if ends_well and any(unicodedata.category(letter)[0] in "LM" for letter in text[at:end]):
            yield Entity(text[at:end], start, end)
        at = max(at, end)


def _joins(letter: str) -> bool:
    """Whether it may stand in a tag."""
    category = unicodedata.category(letter)
    return category[0] in "LM" or category == "Nd" or letter in _TAG_MARKS


def _bars(letter: str) -> bool:
    """Whether a hash right behind it begins no tag. A variation selector is a mark, and ends an emoji."""
    return letter == "&" or (_joins(letter) and letter not in "\ufe0e\ufe0f")
