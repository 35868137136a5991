"""Experiments: who gets which variant of something, by lot.

A person's bucket is a function of the experiment's name and their id alone: the same in every gateway, at every read
and after any replay, and independent from one experiment to the next. Nothing is stored, and changing the shares moves
only those whose buckets lie between the old and the new borders.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from hashlib import blake2b
from typing import NamedTuple

BUCKETS = 10_000
LATEST, RANKED = "latest", "ranked"
_NAME, _VARIANT = re.compile(r"[a-z0-9][a-z0-9-]{0,39}"), re.compile(r"[A-Za-z0-9][A-Za-z0-9-]{0,59}")
_HOW = "write it as NAME=VARIANT:PERCENT,VARIANT:PERCENT; several with a semicolon between them"


class Variant(NamedTuple):
    """``name`` is ``LATEST``, ``RANKED`` by the current model, or the version of the model that ranks; ``share`` is in
    buckets."""

    name: str
    share: int

    @property
    def model(self) -> str:
        """The version that ranks; empty for the current one, or none."""
        return "" if self.name in (LATEST, RANKED) else self.name


class Experiment(NamedTuple):
    """``variants`` have the buckets from 0 on, one after the other; who is beyond them takes no part."""

    name: str
    variants: tuple[Variant, ...]

    def variant_of(self, user_id: int) -> Variant | None:
        """Which one ``user_id`` gets; None for none."""
        bucket = bucket_of(self.name, user_id)
        for variant in self.variants:
            if bucket < variant.share:
                return variant
            bucket -= variant.share
        return None


class Exposure(NamedTuple):
    """That somebody was shown what ``experiment`` has them see. ``model``: the version that ranked the page; empty
    where it was in latest order, also where it was to be ranked and could not be."""

    experiment: str
    variant: str
    model: str = ""

    def text(self) -> str:
        """For a client, which brings it back with what was seen."""
        return "/".join(self)

    @classmethod
    def parse(cls, text: str) -> Exposure:
        """What ``text`` made; raises ValueError for anything else."""
        parts = text.split("/")
        if len(parts) != 3 or not _NAME.fullmatch(parts[0]) or not _VARIANT.fullmatch(parts[1]):
            raise ValueError("it is no exposure")
        if parts[2] and not _VARIANT.fullmatch(parts[2]):
            raise ValueError("it names no model")
        return cls(*parts)


def bucket_of(experiment: str, user_id: int) -> int:
    """From 0 to ``BUCKETS`` - 1."""
    return int.from_bytes(blake2b(f"{experiment}-{user_id}".encode(), digest_size=8).digest(), "big") % BUCKETS


def assigned(experiments: Sequence[Experiment], user_id: int) -> tuple[Experiment, Variant] | None:
    """The first of ``experiments`` that ``user_id`` takes part in, and what they get; None where they are in none."""
    for experiment in experiments:
        variant = experiment.variant_of(user_id)
        if variant is not None:
            return experiment, variant
    return None


def holds(experiments: Sequence[Experiment], exposure: Exposure, user_id: int) -> bool:
    """Whether ``user_id`` can have had ``exposure``: nobody says of themselves what they were given."""
    given = assigned(experiments, user_id)
    return given is not None and (given[0].name, given[1].name) == (exposure.experiment, exposure.variant)


def experiments_of(text: str) -> tuple[Experiment, ...]:
    """What a setting says, as ``order-1=latest:50,ranked:50;model-2=ranked:1,20260102T030405-abc:1``. Raises
    ValueError, which says what is wrong."""
    found = tuple(_experiment(part.strip()) for part in text.split(";") if part.strip())
    if len({one.name for one in found}) < len(found):
        raise ValueError(f"{text!r} names an experiment twice")
    return found


def _experiment(text: str) -> Experiment:
    name, given, variants = text.partition("=")
    if not given or not _NAME.fullmatch(name.strip()):
        raise ValueError(f"{text!r} is no experiment: {_HOW}; names are of a-z, 0-9 and -")
    found = [_variant(text, one.strip()) for one in variants.split(",")]
    if len({one.name for one in found}) < len(found):
        raise ValueError(f"{text!r} names a variant twice")
    if sum(one.share for one in found) > BUCKETS:
        raise ValueError(f"{text!r} shares out more than 100 percent")
    return Experiment(name.strip(), tuple(found))


def _variant(text: str, one: str) -> Variant:
    name, _, percent = one.partition(":")
    if not _VARIANT.fullmatch(name) or not re.fullmatch(r"[0-9]{1,3}(\.[0-9]{1,2})?", percent):
        raise ValueError(f"{text!r}: {one!r} is no variant with its percent: {_HOW}")
    return Variant(name, round(float(percent) * BUCKETS / 100))
