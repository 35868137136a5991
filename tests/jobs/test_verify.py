"""`verify` on real stores: nothing to say of views that are right, and a word on each difference that was planted."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from typing import Any

import msgspec
import pytest
import redis.asyncio
from confluent_kafka import Consumer
from confluent_kafka import TopicPartition as KafkaPartition

from jobs.emitters import EMITTERS
from jobs.provision import provision
from jobs.verify import NAMES, Report, UnknownView, verify
from jobs.verify_differences import Differences
from schemas.codec import decode
from schemas.events import (
    AccountRegistered,
    CollectionMade,
    CommentAdded,
    CommentDeleted,
    CommentPinned,
    CommentsDisabled,
    Event,
    Followed,
    PostDeleted,
    PostEdited,
    PostLiked,
    PostPublished,
    PostSaved,
    PostSeen,
    PostShared,
    PostSubmitted,
    PostUnliked,
    PostUnsaved,
    RenditionsReady,
    Unfollowed,
    UploadFailed,
)
from schemas.ids import snowflake
from sinks.affinity import AffinitySink
from sinks.affinity import prefix_of as affinity_prefix
from sinks.cassandra import Cassandra
from sinks.counters import CounterSink, name_of, posts_of, prefix_of, replies_of
from sinks.home_feed import HomeFeedSink
from sinks.home_feed_buckets import RedisBuckets
from sinks.person_keys import PersonKeys
from sinks.producer import Producer
from sinks.redis import connect
from sinks.search import SearchSink
from sinks.settings import Settings
from sinks.story_tray import tray_sink
from sinks.tables import TableSink
from sinks.topics import Topics
from sinks.trending import TrendSink
from sinks.trending import prefix_of as trend_prefix
from streams.accounts import ACCOUNTS
from streams.affinity import AFFINITY
from streams.buckets import bucket_of
from streams.comments import COMMENTS
from streams.counters import COMMENTS as COMMENT_COUNTS
from streams.counters import COUNTERS
from streams.counters import LIKES as LIKE_COUNTS
from streams.follows import FOLLOWS
from streams.home_feed import HOME_FEED
from streams.likes import LIKES
from streams.notices import NOTICES
from streams.notifications import NOTIFICATIONS, UPLOAD_FAILED, group_of
from streams.posts import POSTS
from streams.records import Record, Span, TopicPartition
from streams.saves import SAVES
from streams.search import SEARCH
from streams.seen_posts import SEEN_POSTS
from streams.stories import STORIES
from streams.story_tray import STORY_TRAY
from streams.story_views import STORY_VIEWS
from streams.tagged_posts import TAGGED_POSTS
from streams.trending import TRENDING, bucket_of_name
from streams.user_posts import USER_POSTS
from streams.views import View
from tests.jobs.story_history import now, told
from tests.jobs.test_verify_fold import SOURCE, rendered

AT = 1_700_000_000_000
PEOPLE = [snowflake(AT, 1, n) for n in range(4)]
POSTS_OF = {person: [snowflake(AT + 1 + i, 2, n) for i in range(6)] for n, person in enumerate(PEOPLE)}
MEDIA = snowflake(AT, 3, 0)
TAGGED: dict[str, Any] = {"hashtags": ["dusk"], "place": "Lyme"}


def history() -> list[Event]:
    """Everybody follows everybody, then one stops; everybody posts, deletes their second post and tags their fourth
    anew; everybody likes every post, the deleted ones too, and one takes their likes of the third posts back."""
    base: dict[str, Any] = {"event_id": snowflake(AT, 4, 0), "at": AT}
    events: list[Event] = []
    for person in PEOPLE:
        who = {**base, "actor_id": person}
        events.append(AccountRegistered(**who, user_id=person, username=b"u", name=b"n"))
        for other in PEOPLE:
            if other != person:
                events.append(Followed(**who, follower_id=person, followee_id=other))
        for number, post in enumerate(POSTS_OF[person]):
            media = snowflake(AT, 5, 10 * PEOPLE.index(person) + number)
            picture = rendered(media)
            events += [
                RenditionsReady(**who, media_id=media, owner_id=person, media=picture, source=SOURCE),
                PostSubmitted(**who, **TAGGED, post_id=post, author_id=person, media_ids=[media], caption=b"c"),
                PostPublished(**who, post_id=post, author_id=person, media=[picture], source=SOURCE),
            ]
        events.append(PostDeleted(**who, post_id=POSTS_OF[person][1], author_id=person))
        edited = {**TAGGED, "hashtags": ["dawn"], "post_id": POSTS_OF[person][3], "author_id": person}
        events.append(PostEdited(**who, **edited, caption=b"d"))
    last = {**base, "actor_id": PEOPLE[0]}
    for author, posts in POSTS_OF.items():
        for post in posts:
            events += [PostLiked(**{**base, "actor_id": fan}, post_id=post, author_id=author) for fan in PEOPLE]
        events.append(PostUnliked(**last, post_id=posts[2], author_id=author))
        events += discussed(posts, author)
    events += told(PEOPLE)
    author, posts = list(POSTS_OF.items())[-1]
    sight = {**last, "at": now(), "viewer_id": PEOPLE[0], "post_id": posts[0], "author_id": author}
    # Lately: of what was seen long ago nothing is kept.
    events.append(PostSeen(**sight, dwell_ms=900, surface="feed", rank=0))
    events.append(Unfollowed(**last, follower_id=PEOPLE[0], followee_id=PEOPLE[1]))
    events.append(
        UploadFailed(**last, recipient_id=PEOPLE[0], media_id=MEDIA, post_id=0, code="c", reason="r", source=SOURCE)
    )
    return events


def base_of(person: int) -> dict[str, Any]:
    return {"event_id": snowflake(AT, 5, 1), "at": AT, "actor_id": person}


def discussed(posts: Sequence[int], author: int) -> list[Event]:
    """Of the first post: a comment with two replies, one of them deleted, and a deleted comment with one. A comment on
    the second, which is deleted."""
    base: dict[str, Any] = {"event_id": snowflake(AT, 5, 0), "at": AT, "actor_id": author, "author_id": author}
    first, others = posts[0] + 1000 + 10 * PEOPLE.index(author), {**base, "post_id": posts[0], "text": b"t"}
    return [
        CommentAdded(**others, comment_id=first),
        CommentAdded(**others, comment_id=first + 1, parent_id=first, parent_author_id=author),
        CommentAdded(**others, comment_id=first + 2, parent_id=first, parent_author_id=author),
        CommentDeleted(**base, post_id=posts[0], comment_id=first + 2, parent_id=first, commenter_id=author),
        CommentAdded(**others, comment_id=first + 3),
        CommentAdded(**others, comment_id=first + 4, parent_id=first + 3, parent_author_id=author),
        CommentDeleted(**base, post_id=posts[0], comment_id=first + 3, commenter_id=author),
        CommentPinned(**base, post_id=posts[0], comment_id=first),
        CommentsDisabled(**base, post_id=posts[0]),
        CommentAdded(**base, post_id=posts[1], text=b"t", comment_id=first + 5),
        PostShared(**base, post_id=posts[0]),
        PostSaved(**base, post_id=posts[0], collection_id=first),
        PostSaved(**base, post_id=posts[2], collection_id=first),
        PostUnsaved(**base, post_id=posts[2]),
        CollectionMade(**base_of(author), collection_id=first, owner_id=author, name=b"c"),
    ]


async def apply_all(settings: Settings, cassandra: Cassandra, client: redis.asyncio.Redis) -> None:
    """What the agents do, in one go and without the views' own loop."""
    topics = Topics(settings)
    async with Producer(settings) as producer:
        notices = NOTICES.project(read_all(settings, topics.ends()))
        await producer.produce_many([notice.event for notice in notices])
    ids, ends = topics.ids(), topics.ends()
    records = read_all(settings, ends)
    buckets = RedisBuckets(
        client, ids, generation=1, buckets=settings.buckets, cap=settings.feed_cap, slack=settings.feed_slack
    )
    feeds = HomeFeedSink(buckets, ids, count=settings.buckets, pull_threshold=settings.pull_threshold)
    counters = CounterSink(client, ids, generation=1, buckets=settings.buckets)
    trays = tray_sink(client, settings, ids, 1)
    least = settings.trending_least_people
    trends = TrendSink(client, ids, generation=1, buckets=settings.buckets, least_people=least)
    in_redis: dict[str, Any] = {HOME_FEED.name: feeds, COUNTERS.name: counters, STORY_TRAY.name: trays}
    in_redis[TRENDING.name] = trends
    in_redis[AFFINITY.name] = AffinitySink(client, ids, generation=1, buckets=settings.buckets)
    in_redis[SEARCH.name] = SearchSink(settings, PersonKeys(cassandra), 1, ids)
    views: list[View[Any]] = [
        *(ACCOUNTS, FOLLOWS, POSTS, USER_POSTS, NOTIFICATIONS, LIKES, COMMENTS, SAVES, HOME_FEED, COUNTERS),
        *(STORIES, STORY_VIEWS, STORY_TRAY, TRENDING, AFFINITY, TAGGED_POSTS, SEEN_POSTS),
        SEARCH,
    ]
    for view in views:
        mine = [record for record in records if record.tp.topic in view.sources]
        spans = {tp: Span(-1, end) for tp, end in ends.items() if tp.topic in view.sources}
        sink = in_redis.get(view.name) or TableSink(cassandra, view.name, 1, ids)
        await sink.apply(view.project(mine), spans)
    for group, names in EMITTERS.items():
        commit(settings, group, {tp: end for tp, end in ends.items() if tp.topic in names and end >= 0})


