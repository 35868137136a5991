"""push: what notices say, to devices. Like an emitter it goes on from Kafka's commit, so that no replay pushes."""

from __future__ import annotations

import logging

from agents import metrics
from agents.group import EMITTER_WAIT_SECONDS, Group, emitter_commits
from agents.kafka_source import KafkaSource
from agents.stores import Stores
from sinks.person_keys import PersonKeys
from sinks.push_channel import WebPushChannel
from sinks.push_sink import PushSink
from sinks.push_subscriptions import PushSubscriptions
from sinks.sessions import Sessions
from sinks.web_push import Vapid
from streams.push import PUSH as VIEW

logger = logging.getLogger(__name__)


async def open_sink(stores: Stores, source: KafkaSource, generation: int) -> PushSink:
    """The sink, with a channel to push services where there is a key by which they know this server."""
    settings, cassandra = stores.settings, await stores.cassandra()
    generations, keys = await stores.generations(), PersonKeys(cassandra)
    sessions = Sessions(cassandra, seconds=settings.refresh_token_seconds, check_seconds=settings.session_check_seconds)
    subscriptions = PushSubscriptions(cassandra, keys, sessions)
    channel: WebPushChannel | None = None
    if settings.vapid_private_key:
        channel = WebPushChannel(
            Vapid(settings.vapid_private_key, settings.vapid_subject),
            subscriptions.remove,
            seconds=settings.push_seconds,
            private=settings.push_private_addresses,
            happened=metrics.pushed,
        )
        await stores.entered(channel.open())
    else:
        logger.warning("nothing is pushed: VAPID_PRIVATE_KEY is not set")
    return PushSink(
        cassandra,
        emitter_commits(source, settings),
        channel,
        subscriptions,
        keys,
        generations.snapshot,
        seconds=settings.push_seconds,
        wait_seconds=settings.consistency_wait_seconds,
        happened=metrics.pushed,
    )


GROUP = Group(VIEW, open_sink, batch_wait_seconds=EMITTER_WAIT_SECONDS)
