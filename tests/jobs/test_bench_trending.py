"""The bench of trends in small: what it claims of a burst, of forgeries and of two replays."""

from __future__ import annotations

from pathlib import Path

import pytest

from jobs import bench_trending, bench_trending_log
from jobs.bench_trending_log import Interaction, read
from sinks.settings import Settings

HIGGS = Path(__file__).parents[3] / "shared/data/events/higgs-activity_time.txt.gz"


def test_a_made_burst_is_found_and_forgeries_are_not(
    settings: Settings, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("REDIS_URL", settings.redis_url)
    monkeypatch.setattr(bench_trending, "LOG", tmp_path / "none")
    plot = tmp_path / "plot.svg"
    found = bench_trending.run(plot=plot, around=1)
    assert {"name", "figure", "unit", "yardstick", "yardstick_name", "ratio", "samples"} <= set(found)
    assert (found["log"], found["leader"]) == ("made", "150")
    assert isinstance(found["found_minutes"], float) and 0 < found["found_minutes"] <= 10
    assert (found["forgeries_in_first_50"], found["lists_unlike"]) == (0, 0)
    assert isinstance(found["lists"], int) and found["lists"] > 24
    assert "account 150 found" in plot.read_text() and plot.stat().st_size < 100_000


@pytest.mark.skipif(not HIGGS.exists(), reason="the shared data folder is not here")
def test_the_first_lines_of_the_higgs_log(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("REDIS_URL", settings.redis_url)
    found = bench_trending.run(HIGGS, most=20_000, around=0.5)
    assert found["lists_unlike"] == found["forgeries_in_first_50"] == 0
    assert isinstance(found["samples"], int) and found["samples"] > 20_000


def test_what_is_no_log_is_told(tmp_path: Path) -> None:
    wrong = tmp_path / "log.txt"
    wrong.write_text("1 2 1341100972 MT\n1 2 now MT\n")
    with pytest.raises(ValueError, match=r"log.txt, line 2: the time 'now'"):
        read(wrong)
    wrong.write_text("1 2 1341100972 XX\n")
    with pytest.raises(ValueError, match="line 1: 'XX' is no kind known: it has to read userA userB unixtime"):
        read(wrong)
    wrong.write_text("1 2 1341100972 MT\n")
    assert read(wrong) == [Interaction(1_341_100_972_000, 1, 2, "MT")]
    wrong.write_text("ann bob\nbob cy\n")
    with pytest.raises(ValueError, match="line 1: it says no time"):
        read(wrong)
    wrong.write_text("1 2 1341100972 MT\n")
    with pytest.raises(ValueError, match="too few"):
        bench_trending.run(wrong)


@pytest.mark.parametrize(
    "text",
    [
        "ann bob 1341100972\n7 bob 1341100973\n",
        "source,target,timestamp\nann,bob,1341100972000\n7,bob,1341100973000\n",
        "# a comment\nann\tbob\t1341100972\tlike\n7\tbob\t1341100973\tMention\n",
        "ann::bob::5::1341100972\n7::bob::3::1341100973\n",
        "time,visitorid,event,itemid\n2012-07-01 00:02:52,ann,view,bob\n2012-07-01T00:02:53Z,7,click,bob\n",
    ],
)
def test_logs_of_other_forms_are_read(tmp_path: Path, text: str) -> None:
    log = tmp_path / "log"
    log.write_text(text)
    first, second = read(log)
    assert (first.at, second.at) == (1_341_100_972_000, 1_341_100_973_000)
    assert first.author == second.author >= 10**9 and first.person != first.author and second.person == 7
    assert (first.kind, second.kind) == ("MT", "MT")
    assert read(log, 1 + len(text.splitlines()) - 2) == [first], "the first lines alone"


def test_the_made_log_is_the_same_each_time() -> None:
    assert bench_trending_log.made(3) == bench_trending_log.made(3) != bench_trending_log.made(4)