def read_all(settings: Settings, ends: dict[TopicPartition, int]) -> list[Record]:
    consumer = Consumer({"bootstrap.servers": settings.kafka_bootstrap, "group.id": settings.topic("test")})
    wanted = {tp: end for tp, end in ends.items() if end >= 0}
    consumer.assign([KafkaPartition(settings.topic(tp.topic), tp.partition, 0) for tp in wanted])
    records: list[Record] = []
    while len(records) < sum(end + 1 for end in wanted.values()):
        for message in consumer.consume(500, timeout=0.1):
            assert message.error() is None
            topic = (message.topic() or "").removeprefix(settings.topic_prefix)
            tp = TopicPartition(topic, message.partition() or 0)
            records.append(Record(tp, message.offset() or 0, AT, decode(message.value())))
    consumer.close()
    return sorted(records, key=lambda record: (record.tp, record.offset))


def commit(settings: Settings, group: str, ends: dict[TopicPartition, int]) -> None:
    consumer = Consumer({"bootstrap.servers": settings.kafka_bootstrap, "group.id": settings.topic(group)})
    offsets = [KafkaPartition(settings.topic(tp.topic), tp.partition, end + 1) for tp, end in ends.items()]
    consumer.commit(offsets=offsets, asynchronous=False)
    consumer.close()


