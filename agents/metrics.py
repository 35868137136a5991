"""What a worker tells Prometheus."""

from __future__ import annotations

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, start_http_server

REGISTRY = CollectorRegistry()
_RECORDS = Counter("shutterlog_records", "Records applied to the view's sink", ["view"], registry=REGISTRY)
_BATCHES = Counter("shutterlog_batches", "Micro-batches applied to the view's sink", ["view"], registry=REGISTRY)
_EVENTS = Counter(
    "shutterlog_delivery_events",
    "Turns that deliveries took: poison, refused, store_away, rewound, void, halted",
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

    def delivered(self, records: int) -> None:
        """A batch of ``records`` is in the sink."""
        _RECORDS.labels(self._view).inc(records)
        _BATCHES.labels(self._view).inc()

    def happened(self, what: str) -> None:
        """One of: poison, refused, store_away, rewound, void, halted."""
        _EVENTS.labels(self._view, what).inc()

    def lag(self, partition: str, records: int) -> None:
        """``records`` of ``partition`` are still to be applied."""
        _LAG.labels(self._view, partition).set(records)


def pushed(what: str) -> None:
    """One of those that the metric names."""
    _PUSHES.labels(what).inc()


def serve(port: int) -> int:
    """Serve ``/metrics`` on loopback at ``port`` (0: a free one); gives the port."""
    server, _ = start_http_server(port, addr="127.0.0.1", registry=REGISTRY)
    return int(server.server_port)
