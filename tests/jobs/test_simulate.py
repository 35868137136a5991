"""`simulate`, as far as it goes without stores: rehearsals, and wishes that do not fit together."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
from typer.testing import CliRunner

from jobs.cli import app
from jobs.simulate import Wishes, simulate
from jobs.simulate_kills import Killer, NoAgents
from jobs.world import Plan
from sinks.settings import Settings

WISHES = Wishes(Plan(seed=1, events=300, whole_way=5), people=30, templates=1)


def test_a_rehearsal_says_what_would_be_done_and_repeats_itself(tmp_path: Path) -> None:
    settings = Settings(shutterlog_home=tmp_path)
    once, again = (simulate(settings, WISHES, quiet=True, dry_run=True) for _ in range(2))
    assert once == again
    assert once["dry_run"] is True
    kinds = ("follows", "unfollows", "posts", "edits", "deletes", "profile_changes", "uploads", "likes", "unlikes")
    comments = ("comments", "comment_deletes", "comment_pins", "comment_unpins")
    others = (
        *("comments_disabled", "comments_enabled", "saves", "unsaves", "shares"),
        *("follow_requests", "follow_rejections", "followers_removed", "privacy_changes"),
        *("blocks", "unblocks", "mutes", "unmutes", "collections", "collection_renames", "collection_deletes"),
        *("views", "profile_visits", "searches", "notifications_seen", "preference_changes", "role_changes"),
        *("username_changes", "deactivations", "reactivations", "badge_changes", "erasures"),
        *("stories", "story_views", "story_reactions", "story_reactions_withdrawn", "story_deletes", "highlights"),
        *("highlight_renames", "highlight_deletes", "stories_highlighted", "stories_unhighlighted"),
    )
    assert sum(once[kind] for kind in (*kinds, *comments, *others)) == once["events"] == 300
    assert once["accounts"] == 30
    assert once["uploads"] == 5
    other = simulate(settings, replace(WISHES, plan=replace(WISHES.plan, seed=2)), quiet=True, dry_run=True)
    assert other["digest"] != once["digest"]
    assert not any(tmp_path.iterdir())


YEAR_2070_MS = 3_155_760_000_000


@pytest.mark.parametrize(
    ("wishes", "why"),
    [
        (replace(WISHES, via="post"), "--via is log or api"),
        (replace(WISHES, via="api", people=301), "at most 300 people"),
        (replace(WISHES, via="api", kills=1), "go with --via log"),
        (replace(WISHES, plan=replace(WISHES.plan, until=YEAR_2070_MS)), "lies in the future"),
        (replace(WISHES, plan=replace(WISHES.plan, posts=301)), "more than 300 events"),
    ],
)
def test_wishes_that_do_not_fit_together_are_refused(wishes: Wishes, why: str) -> None:
    with pytest.raises(ValueError, match=why):
        simulate(Settings(), wishes, quiet=True, dry_run=True)


def test_the_command_line_prints_one_json_object() -> None:
    result = CliRunner().invoke(app, ["simulate", "--people", "20", "--events", "100", "--dry-run", "--json"])
    assert result.exit_code == 0, result.output
    assert json.loads(result.stdout)["events"] == 100


def test_a_graph_that_is_not_there_is_a_clear_error(tmp_path: Path) -> None:
    result = CliRunner().invoke(app, ["simulate", "--graph", str(tmp_path / "none.txt"), "--dry-run"])
    assert result.exit_code == 1
    assert "none.txt" in result.output


async def test_kills_are_the_seed_s_and_need_agents(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    settings = Settings(shutterlog_home=tmp_path)
    killers = [Killer(settings, 20, seed, print) for seed in (1, 1, 2)]
    assert killers[0].gaps == killers[1].gaps != killers[2].gaps
    assert killers[0].shares == killers[1].shares != killers[2].shares
    assert killers[0].shares == sorted(killers[0].shares) and sum(share < 1 for share in killers[0].shares) == 13
    monkeypatch.setattr("jobs.simulate_kills._PATIENCE_SECONDS", 0.0)
    with pytest.raises(NoAgents):
        await Killer(settings, 1, 1, print).run(lambda: 1.0)
