"""The top-level domains that are known, beside the list that comes with Hypothesis."""

from __future__ import annotations

from importlib.resources import files

from streams.tops import tops


def test_hardly_any_is_missing() -> None:
    """A few come and go each year. Where more than these are missing, write ``streams/tops.py`` anew from that list."""
    text = files("hypothesis").joinpath("vendor", "tlds-alpha-by-domain.txt").read_text(encoding="ascii")
    listed = {line.strip().lower() for line in text.splitlines() if line and not line.startswith("#")}
    known = {name for name in tops() if name.isascii()} - {"onion"}
    assert len(listed ^ known) <= 40, sorted(listed ^ known)
    assert len(listed) > 1_000


def test_those_of_other_scripts_are_known_as_they_are_read() -> None:
    assert {"com", "xn--p1ai", "рф", "みんな", "onion"} <= tops()
    assert not {"", "c", "example", "html", "COM"} & tops()
