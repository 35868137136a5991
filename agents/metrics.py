"""What a worker tells Prometheus."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from operator import attrgetter

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, start_http_server

from agents.freshness import Freshness
from agents.positions import RawRecord
from streams.records import TopicPartition

REGISTRY = CollectorRegistry()
TURNS = ("poison", "refused", "store_away", "rewound", "void", "halted")
_RECORDS = Counter("shutterlog_records", "Records applied to the view's sink", ["view"], registry=REGISTRY)
_BATCHES = Counter("shutterlog_batches", "Micro-batches applied to the view's sink", ["view"], registry=REGISTRY)
_EVENTS = Counter(
    "shutterlog_delivery_events",
    "Turns that deliveries took: " + ", ".join(TURNS),
    ["view", "what"],
    registry=REGISTRY,
)
_LAG = Gauge(
    "shutterlog_lag_records", "Records in the log and not in the sink", ["view", "partition"], registry=REGISTRY
)
_SECONDS = Histogram(
    "shutterlog_batch_seconds",
    "From a batch's start to its effect in the sink",
    ["view"],
    buckets=(0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10),
    registry=REGISTRY,
)
_FRESHNESS = Histogram(
    "shutterlog_freshness_seconds",
    "From when the log took a batch's oldest record until the batch was in the sink",
    ["view"],
    buckets=(0.05, 0.1, 0.2, 0.3, 0.5, 1, 2, 5, 10, 30, 60, 300),
    registry=REGISTRY,
)
_AGE = Gauge(
    "shutterlog_view_age_seconds",
    "How old what the view shows is: 0 where nothing is left to apply",
    ["view"],
    registry=REGISTRY,
)
_PUSHES = Counter(
    "shutterlog_pushes",
    "What became of notices on their way to devices: late, untold, held; sent, gone, refused, unanswered, expired, "
    "dropped, retried",
    ["what"],
    registry=REGISTRY,
)


class ViewGauges:
    """The metrics of one view in this worker."""

    def __init__(self, view: str) -> None:
        self._view = view
        self.seconds = _SECONDS.labels(view)
        for what in TURNS:  # there from the start: Prometheus sees no rise in what appears as 1
            _EVENTS.labels(view, what)
        self._fresh = Freshness()
        self._shown: set[TopicPartition] = set()
        self._has_age = False

    def delivered(self, records: int) -> None:
        """A batch of ``records`` is in the sink."""
        _RECORDS.labels(self._view).inc(records)
        _BATCHES.labels(self._view).inc()

    def applied(self, records: Sequence[RawRecord], now: float) -> None:
        """These are in the sink, at ``now`` in seconds since the epoch."""
        if records:
            self._fresh.applied(records)
            oldest = min(map(attrgetter("timestamp"), records)) / 1000
            _FRESHNESS.labels(self._view).observe(max(now - oldest, 0.0))

    def fetched(self, records: Sequence[RawRecord]) -> None:
        """These are to be applied next."""
        self._fresh.fetched(records)

    def happened(self, what: str) -> None:
        """One of ``TURNS``."""
        _EVENTS.labels(self._view, what).inc()

    def lag(self, records: Mapping[TopicPartition, int], now: float) -> None:
        """``records`` of each partition that this worker has are still to be applied, at ``now`` in seconds since the
        epoch. Of one that another worker has meanwhile, this one says nothing any more."""
        for gone in self._shown - records.keys():
            _LAG.remove(self._view, str(gone))
        self._shown = set(records)
        for tp, behind in records.items():
            _LAG.labels(self._view, str(tp)).set(behind)
        if records:
            _AGE.labels(self._view).set(self._fresh.age(records, now))
        elif self._has_age:
            _AGE.remove(self._view)
        self._has_age = bool(records)


def pushed(what: str) -> None:
    """One of those that the metric names."""
    _PUSHES.labels(what).inc()


def serve(host: str, port: int) -> int:
    """Serve ``/metrics`` on ``host`` at ``port`` (0: a free one); gives the port."""
    server, _ = start_http_server(port, addr=host, registry=REGISTRY)
    return int(server.server_port)
