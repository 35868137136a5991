"""Everything the gateway talks to, opened together and closed together."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from functools import partial
from typing import Annotated

from fastapi import Depends, Request

from api.access_tokens import AccessTokens
from api.outbox import Outbox
from api.passwords import Passwords
from api.returning import Returning
from api.searches import Searches
from sinks.accounts import AccountReader
from sinks.adoption import AdoptedGenerations, stored_in
from sinks.affinity import AFFINITIES, AffinityReader
from sinks.broker_watch import BrokerWatch
from sinks.cassandra import Cassandra
from sinks.co_engagement import CurrentModel, co_engagement_folder
from sinks.comments import CommentReader
from sinks.consistency import SOURCES, Fences
from sinks.counters import COUNTED
from sinks.counters_reader import CounterReader
from sinks.credentials import Credentials
from sinks.emails import Emails
from sinks.explore_lists import ExploreLists
from sinks.follows import FollowReader
from sinks.generations import FIRST, now_ms
from sinks.home_feed_buckets import RedisBuckets
from sinks.home_feed_reader import HomeFeedReader
from sinks.home_feed_sleep import Seen, Sleepers
from sinks.home_feed_watch import FEEDS, STORY_TRAYS, FeedWatch
from sinks.idempotency import IdempotencyKeys, Submissions
from sinks.insights import InsightReader
from sinks.last_edits import LastEdits
from sinks.likes import LikeReader
from sinks.log_since import LogSince
from sinks.mail import Mailer
from sinks.notice_tail import NoticeTail
from sinks.notifications import NotificationReader
from sinks.object_store import ObjectStore
from sinks.person_keys import PersonKeys
from sinks.posts import PostReader
from sinks.producer import Producer
from sinks.push_subscriptions import PushSubscriptions
from sinks.ranked_lists import RankedLists
from sinks.ranking_models import RankingModels, models_folder
from sinks.redis import Circuit, Redis, connect
from sinks.relations import RelationReader
from sinks.remembered import VIEWS, Remembered
from sinks.saves import SaveReader
from sinks.search_index import folder_of
from sinks.search_reader import SearchReader
from sinks.seen_posts import SeenPostReader
from sinks.sessions import Sessions
from sinks.settings import Settings
from sinks.snowflakes import SnowflakeMaker
from sinks.standing import VIEWS_OF
from sinks.stories import StoryReader
from sinks.story_tray import tray_reader
from sinks.story_views import StoryViewReader
from sinks.tagged_posts import TaggedPostReader
from sinks.throttles import Throttles
from sinks.topics import Topics
from sinks.transactions import Transactions
from sinks.trending import TRENDS
from sinks.trending_reader import TrendLists, TrendReader
from sinks.usernames import Usernames
from sinks.versions import Versions
from sinks.web_push import Vapid
from streams.experiments import Experiment, experiments_of

KAFKA_PING_SECONDS = 3.0
REDIS_SECONDS = 1.0
"""How long a request waits for Redis at most. Whoever waits in vain lets the others pass Redis by for a while."""


@dataclass(kw_only=True)
class Stores:
    """The gateway's parts. Routers take what they need of it.

    The readers of views read one generation of each, the same throughout a request: a request that began before a flip
    shows no mix of two.
    """

    settings: Settings
    producer: Producer
    transactions: Transactions
    cassandra: Cassandra
    redis: Redis
    feed_watch: FeedWatch
    counter_watch: FeedWatch
    tray_watch: FeedWatch
    trend_watch: FeedWatch
    affinity_watch: FeedWatch
    trend_lists: TrendLists
    ranking_models: RankingModels
    experiments: Sequence[Experiment]
    ranked_lists: RankedLists
    explore_lists: ExploreLists
    explore_model: CurrentModel
    seen: Seen
    returning: Returning
    searches: Searches
    emails: Emails | None
    outbox: Outbox
    objects: ObjectStore
    keys: PersonKeys
    generations: AdoptedGenerations
    accounts: AccountReader = field(init=False)
    follows: FollowReader = field(init=False)
    relations: RelationReader = field(init=False)
    posts: PostReader = field(init=False)
    notifications: NotificationReader = field(init=False)
    home_feed: HomeFeedReader = field(init=False)
    likes: LikeReader = field(init=False)
    comments: CommentReader = field(init=False)
    saves: SaveReader = field(init=False)
    counters: CounterReader = field(init=False)
    stories: StoryReader = field(init=False)
    story_views: StoryViewReader = field(init=False)
    story_tray: HomeFeedReader = field(init=False)
    trending: TrendReader = field(init=False)
    affinity: AffinityReader = field(init=False)
    tagged_posts: TaggedPostReader = field(init=False)
    search: SearchReader = field(init=False)
    seen_posts: SeenPostReader = field(init=False)
    fences: Fences = field(init=False)
    remembered: Remembered = field(init=False)
    usernames: Usernames
    credentials: Credentials
    sessions: Sessions
    idempotency: IdempotencyKeys
    submissions: Submissions
    throttles: Throttles
    last_edits: LastEdits
    notice_tail: NoticeTail
    log_since: LogSince
    topics: Topics
    snowflakes: SnowflakeMaker
    passwords: Passwords
    access_tokens: AccessTokens
    push: PushSubscriptions
    insights: InsightReader
    vapid: Vapid | None
    """None where the server has no key for pushes."""
    clock: Callable[[], int] = now_ms
    """The time in ms, for what ends."""
    _live: Mapping[str, int] = field(init=False)

    def __post_init__(self) -> None:
        self._read(self.generations.snapshot())

    def for_request(self) -> Stores:
        """These parts, with readers of the generations that are live now."""
        self.follow_flips()
        # As `copy.copy` does, at a tenth of its price.
        one = object.__new__(type(self))
        one.__dict__.update(self.__dict__)
        return one

    def follow_flips(self) -> None:
        """Go over to the generations that are to be read now. In a request, only before it has read anything: who waits
        for a view to come as far as a token would wait in vain for one that was left meanwhile."""
        live = self.generations.snapshot()
        if live is not self._live:
            self._read(live)

    def _read(self, live: Mapping[str, int]) -> None:
        of = {view: live.get(view, FIRST) for view in SOURCES}
        self._live = live
        self.accounts = AccountReader(self.cassandra, of["accounts"])
        self.follows = FollowReader(self.cassandra, of["follows"])
        self.relations = RelationReader(self.cassandra, of["follows"], of["accounts"])
        self.posts = PostReader(self.cassandra, of["posts"], of["user_posts"])
        self.notifications = NotificationReader(self.cassandra, of["notifications"])
        number, buckets = of["home_feed"], self.settings.buckets
        watch = self.feed_watch.of(number)
        self.home_feed = HomeFeedReader(self.redis, generation=number, buckets=buckets, watch=watch)
        self.likes = LikeReader(self.cassandra, of["likes"])
        self.comments = CommentReader(self.cassandra, of["comments"])
        self.saves = SaveReader(self.cassandra, of["saves"])
        number = of["counters"]
        watch = self.counter_watch.of(number)
        self.counters = CounterReader(self.redis, generation=number, buckets=buckets, watch=watch)
        self.stories = StoryReader(self.cassandra, of["stories"])
        self.story_views = StoryViewReader(self.cassandra, of["story_views"])
        self.seen_posts = SeenPostReader(self.cassandra, of["seen_posts"])
        self.tagged_posts = TaggedPostReader(self.cassandra, of["tagged_posts"])
        number = of["story_tray"]
        self.story_tray = tray_reader(self.redis, self.settings, number, self.tray_watch.of(number))
        number = of["trending"]
        watch = self.trend_watch.of(number)
        self.trending = TrendReader(self.redis, generation=number, buckets=buckets, watch=watch)
        number = of["affinity"]
        watch = self.affinity_watch.of(number)
        self.affinity = AffinityReader(self.redis, generation=number, buckets=buckets, watch=watch)
        self.search = SearchReader(folder_of(self.settings, of["search"]))
        others = (self.story_tray, self.trending, self.affinity, self.search)
        self.fences = Fences(self.cassandra, self.home_feed, self.counters, of, *others)
        versions = Versions(self.cassandra, {view: of[view] for view in VIEWS})
        self.remembered = Remembered(versions, self.posts, self.accounts, self.relations, self.settings.partitions)


@asynccontextmanager
async def open_stores(settings: Settings) -> AsyncIterator[Stores]:
    """All parts on real stores. Raises ``StoreAway`` and ``ValueError`` for a secret that is too short."""
    access_tokens = AccessTokens(settings.jwt_secret, seconds=settings.access_token_seconds)
    vapid = Vapid(settings.vapid_private_key, settings.vapid_subject) if settings.vapid_private_key else None
    mailer = Mailer(settings.smtp_url, settings.mail_from, settings.smtp_ca) if settings.smtp_url else None
    async with AsyncExitStack() as stack:
        cassandra = await stack.enter_async_context(await Cassandra.connect(settings))
        await stack.enter_async_context(cassandra.watching())
        producer = await stack.enter_async_context(Producer(settings, watch=BrokerWatch()))
        redis = connect(settings.redis_url, seconds=REDIS_SECONDS)
        stack.push_async_callback(redis.aclose)
        passwords = Passwords()
        stack.callback(passwords.close)
        watched = {view.name: view for view in (FEEDS, COUNTED, STORY_TRAYS, TRENDS, AFFINITIES)}
        folders = partial(folder_of, settings)
        stored = stored_in(cassandra, redis, watched, settings.buckets, folders)
        generations = AdoptedGenerations(settings, stored)
        await generations.start()
        stack.push_async_callback(generations.stop)
        topics = Topics(settings, timeout_seconds=KAFKA_PING_SECONDS)
        circuit = Circuit()
        ends, buckets = partial(asyncio.to_thread, topics.ends), settings.buckets
        watch = FeedWatch(redis, circuit, ends, buckets=buckets)
        watch.of(generations["home_feed"])
        await stack.enter_async_context(watch.watching())
        counter_watch = FeedWatch(redis, circuit, ends, buckets=buckets, view=COUNTED)
        counter_watch.of(generations["counters"])
        await stack.enter_async_context(counter_watch.watching())
        tray_watch = FeedWatch(redis, circuit, ends, buckets=buckets, view=STORY_TRAYS)
        tray_watch.of(generations["story_tray"])
        await stack.enter_async_context(tray_watch.watching())
        trend_watch = FeedWatch(redis, circuit, ends, buckets=buckets, view=TRENDS)
        trend_watch.of(generations["trending"])
        await stack.enter_async_context(trend_watch.watching())
        affinity_watch = FeedWatch(redis, circuit, ends, buckets=buckets, view=AFFINITIES)
        affinity_watch.of(generations["affinity"])
        await stack.enter_async_context(affinity_watch.watching())
        returning = Returning(lambda generation: _sleepers(settings, redis, generation))
        await stack.enter_async_context(returning.errands.at_work())
        searches = Searches()
        await stack.enter_async_context(searches.errands.at_work())
        outbox = Outbox(mailer)
        await stack.enter_async_context(outbox.at_work())
        notice_tail = NoticeTail(settings)
        stack.push_async_callback(notice_tail.stop)
        log_since = LogSince(settings, topics, VIEWS_OF)
        stack.push_async_callback(log_since.stop)
        keys = PersonKeys(cassandra)
        sessions = Sessions(
            cassandra, seconds=settings.refresh_token_seconds, check_seconds=settings.session_check_seconds
        )
        transactions = Transactions(settings)
        stack.push_async_callback(transactions.close)
        insights = InsightReader(settings, lambda: generations["facts"])
        stack.push_async_callback(insights.close)
        yield Stores(
            insights=insights,
            settings=settings,
            producer=producer,
            transactions=transactions,
            cassandra=cassandra,
            redis=redis,
            feed_watch=watch,
            counter_watch=counter_watch,
            tray_watch=tray_watch,
            trend_watch=trend_watch,
            affinity_watch=affinity_watch,
            trend_lists=TrendLists(settings.trending_cache_seconds),
            ranking_models=RankingModels(models_folder(settings)),
            experiments=experiments_of(settings.feed_experiments),
            ranked_lists=RankedLists(
                redis, circuit, prefix=settings.topic_prefix, seconds=settings.ranking_kept_seconds
            ),
            explore_lists=ExploreLists(
                redis, circuit, prefix=settings.topic_prefix, seconds=settings.explore_cache_seconds
            ),
            explore_model=CurrentModel(co_engagement_folder(settings)),
            seen=Seen(redis, buckets=settings.buckets, inactive_days=settings.inactive_days),
            returning=returning,
            searches=searches,
            emails=Emails(cassandra, settings.email_secret) if mailer else None,
            outbox=outbox,
            objects=ObjectStore.of(settings),
            keys=keys,
            generations=generations,
            usernames=Usernames(cassandra),
            credentials=Credentials(cassandra),
            sessions=sessions,
            push=PushSubscriptions(cassandra, keys, sessions),
            vapid=vapid,
            idempotency=IdempotencyKeys(cassandra),
            submissions=Submissions(cassandra),
            notice_tail=notice_tail,
            log_since=log_since,
            throttles=Throttles(redis, prefix=settings.topic_prefix, circuit=circuit),
            last_edits=LastEdits(redis, prefix=settings.topic_prefix, circuit=circuit),
            topics=topics,
            snowflakes=SnowflakeMaker(settings.node_id),
            passwords=passwords,
            access_tokens=access_tokens,
        )


def _sleepers(settings: Settings, redis: Redis, generation: int) -> Sleepers:
    return Sleepers(
        RedisBuckets(
            redis,
            {},  # nothing from the log is written here
            generation=generation,
            buckets=settings.buckets,
            cap=settings.feed_cap,
            slack=settings.feed_slack,
        ),
        count=settings.buckets,
        cap=settings.feed_cap,
        partitions=settings.partitions,
    )


async def _stores(request: Request) -> Stores:  # async, or it would cost each request a thread
    stores: Stores = request.app.state.stores
    return stores.for_request()


Opened = Annotated[Stores, Depends(_stores)]
"""The stores, in a route."""
