"""A simulated world is a function of its seed."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from hashlib import sha256

import pytest

from jobs.graphs import make_graph
from jobs.photos import make_photos
from jobs.world import Plan, Reuse, Step, Upload, World, event_of
from jobs.world_doings import doings
from schemas.codec import encode
from schemas.events import (
    EVENTS,
    CommentAdded,
    Event,
    Followed,
    FollowRequested,
    PostDeleted,
    PostEdited,
    PostLiked,
    PostSubmitted,
    PostUnliked,
    StorySubmitted,
    Unfollowed,
)
from sinks.sealing import unseal

PHOTOS = make_photos(2, seed=1, sides=(40, 30))


def world_of(plan: Plan, people: int = 40) -> World:
    return World(make_graph(people, seed=plan.seed, mean_following=6), PHOTOS, plan)


def steps_of(world: World) -> list[Step]:
    return [*world.accounts(), *world.templates(), *world.follows(), *doings(world)]


def digest(steps: list[Step]) -> str:
    found = sha256()
    for step in steps:
        match step:
            case Event():
                found.update(encode(step))
            case Upload(event, photo):
                found.update(encode(event) + photo.body)
            case Reuse():
                found.update(repr(step).encode())
    return found.hexdigest()


def at(step: Step) -> int:
    return step.event.at if isinstance(step, Upload) else step.at


def test_the_same_seed_gives_the_same_bytes() -> None:
    plan = Plan(seed=7, events=800, whole_way=20)
    once, again = digest(steps_of(world_of(plan))), digest(steps_of(world_of(plan)))
    assert once == again
    assert once != digest(steps_of(world_of(replace(plan, seed=8))))


def test_time_does_not_go_back_and_ends_when_it_should() -> None:
    plan = Plan(seed=2, events=2000, until=1_700_000_000_000)
    times = [at(step) for step in steps_of(world_of(plan))]
    assert times == sorted(times)
    assert plan.until - 3_600_000 < times[-1] <= plan.until


def test_counts_are_exact_and_every_kind_happens() -> None:
    plan = Plan(seed=3, events=20_000, posts=900, whole_way=30)
    steps = list(doings(world_of(plan)))
    kinds = Counter(type(step).__name__ for step in steps)
    reused = kinds.pop("Reuse")
    assert sum(kinds.values()) == 20_000
    assert kinds["PostSubmitted"] == 900
    assert kinds["Upload"] == 30
    assert reused >= 870
    assert min(kinds[kind] for kind in ("Followed", "Unfollowed", "PostEdited", "PostDeleted", "CommentAdded")) > 50
    assert min(kinds[kind] for kind in ("UsernameChanged", "AccountDeactivated", "BadgeChanged")) > 0
    assert (
        min(kinds[kind] for kind in ("ProfileChanged", "CommentDeleted", "PostSaved", "PostUnsaved", "PostShared")) > 10
    )


NOT_SAID_BY_PEOPLE = {
    "RenditionsReady": "the media agent, of an upload; of a picture that is used again, the simulation in its stead",
    "MediaRejected": "the media agent, of a torn upload",
    "UploadFailed": "the media agent, to who uploaded what is torn",
    "PostPublished": "the publisher, of a post whose pictures are all there",
    "PostRejected": "the publisher, of a post with a torn upload",
    "StoryPublished": "the publisher, of a story whose picture is there",
    "StoryRejected": "the publisher, of a story with a torn upload",
    "Notified": "notices, of what others do",
    "NoticeWithdrawn": "notices, of what others undo",
    "PostUnshared": "the saga, of a share between people of whom one blocks the other",
    "StoryViewWithdrawn": "the saga, of a view between people of whom one blocks the other",
    "MediaPurged": "erasure, of files of people who are erased",
}
"""The events that never occur in a world itself, and who says them, of what in it."""


def test_every_event_that_people_can_cause_occurs_in_a_world_of_moderate_size() -> None:
    steps = steps_of(world_of(Plan(seed=11, events=20_000), people=200))
    said = {type(event_of(step)).__name__ for step in steps if not isinstance(step, Reuse)}
    assert {event.__name__ for event in EVENTS} - said == set(NOT_SAID_BY_PEOPLE)
    torn = {step.event.media_id for step in steps if isinstance(step, Upload) and step.photo.name.startswith("torn-")}
    assert any(torn & set(step.media_ids) for step in steps if isinstance(step, PostSubmitted))
    assert any(step.media_id in torn for step in steps if isinstance(step, StorySubmitted))


def test_people_look_far_more_than_they_like_and_like_far_more_than_they_comment() -> None:
    for people, events in ((25, 2500), (200, 20_000)):
        said = Counter(type(step).__name__ for step in acted(world_of(Plan(seed=11, events=events), people)))
        seen, liked, commented, posted, followed = (
            said[name] for name in ("PostSeen", "PostLiked", "CommentAdded", "PostSubmitted", "Followed")
        )
        assert seen > 6 * liked and liked > 3 * commented
        assert commented > posted > followed > 0
        assert 0.68 < seen / events < 0.72
        assert said["ProfileChanged"] < 0.02 * events, "what people do where they find nothing to do it to"


def acted(world: World) -> list[Step]:
    """What people do once accounts and graph are there."""
    before = len([*world.accounts(), *world.templates(), *world.follows()])
    assert before
    return list(doings(world))


def test_comments_and_edits_name_others_than_the_author_too() -> None:
    world = world_of(Plan(seed=12, events=20_000), people=200)
    friends = {(event.follower_id, event.followee_id) for event in steps_of(world) if isinstance(event, Followed)}
    commented: set[tuple[int, int]] = set()
    named: dict[int, tuple[set[int], set[int]]] = {}
    of_author = of_friend = of_commenter = added = removed = 0
    for step in acted(world_of(Plan(seed=12, events=20_000), people=200)):
        match step:
            case CommentAdded():
                of_author += step.author_id in step.mentions
                of_friend += any((step.actor_id, one) in friends for one in step.mentions if one != step.author_id)
                of_commenter += any((step.post_id, one) in commented for one in step.mentions if one != step.author_id)
                commented.add((step.post_id, step.actor_id))
                text = unseal(world.person_key(step.actor_id), step.actor_id, step.text)
                assert text.count("@") == len(step.mentions), "who is named stands in the text"
            case PostSubmitted() | PostEdited():
                now = set(step.mentions), set(step.tagged)
                for was, stands in zip(named.get(step.post_id, now), now, strict=True):
                    added, removed = added + bool(stands - was), removed + bool(was - stands)
                named[step.post_id] = now
    assert min(of_author, of_friend, of_commenter) > 3
    assert min(added, removed) > 3


def test_more_posts_than_events_are_refused() -> None:
    with pytest.raises(ValueError, match="more than 10 events"):
        Plan(seed=1, events=10, posts=20).counts()


def test_ids_are_unique_and_posts_have_their_media() -> None:
    steps = steps_of(world_of(Plan(seed=4, events=3000, whole_way=50)))
    event_ids = [step.event.event_id if isinstance(step, Upload) else step.event_id for step in steps]
    assert len(set(event_ids)) == len(event_ids)
    owners = {step.event.media_id: step.event.owner_id for step in steps if isinstance(step, Upload)}
    owners |= {step.media_id: step.owner_id for step in steps if isinstance(step, Reuse)}
    posts = [step for step in steps if isinstance(step, PostSubmitted)]
    assert len({post.post_id for post in posts}) == len(posts)
    assert all(owners[media] == post.author_id for post in posts for media in post.media_ids)
    assert any(len(post.media_ids) > 1 for post in posts)


def test_likes_are_many_and_of_a_few_posts_and_cross_what_undoes_them() -> None:
    world = world_of(Plan(seed=9, events=27_000), people=200)
    likes: Counter[int] = Counter()
    standing: set[tuple[int, int]] = set()
    seen, gone = set(), set()
    idle = crossed = again = 0
    for step in [*world.accounts(), *world.templates(), *world.follows(), *doings(world)]:
        match step:
            case PostSubmitted():
                seen.add(step.post_id)
            case PostDeleted():
                gone.add(step.post_id)
            case PostLiked():
                pair = (step.actor_id, step.post_id)
                assert step.post_id in seen
                likes[step.post_id] += 1
                crossed += step.post_id in gone
                again += pair in standing
                standing.add(pair)
            case PostUnliked():
                pair = (step.actor_id, step.post_id)
                idle += pair not in standing
                standing.discard(pair)
    assert 2500 < likes.total() < 2900, "a tenth of all that happens"
    assert sum(count for _, count in likes.most_common(len(seen) // 10)) > likes.total() / 3
    assert min(idle, crossed, again) > 2


def test_only_posts_that_exist_are_edited_and_deleted_and_follows_alternate() -> None:
    world = world_of(Plan(seed=5, events=8000))
    following = {(event.follower_id, event.followee_id) for event in world.follows()}
    again = 0
    seen: set[tuple[int, int]] = set()
    submitted: dict[int, int] = {}
    for step in doings(world):
        match step:
            case PostSubmitted():
                submitted[step.post_id] = step.author_id
            case PostEdited() | PostDeleted():
                assert submitted[step.post_id] == step.author_id == step.actor_id
            case Followed() | FollowRequested() if step.actor_id == step.follower_id:
                pair = (step.follower_id, step.followee_id)
                assert pair not in following
                assert step.follower_id != step.followee_id
                following.add(pair)
                again += pair in seen
            case Unfollowed():
                pair = (step.follower_id, step.followee_id)
                assert pair in following
                following.remove(pair)
                seen.add(pair)
    assert again > 20, "following again after an unfollow is what feeds find hard"


def test_what_is_sealed_can_be_read_with_the_person_s_key() -> None:
    world = world_of(Plan(seed=6, events=200))
    first = next(world.accounts())
    assert unseal(world.person_key(first.user_id), first.user_id, first.username) == "sim6_0"
    post = next(step for step in doings(world) if isinstance(step, PostSubmitted))
    assert unseal(world.person_key(post.author_id), post.author_id, post.caption)


def test_worlds_of_two_seeds_do_not_share_people() -> None:
    a, b = world_of(Plan(seed=1, events=0)), world_of(Plan(seed=2, events=0))
    assert not set(a.people) & set(b.people)
