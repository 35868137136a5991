"""Logs as they are published: one meaning, whatever parts their columns and whether or not a header names them."""

from __future__ import annotations

import gzip
from pathlib import Path

import pytest

from jobs.interaction_logs import Numbers, Row, read, rows

WHOLE = [("1", "10", 4.0, 964982703.0, None), ("2", "11", 3.5, 964982704.0, None)]


def meant(text: str) -> list[tuple[object, ...]]:
    return [row[1:] for row in rows(text.splitlines(keepends=True))]


@pytest.mark.parametrize(
    "text",
    [
        "userId,movieId,rating,timestamp\n1,10,4.0,964982703\n2,11,3.5,964982704\n",
        "1,10,4.0,964982703\r\n2,11,3.5,964982704\r\n",
        "1\t10\t4\t964982703\n2\t11\t3.5\t964982704\n",
        "1::10::4::964982703\n2::11::3.5::964982704",
        "1 10 4 964982703\n\n2   11 3.5 964982704\n",
        "1 10 964982703 4\n2 11 964982704 3.5\n",
        "% published so\n1;10;4;964982703\n2;11;3.5;964982704\n",
        "timestamp|rating|item_id|user_id|note\n964982703|4|10|1|a\n964982704|3.5|11|2|b\n",
        "user_id:token\titem_id:token\trating:float\ttimestamp:float\n1\t10\t4\t964982703\n2\t11\t3.5\t964982704\n",
        "who,what,how much,when it was\n1,10,4,964982703\n2,11,3.5,964982704\n",
        '"user","item","rating","date"\n"1","10","4","2000-07-30T18:45:03Z"\n"2","11","3.5","2000-07-30 18:45:04"\n',
        "1,10,4,964982703000\n2,11,3.5,964982704000\n",
    ],
)
def test_one_meaning_in_every_form(text: str) -> None:
    assert meant(text) == WHOLE


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("a b\nc d\n", [("a", "b", None, None, None), ("c", "d", None, None, None)]),
        ("a,b,5\nc,d,1\n", [("a", "b", 5.0, None, None), ("c", "d", 1.0, None, None)]),
        ("a b 1341100972\n", [("a", "b", None, 1341100972.0, None)]),
        ("a b 1\nc d 200\n", [("a", "b", None, 1.0, None), ("c", "d", None, 200.0, None)]),
        ("a b 1341100972 RT\n", [("a", "b", None, 1341100972.0, "RT")]),
        ("a b RT 7\n", [("a", "b", None, 7.0, "RT")]),
        ("1,2,5.0,3\n", [("1", "2", 5.0, 3.0, None)]),
    ],
)
def test_what_is_not_there_is_not_guessed(text: str, wanted: list[tuple[object, ...]]) -> None:
    assert meant(text) == wanted


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("", "no line in it"),
        ("# nothing\n\n", "no line in it"),
        ("alone\n", "line 1: it has 1 columns"),
        ("a b c d e\n", "line 1: it has 5 columns, and no header"),
        ("a,b,4\na,b\n", "line 2: it has 2 columns where the first line has 3"),
        ("user,item,rating\na,b,4\na,b,good\n", "line 3: the rating 'good' is no number"),
        ("user,item,time\na,b,soon\n", "line 2: the time 'soon' is neither"),
        ("user,item,time\na,b,nan\n", "line 2: the time 'nan' is neither"),
        ("user,item\n,b\n", "line 2: the user or the item is missing"),
    ],
)
def test_what_cannot_be_read_is_told_with_its_line(text: str, why: str) -> None:
    with pytest.raises(ValueError, match=why):
        meant(text)


def test_gzip_is_known_by_its_bytes_and_may_be_cut_off(tmp_path: Path) -> None:
    log = tmp_path / "log.csv"  # by its name, none
    whole = gzip.compress(b"\xef\xbb\xbf" + b"".join(b"%d,%d\n" % (n, 7 * n) for n in range(5000)))
    log.write_bytes(whole)
    assert next(read(log)) == Row(1, "0", "0", None, None, None) and len(list(read(log))) == 5000
    assert len(list(read(log, 11))) == 11
    log.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(ValueError, match="cut off"):
        list(read(log))


def test_ids_keep_their_numbers_and_words_get_their_own() -> None:
    numbers = Numbers(100, 1000)
    assert [numbers.of(text) for text in ("7", "x", "07", "100", "x", "-7", "0")] == [
        7,
        1000,
        1001,
        1002,
        1000,
        1003,
        0,
    ]