class Scene:
    """A small world whose views are right."""

    def __init__(self, settings: Settings, cassandra: Cassandra, client: redis.asyncio.Redis) -> None:
        self.settings, self.cassandra, self.redis = settings, cassandra, client

    async def verify(self, *names: str, patience: float = 10) -> Report:
        names = names or tuple(name for name in NAMES if name != "facts")  # those stand in ClickHouse
        return await asyncio.to_thread(verify, self.settings, names, patience=patience, quiet=True)

    async def key(self, kind: str, person: int) -> str:
        keys: list[str] = [key.decode() async for key in self.redis.scan_iter(match=f"hf1:*:{kind}:{person}")]
        return keys[0]


@pytest.fixture
async def scene(settings: Settings) -> AsyncIterator[Scene]:
    small = settings.model_copy(update={"partitions": 2, "buckets": 3, "feed_cap": 8, "feed_slack": 2})
    await asyncio.to_thread(provision, small)
    async with Producer(small) as producer:
        await producer.produce_many(history())
    client = connect(small.redis_url)
    async with await Cassandra.connect(small) as cassandra:
        await apply_all(small, cassandra, client)
        yield Scene(small, cassandra, client)
        await cassandra.change_schema(f"DROP KEYSPACE {small.cassandra_keyspace}")
    await client.aclose()


