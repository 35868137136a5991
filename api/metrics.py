"""What a gateway tells Prometheus."""

from __future__ import annotations

from collections.abc import Mapping

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, start_http_server

from api.shedding import Class, Load

REGISTRY = CollectorRegistry()
_SHED = Counter(
    "shutterlog_gateway_shed",
    "Requests that were answered 503 `overloaded`: explore, search, reads, writes, feeds",
    ["class"],
    registry=REGISTRY,
)
SHED: Mapping[Class, Counter] = {one: _SHED.labels(one.name.lower()) for one in Class if one is not Class.ALWAYS}
_REQUESTS = Counter(
    "shutterlog_gateway_requests",
    "Requests by class and status; streams, and what asks how the gateway is, are not counted",
    ["class", "status"],
    registry=REGISTRY,
)
_SECONDS = Histogram(
    "shutterlog_gateway_request_seconds",
    "From a request to the end of its answer; answers 4xx and 5xx are left out: to refuse fast is not to be fast",
    ["class"],
    buckets=(0.005, 0.01, 0.02, 0.03, 0.05, 0.075, 0.1, 0.15, 0.2, 0.3, 0.5, 0.75, 1, 2, 5),
    registry=REGISTRY,
)
_IN_FLIGHT = Gauge("shutterlog_gateway_in_flight", "Requests under way, streams apart", registry=REGISTRY)
_LAG = Gauge("shutterlog_gateway_lag_seconds", "By how much the event loop is late", registry=REGISTRY)


_COUNTED = [one for one in Class if one is not Class.ALWAYS]
_TIMED = {one: _SECONDS.labels(one.name.lower()) for one in _COUNTED}
# There from the start: Prometheus sees no rise in what appears as 1.
_ANSWERED = {
    (one, status): _REQUESTS.labels(one.name.lower(), status) for one in _COUNTED for status in (200, 500, 503)
}


def answered(wanted: Class, status: int, seconds: float) -> None:
    """A request of the class ``wanted`` was answered with ``status``, ``seconds`` after it came."""
    if wanted is Class.ALWAYS:
        return
    counter = _ANSWERED.get((wanted, status))
    if counter is None:
        counter = _ANSWERED[wanted, status] = _REQUESTS.labels(wanted.name.lower(), status)
    counter.inc()
    if status < 400:
        _TIMED[wanted].observe(seconds)


def look(load: Load) -> None:
    """Take over what ``load`` is now."""
    _IN_FLIGHT.set(load.in_flight)
    _LAG.set(load.lag)


def serve(host: str, port: int) -> int:
    """Serve ``/metrics`` on ``host`` at ``port`` (0: a free one); gives the port."""
    server, _ = start_http_server(port, addr=host, registry=REGISTRY)
    return int(server.server_port)
