"""That an export of one's data forgets nothing: every table and view is in it, or is named with a reason."""

from __future__ import annotations

import re

from sinks.own_rows import LEFT_OUT, OWN, VIEWS_LEFT_OUT, WITH_OTHERS
from sinks.view_tables import TABLES, columns_of, ddl
from tests.api.gateway import VIEWS

PERSON = re.compile(r"(user|author|owner|viewer|follower|followee|other|recipient|actor|person|liker)_id")


def _tables() -> dict[str, dict[str, str]]:
    """Every table that there is, without its generation, and its columns."""
    found = {}
    for statement in ddl(1):
        made = re.match(r"CREATE TABLE IF NOT EXISTS (\w+)", statement)
        if made:
            name = made[1].removesuffix("_1")
            found[name if name in TABLES else made[1]] = columns_of(statement)
    return found


def test_every_table_is_exported_or_left_out_for_a_reason() -> None:
    tables, exported = _tables(), {table for table, _ in OWN.values()} | WITH_OTHERS.keys()
    unnamed = tables.keys() - exported - LEFT_OUT.keys()
    assert unnamed == set(), "put these into OWN, or say in LEFT_OUT why an export does without them"
    assert (exported | LEFT_OUT.keys()) - tables.keys() == set(), "there are no such tables"
    assert exported & LEFT_OUT.keys() == set()
    assert all(len(reason) > 8 for reason in (*LEFT_OUT.values(), *VIEWS_LEFT_OUT.values()))
    assert set(WITH_OTHERS.values()) - OWN.keys() == {"account", "sessions", "push_subscriptions", "story_reactions"}


def test_a_part_is_found_by_a_column_that_names_a_person() -> None:
    tables = _tables()
    for part, (table, column) in OWN.items():
        assert column in tables[table] and PERSON.fullmatch(column), part


def test_every_view_has_tables_or_is_left_out_for_a_reason() -> None:
    with_tables = {table.view for table in TABLES.values()}
    assert {view.name for view in VIEWS} | {"facts"} == with_tables | VIEWS_LEFT_OUT.keys()
    assert with_tables & VIEWS_LEFT_OUT.keys() == set()