async def test_views_that_are_right_show_no_difference_until_they_are_late(scene: Scene) -> None:
    report = await scene.verify()
    assert list(report.lines(5))[-1].startswith("0 differences"), list(report.lines(5))
    as_json = report.to_json()
    assert as_json["differences"] == 0
    assert as_json["views"]["posts"]["checked"] == 48 + 12
    assert as_json["views"]["follows"]["checked"] == 22
    assert as_json["views"]["likes"]["checked"] == 24 * 4 - 4
    likes, comments, deleted_comments, shares, saves, replies = 20 * 4 - 4, 4 * 2, 4 * 2, 4, 4, 4
    members = likes + comments + deleted_comments + shares + saves + replies
    named = 20 + 16 + 4 + 20  # all that stand, dusk, dawn, Lyme
    # Members, what posts name, deleted posts, posts as they are read.
    assert as_json["views"]["counters"]["checked"] == members + named + 4 + 24
    assert as_json["views"]["tagged_posts"]["checked"] == 24 + 4 + 24
    assert as_json["views"]["saves"]["checked"] == 4 * (2 + 1)
    assert as_json["views"]["comments"]["checked"] == 4 * (6 + 6 + 1 + 1)
    # Of each person: what is said of two stories, the one that is deleted and the other, not of the one that was over;
    # two highlights, one of them gone.
    assert as_json["views"]["stories"]["checked"] == 4 * (3 + 1 + 2 + 1 + 1)
    assert as_json["views"]["story_views"]["checked"] == 4 * 3 * 2 + (4 * 3 - 3) * 2
    assert as_json["views"]["story_tray"]["checked"] > 0
    feeds = as_json["views"]["home_feed"]
    assert feeds["floors"] > 0, "feeds are longer than the cap, so some floor must stand"
    assert feeds["continued"] > 0

    # A view that does not catch up is different, too.
    base: dict[str, Any] = {"event_id": snowflake(AT, 4, 0), "at": AT, "actor_id": PEOPLE[0]}
    async with Producer(scene.settings) as producer:
        last = Unfollowed(**base, follower_id=PEOPLE[0], followee_id=PEOPLE[2])
        tp, offset = await producer.produce(last)
    report = await scene.verify("follows", patience=1)
    assert f"follows stands at offset {offset - 1} of {tp}, whose end is {offset}" in "\n".join(report.lines(5))


async def without_a_post(scene: Scene) -> str:
    post = POSTS_OF[PEOPLE[2]][5]
    await scene.redis.lrem(await scene.key("h", PEOPLE[0]), 0, str(post))
    return f"feed of {PEOPLE[0]}: post {post} by {PEOPLE[2]}, whom they follow, is missing"


async def with_a_ghost(scene: Scene) -> str:
    ghost = snowflake(AT + 1000, 9, 9)
    await scene.redis.lpush(await scene.key("h", PEOPLE[0]), str(ghost))
    return f"post {ghost} stands in it, and the log never published it"


async def without_a_follower(scene: Scene) -> str:
    await scene.redis.srem(await scene.key("o", PEOPLE[0]), str(PEOPLE[2]))
    return f"following of {PEOPLE[0]}: {PEOPLE[2]} is missing"


async def without_a_timeline(scene: Scene) -> str:
    await scene.redis.delete(await scene.key("t", PEOPLE[3]))
    return f"timeline of {PEOPLE[3]}: post"


async def with_another_caption(scene: Scene) -> str:
    post = POSTS_OF[PEOPLE[0]][0]
    cql = "UPDATE posts_1 USING TIMESTAMP 99999999 SET caption = 0x00 WHERE post_id = ?"
    await scene.cassandra.execute(cql, (post,))
    return f"posts({post},): caption is b'\\x00', the log says b'c'"


async def with_a_deleted_post(scene: Scene) -> str:
    post = POSTS_OF[PEOPLE[0]][0]
    cql = "UPDATE user_posts_1 SET deleted = true WHERE author_id = ? AND post_id = ?"
    await scene.cassandra.execute(cql, (PEOPLE[0], post))
    return f"user_posts({PEOPLE[0]}, {post}) is missing"


async def with_a_stranger(scene: Scene) -> str:
    await scene.cassandra.execute("INSERT INTO followers_1 (followee_id, follower_id, followed_at) VALUES (1, 2, 3)")
    return "followers(1, 2) is there, and the log knows nothing of it"


async def with_another_time(scene: Scene) -> str:
    cql = "UPDATE accounts_1 SET registered_at = 1 WHERE user_id = ?"
    await scene.cassandra.execute(cql, (PEOPLE[0],))
    return f"accounts({PEOPLE[0]},): registered_at is 1, the log says {AT}"


async def without_a_notice(scene: Scene) -> str:
    group = group_of(PEOPLE[0], UPLOAD_FAILED, MEDIA)
    cql = "DELETE FROM notification_groups_1 WHERE recipient_id = ? AND group_id = ?"
    await scene.cassandra.execute(cql, (PEOPLE[0], group))
    return f"notification_groups({PEOPLE[0]}, {group}) is missing"


