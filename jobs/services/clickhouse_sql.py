"""The little that the front has to know of a query's text: its words, where an INSERT's data begins, what is refused.

Only the form of tokens is known here, as ClickHouse's own lexer reads them; what they mean is the engine's business.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator
from typing import NamedTuple

SYNTAX_ERROR, READONLY, NOT_IMPLEMENTED = 62, 164, 48
"""ClickHouse's codes of what is refused here."""

_TOKEN = re.compile(
    r"""
    (?P<nothing>\s+|--[^\n]*|\#[!\ ][^\n]*|/\*.*?\*/)
    |(?P<string>'(?:[^'\\]|\\.|'')*'|‘[^’]*’|\$(?P<tag>[A-Za-z0-9_]*)\$.*?\$(?P=tag)\$)
    |(?P<quoted>"(?:[^"\\]|\\.|"")*"|`(?:[^`\\]|\\.|``)*`|“[^”]*”)
    |(?P<word>[A-Za-z_][A-Za-z0-9_$]*)
    |(?P<number>[0-9][A-Za-z0-9_]*)
    |(?P<sign>.)
    """,
    re.VERBOSE | re.DOTALL,
)
_BARE_DATA = " \t\f"
STATEFUL = ({"SET"}, {"USE"}, {"CREATE", "TEMPORARY"})


class Refused(Exception):
    """A query that the front does not pass on. ``code`` is ClickHouse's."""

    def __init__(self, code: int, reason: str) -> None:
        super().__init__(reason)
        self.code, self.reason = code, reason


class Token(NamedTuple):
    """A token other than white space and comments; ``text`` of a word is in capitals, of a quoted name without
    quotes."""

    kind: str
    text: str
    start: int
    end: int


class Insert(NamedTuple):
    """An INSERT whose rows follow as data: ``head`` up to where FROM INFILE goes, ``rest`` (its settings), the
    format, and the place in the text from which on everything is data."""

    head: str
    rest: str
    format: str
    data_from: int

    def reading(self, path: str) -> str:
        """The same, with its data in the file ``path``."""
        return f"{self.head} FROM INFILE '{path}' {self.rest} FORMAT {self.format}"


def tokens(text: str) -> Iterator[Token]:
    """The tokens of ``text``, one after another: as far as it is asked, since data may follow."""
    at = 0
    while at < len(text):
        match = _TOKEN.match(text, at)
        assert match is not None  # noqa: S101 (any character is a sign)
        at = match.end()
        kind = match.lastgroup if match.lastgroup != "tag" else "string"
        if kind == "nothing" or kind is None:
            continue
        found = match.group(kind)
        if kind == "word":
            found = found.upper()
        elif kind == "quoted":
            found = found[1:-1]
        yield Token(kind, found, match.start(), match.end())


def insert_with_data(text: str) -> Insert | None:
    """The parts of an INSERT that names a format, or VALUES, for data that follow it; None for every other query."""
    depth, settings_from = 0, None
    found = tokens(text)
    if next(found, None) is None or not _begins_with_insert(text):
        return None
    for token in found:
        depth += (token.text == "(") - (token.text == ")") if token.kind == "sign" else 0
        if depth or token.kind != "word":
            continue
        if token.text in ("SELECT", "WITH", "WATCH"):
            return None
        if token.text == "INFILE":
            raise Refused(NOT_IMPLEMENTED, "FROM INFILE is a client's own: send the rows with the query")
        if token.text == "SETTINGS":
            settings_from = token.start
        if token.text in ("VALUES", "FORMAT"):
            name = next(found, None) if token.text == "FORMAT" else None
            if token.text == "FORMAT" and (name is None or name.kind != "word"):
                raise Refused(SYNTAX_ERROR, "FORMAT has to be followed by the name of a format")
            end = token.end if name is None else name.end
            cut = token.start if settings_from is None else settings_from
            format_name = "Values" if name is None else text[name.start : name.end]
            return Insert(text[:cut], text[cut : token.start], format_name, _after_head(text, end))
    return None


def check(text: str, forbidden: Collection[str]) -> None:
    """Raise ``Refused`` for what no server does for its clients (files of the server's, several statements at once, a
    session's state) and for calls of ``forbidden`` functions, names in lower case."""
    ended, before = False, None
    first: list[str] = []
    for token in tokens(text):
        if ended:
            raise Refused(SYNTAX_ERROR, "Syntax error: multi-statements are not allowed")
        if token.kind == "sign" and token.text == ";":
            ended = True
        if token.kind == "word" and token.text in ("OUTFILE", "INFILE"):
            raise Refused(NOT_IMPLEMENTED, f"{token.text} is a client's own: the server writes and reads no such files")
        if before is not None and token.text == "(" and token.kind == "sign" and before.text.lower() in forbidden:
            raise Refused(READONLY, f"Cannot execute query in readonly mode: it calls {before.text.lower()}")
        before = token if token.kind in ("word", "quoted") else None
        if len(first) < 2 and token.kind == "word":
            first.append(token.text)
    if any(words <= set(first) and first[0] in words for words in STATEFUL if first):
        raise Refused(NOT_IMPLEMENTED, "sessions keep no state here: send settings and the database with each query")


def _begins_with_insert(text: str) -> bool:
    first = next(tokens(text), None)
    return first is not None and first.kind == "word" and first.text == "INSERT"


def _after_head(text: str, at: int) -> int:
    """Where data begin: after the first line end, where nothing but blanks come before it."""
    while at < len(text) and text[at] in _BARE_DATA:
        at += 1
    if text[at : at + 1] == "\r":
        at += 1
    return at + 1 if text[at : at + 1] == "\n" else at


def format_of(text: str) -> str | None:
    """The format that a query itself asks for, at its end."""
    found = list(tokens(text))
    for token, name in zip(found[:-1], found[1:], strict=True):
        if token.kind == "word" and token.text == "FORMAT" and name.kind == "word":
            return text[name.start : name.end]
    return None
