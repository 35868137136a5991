from __future__ import annotations

from collections import Counter

import pytest
from pydantic import ValidationError

from sinks.settings import Settings
from streams.experiments import BUCKETS, Experiment, Exposure, Variant, assigned, bucket_of, experiments_of, holds

PEOPLE = range(1_700_000_000_000_000_000, 1_700_000_000_000_020_000)
TEXT = "order-1=latest:10,ranked:20.5 ; model-2=ranked:1,20260102T030405-abc:50"


def test_a_setting_says_experiments() -> None:
    order, model = experiments_of(TEXT)
    assert order == Experiment("order-1", (Variant("latest", 1000), Variant("ranked", 2050)))
    assert [variant.model for variant in (*order.variants, *model.variants)] == ["", "", "", "20260102T030405-abc"]
    assert experiments_of("") == experiments_of(" ; ") == ()


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("latest:50", "is no experiment"),
        ("Order=latest:50", "is no experiment"),
        ("a=latest", "is no variant"),
        ("a=latest:-1", "is no variant"),
        ("a=../x:1", "is no variant"),
        ("a=latest:60,ranked:50", "more than 100 percent"),
        ("a=latest:10,latest:10", "a variant twice"),
        ("a=latest:10;a=ranked:10", "an experiment twice"),
    ],
)
def test_what_is_no_experiment_is_refused_when_settings_are_read(text: str, why: str) -> None:
    with pytest.raises(ValueError, match=why):
        experiments_of(text)
    with pytest.raises(ValidationError, match=why):
        Settings(feed_experiments=text)


def test_a_lot_is_the_persons_own_and_the_same_for_ever() -> None:
    """These numbers may never change: an experiment that runs would be another one."""
    assert [bucket_of("order-1", person) for person in PEOPLE[:4]] == [5580, 3808, 9082, 7453]
    (order, model) = experiments_of(TEXT)
    got = Counter(variant.name if (variant := order.variant_of(one)) else "" for one in PEOPLE)
    assert abs(got["latest"] / len(PEOPLE) - 0.10) < 0.01
    assert abs(got["ranked"] / len(PEOPLE) - 0.205) < 0.01
    # Another experiment draws anew, so that what it finds is not what the first one did.
    second = Counter(
        variant.name
        for one in PEOPLE
        if (first := order.variant_of(one)) and first.name == "ranked" and (variant := model.variant_of(one))
    )
    assert abs(second["20260102T030405-abc"] / got["ranked"] - 0.5) < 0.03


def test_wider_shares_move_only_those_in_between() -> None:
    before, after = (Experiment("a", (Variant("latest", share), Variant("ranked", 1000))) for share in (1000, 1200))
    for person in PEOPLE[:5000]:
        bucket = bucket_of("a", person)
        if not 1000 <= bucket < 1200 and not 2000 <= bucket < 2200:
            was, now = before.variant_of(person), after.variant_of(person)
            assert (was and was.name) == (now and now.name)


def test_the_first_experiment_that_has_a_place_for_somebody_decides() -> None:
    experiments = experiments_of("a=latest:30;b=ranked:100")
    names = Counter(given[0].name for one in PEOPLE if (given := assigned(experiments, one)))
    assert sum(names.values()) == len(PEOPLE) and abs(names["a"] / len(PEOPLE) - 0.3) < 0.01
    assert assigned(experiments_of("a=latest:0"), PEOPLE[0]) is None
    assert {bucket_of("a", one) < BUCKETS for one in PEOPLE} == {True}


def test_nobody_says_of_themselves_what_they_were_given() -> None:
    experiments = experiments_of("a=latest:50,ranked:50")
    for person in PEOPLE[:100]:
        given = assigned(experiments, person)
        assert given is not None
        mine, other = given[1].name, "latest" if given[1].name == "ranked" else "ranked"
        assert holds(experiments, Exposure("a", mine, "v1"), person)
        assert not holds(experiments, Exposure("a", other), person) and not holds(
            experiments, Exposure("b", mine), person
        )
        assert not holds((), Exposure("a", mine), person)


def test_an_exposure_comes_back_as_it_went() -> None:
    for exposure in (Exposure("a", "latest"), Exposure("order-1", "ranked", "20260102T030405-abc")):
        assert Exposure.parse(exposure.text()) == exposure
    for wrong in ("", "a/b", "a/b/c/d", "A/b/", "a//c", "a/b/c d", "a/ranked/../x"):
        with pytest.raises(ValueError, match="it "):
            Exposure.parse(wrong)