async def with_somebody_who_did_nothing(scene: Scene) -> str:
    group = group_of(PEOPLE[0], "follow", 0)
    cql = (
        "INSERT INTO notification_causes_1 (group_id, recipient_id, actor_id, comment, position) VALUES (?, ?, ?, 0, 1)"
    )
    await scene.cassandra.execute(cql, (group, PEOPLE[0], MEDIA))
    return f"notification_causes({group}, {PEOPLE[0]}, {MEDIA}, 0) is there, and the log knows nothing of it"


async def without_a_like(scene: Scene) -> str:
    post = POSTS_OF[PEOPLE[0]][0]
    await scene.cassandra.execute("DELETE FROM likes_1 WHERE post_id = ? AND user_id = ?", (post, PEOPLE[1]))
    return f"likes({post}, {PEOPLE[1]}) is missing"


async def with_a_comment_back(scene: Scene) -> str:
    post = POSTS_OF[PEOPLE[0]][0]
    where = "post_id = ? AND parent_id = 0 AND comment_id = ?"
    cql = f"UPDATE comments_1 USING TIMESTAMP 99999999 SET deleted = false WHERE {where}"  # noqa: S608
    await scene.cassandra.execute(cql, (post, post + 1003))
    return f"comments({post}, 0, {post + 1003}): deleted is False, the log says True"


async def without_a_save(scene: Scene) -> str:
    post = POSTS_OF[PEOPLE[0]][0]
    where = "user_id = ? AND post_id = ? AND collection_id = 0"
    await scene.cassandra.execute(f"DELETE FROM saves_1 WHERE {where}", (PEOPLE[0], post))  # noqa: S608
    return f"saves({PEOPLE[0]}, {post}, 0) is missing"


async def without_a_pin(scene: Scene) -> str:
    post = POSTS_OF[PEOPLE[0]][0]
    await scene.cassandra.execute("DELETE FROM comment_pins_1 WHERE post_id = ?", (post,))
    return f"comment_pins({post}, {post + 1000}) is missing"


async def with_a_reply_too_many(scene: Scene) -> str:
    post = POSTS_OF[PEOPLE[0]][0]
    prefix = prefix_of(1, bucket_of(post, scene.settings.buckets))
    await scene.redis.sadd(f"{prefix}{replies_of(post + 1000)}:0", str(post + 1002))
    return f"comment {post + 1000} counts 2 replies, the log says 1"


async def with_a_comment_that_is_gone(scene: Scene) -> str:
    post = POSTS_OF[PEOPLE[0]][0]
    prefix = prefix_of(1, bucket_of(post, scene.settings.buckets))
    await scene.redis.sadd(f"{prefix}{name_of(COMMENT_COUNTS, post)}:0", str(post + 1003))
    return f"post {post}: {post + 1003} is counted, and is no comment of it"


def counted(scene: Scene, post: int, shard: int) -> str:
    prefix = prefix_of(1, bucket_of(post, scene.settings.buckets))
    return f"{prefix}{name_of(LIKE_COUNTS, post)}:{shard}"


async def without_one_who_is_counted(scene: Scene) -> str:
    post = POSTS_OF[PEOPLE[0]][0]
    await scene.redis.srem(counted(scene, post, 0), str(PEOPLE[1]))
    return f"post {post}: {PEOPLE[1]} likes it, and is not counted"


async def with_a_wrong_count(scene: Scene) -> str:
    post = POSTS_OF[PEOPLE[0]][2]
    await scene.redis.sadd(counted(scene, post, 0), str(PEOPLE[0]))
    return f"post {post} counts 4 likes, the log says 3"


async def with_one_in_a_wrong_shard(scene: Scene) -> str:
    post = POSTS_OF[PEOPLE[0]][3]
    await scene.redis.smove(counted(scene, post, 0), counted(scene, post, 7), str(PEOPLE[1]))
    return f"post {post}: {PEOPLE[1]} stands in shard 7 of 1, and is looked for elsewhere"


async def with_likes_of_a_deleted_post(scene: Scene) -> str:
    post = POSTS_OF[PEOPLE[0]][1]
    await scene.redis.sadd(counted(scene, post, 0), str(PEOPLE[1]))
    return f"post {post}: {PEOPLE[1]} is counted, and does not like it"


async def with_a_post_that_is_not_gone(scene: Scene) -> str:
    post = POSTS_OF[PEOPLE[0]][4]
    await scene.redis.sadd(prefix_of(1, bucket_of(post, scene.settings.buckets)) + "gone", str(post))
    return f"post {post} counts as deleted, and is not"


def naming(scene: Scene, post: int, name: str) -> str:
    return f"{prefix_of(1, bucket_of(post, scene.settings.buckets))}{posts_of(name)}:0"


async def without_a_post_that_names_it(scene: Scene) -> str:
    post = POSTS_OF[PEOPLE[1]][0]
    await scene.redis.srem(naming(scene, post, "t:dusk"), str(post))
    return f"t:dusk: post {post} is shown with it, and does not count"


async def with_a_post_that_names_it_no_more(scene: Scene) -> str:
    post = POSTS_OF[PEOPLE[1]][3]
    await scene.redis.sadd(naming(scene, post, "t:dusk"), str(post))
    return f"t:dusk: post {post} counts, and is not shown with it"


async def without_a_tag(scene: Scene) -> str:
    post = POSTS_OF[PEOPLE[0]][0]
    await scene.cassandra.execute("DELETE FROM tagged_posts_1 WHERE name = ? AND post_id = ?", ("l:Lyme", post))
    return f"tagged_posts('l:Lyme', {post}) is missing"


async def without_a_post_that_was_seen(scene: Scene) -> str:
    post = POSTS_OF[PEOPLE[-1]][0]
    await scene.cassandra.execute("DELETE FROM seen_posts_1 WHERE viewer_id = ? AND post_id = ?", (PEOPLE[0], post))
    return f"seen_posts({PEOPLE[0]}, {post}) is missing"


async def with_a_post_that_nobody_saw(scene: Scene) -> str:
    cql = "INSERT INTO seen_posts_1 (viewer_id, post_id, expires_at) VALUES (1, 2, 9000000000000)"
    await scene.cassandra.execute(cql)
    return "seen_posts(1, 2) is there, and the log knows nothing of it"


async def without_a_story(scene: Scene) -> str:
    (row, *_) = await scene.cassandra.execute("SELECT author_id, story_id FROM user_stories_1")
    cql = "DELETE FROM user_stories_1 WHERE author_id = ? AND story_id = ?"
    await scene.cassandra.execute(cql, (row.author_id, row.story_id))
    return f"user_stories({row.author_id}, {row.story_id}) is missing"


async def with_a_story_for_ever(scene: Scene) -> str:
    rows = await scene.cassandra.execute("SELECT story_id, said FROM stories_1")
    row = next(row for row in rows if row.said == 1)
    cql = "UPDATE stories_1 USING TIMESTAMP 99999999 SET expires_at = 9000000000000 WHERE story_id = ? AND said = 1"
    await scene.cassandra.execute(cql, (row.story_id,))
    return f"stories({row.story_id}, 1): expires_at is 9000000000000, the log says"


async def with_a_viewer(scene: Scene) -> str:
    cql = "INSERT INTO story_views_1 (story_id, viewer_id, expires_at) VALUES (1, 2, 9000000000000)"
    await scene.cassandra.execute(cql)
    return "story_views(1, 2) is there, and the log knows nothing of it"


async def with_an_empty_tray(scene: Scene) -> str:
    keys: list[bytes] = [key async for key in scene.redis.scan_iter(match=f"tr1:*:h:{PEOPLE[0]}")]
    assert await scene.redis.delete(*keys) == 1
    return f"feed of {PEOPLE[0]}: post "


def trend(scene: Scene, key: str, post: int, last: str) -> str:
    prefix = trend_prefix(1, bucket_of_name(f"p:{post}", scene.settings.buckets))
    return f"{prefix}{key}:p:{post}{last}" if last else f"{prefix}{key}"


async def without_one_who_turned_to_it(scene: Scene) -> str:
    post = POSTS_OF[PEOPLE[0]][0]
    await scene.redis.hdel(trend(scene, "w", post, f":{AT // 86_400_000}"), str(PEOPLE[1]))
    return f"p:{post}: who did what on the days [{AT // 86_400_000}] is not what the log says"


async def with_a_trend_that_is_not_listed(scene: Scene) -> str:
    post = POSTS_OF[PEOPLE[0]][2]
    await scene.redis.zrem(trend(scene, "1h:p", post, ""), f"p:{post}")
    return f"p:{post} does not stand in the list of 1h, with 3 people"


async def with_another_score(scene: Scene) -> str:
    post = POSTS_OF[PEOPLE[0]][3]
    await scene.redis.zincrby(trend(scene, "24h:p", post, ""), 1, f"p:{post}")
    return f"p:{post}: its score of 24h is "


async def without_a_trend(scene: Scene) -> str:
    post = POSTS_OF[PEOPLE[0]][4]
    await scene.redis.zrem(trend(scene, "newest", post, ""), f"p:{post}")
    return f"p:{post} is missing"


def near(scene: Scene, viewer: int) -> str:
    return f"{affinity_prefix(1, bucket_of(viewer, scene.settings.buckets))}a:{viewer}"


async def with_an_older_follow(scene: Scene) -> str:
    held: dict[bytes, bytes] = await scene.redis.hgetall(near(scene, PEOPLE[0]))  # type: ignore[assignment]
    author = min(held)
    since, *steps = msgspec.msgpack.decode(held[author])
    await scene.redis.hset(near(scene, PEOPLE[0]), author.decode(), msgspec.msgpack.encode([since + 1, *steps]))
    return f"{PEOPLE[0]} follows {author.decode()} since {since + 1}, the log says {since}"


async def without_who_they_turned_to(scene: Scene) -> str:
    authors: list[bytes] = await scene.redis.hkeys(near(scene, PEOPLE[1]))  # type: ignore[assignment]
    author = min(authors).decode()
    await scene.redis.hdel(near(scene, PEOPLE[1]), author)
    return f"{PEOPLE[1]} turned to {author} with weights of 0, the log says "


PLANTS: list[tuple[str, Callable[[Scene], Awaitable[str]]]] = [
    ("home_feed", without_a_post),
    ("home_feed", with_a_ghost),
    ("home_feed", without_a_follower),
    ("home_feed", without_a_timeline),
    ("posts", with_another_caption),
    ("user_posts", with_a_deleted_post),
    ("follows", with_a_stranger),
    ("accounts", with_another_time),
    ("notifications", without_a_notice),
    ("notifications", with_somebody_who_did_nothing),
    ("likes", without_a_like),
    ("comments", with_a_comment_back),
    ("comments", without_a_pin),
    ("saves", without_a_save),
    ("stories", without_a_story),
    ("stories", with_a_story_for_ever),
    ("story_views", with_a_viewer),
    ("story_tray", with_an_empty_tray),
    ("counters", with_a_reply_too_many),
    ("counters", with_a_comment_that_is_gone),
    ("counters", without_one_who_is_counted),
    ("counters", with_a_wrong_count),
    ("counters", with_one_in_a_wrong_shard),
    ("counters", with_likes_of_a_deleted_post),
    ("counters", with_a_post_that_is_not_gone),
    ("counters", without_a_post_that_names_it),
    ("counters", with_a_post_that_names_it_no_more),
    ("tagged_posts", without_a_tag),
    ("seen_posts", with_a_post_that_nobody_saw),
    ("seen_posts", without_a_post_that_was_seen),
    ("trending", without_one_who_turned_to_it),
    ("trending", with_a_trend_that_is_not_listed),
    ("trending", with_another_score),
    ("trending", without_a_trend),
    ("affinity", with_an_older_follow),
    ("affinity", without_who_they_turned_to),
]


async def test_every_planted_difference_is_found(scene: Scene) -> None:
    planted = [(view, await plant(scene)) for view, plant in PLANTS]
    report = await scene.verify()
    for view, sentence in planted:
        found = report.views[view].found.values()
        assert any(sentence in line for line in found), (sentence, list(found))
    assert report.differences >= len(planted)
    assert report.views["publisher"].total == report.views["media"].total == 0


def test_what_is_only_on_its_way_is_not_reported_however_much_it_is() -> None:
    """Under load a look finds tens of thousands of differences, and the next one as many others."""
    first, second = Differences(), Differences()
    for n in range(50_000):
        first.add(("feed", 1, n), "on its way")
        second.add(("feed", 1, 100_000 + n), "on its way")
    for look in (first, second):
        look.add(("feed", 2, 7), "is wrong")
    assert first.still(second).found == {("feed", 2, 7): "is wrong"}
    assert first.still(second).total == 1


@pytest.mark.parametrize("names", [["feeds"], ["posts", ""]])
def test_an_unknown_view_is_refused(names: list[str]) -> None:
    with pytest.raises(UnknownView, match="there is no view"):
        verify(Settings(), names)
