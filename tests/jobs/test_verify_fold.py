"""The fold of `verify`, against second definitions over whole histories."""

from __future__ import annotations

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from jobs.verify_fold import Fold, feed
from jobs.verify_owed import publications, renderings
from schemas.events import (
    AccountDeactivated,
    AccountErased,
    AccountReactivated,
    AccountRegistered,
    BadgeChanged,
    Event,
    Followed,
    MediaRejected,
    PostDeleted,
    PostEdited,
    PostPublished,
    PostRejected,
    PostSubmitted,
    ProfileChanged,
    RenderedMedia,
    Rendition,
    RenditionsReady,
    RoleChanged,
    Source,
    Unfollowed,
    UploadCompleted,
    UploadFailed,
    UsernameChanged,
)

SOURCE = Source(topic="media", partition=0, offset=0, n=0)
BASE: dict[str, Any] = {"event_id": 1, "at": 5, "actor_id": 1}


def rendered(media_id: int) -> RenderedMedia:
    return RenderedMedia(media_id, 10, 10, "x", "#000000", [Rendition(150, 10, 10, "k", 1)])


def uploaded(media_id: int, owner: int = 1) -> UploadCompleted:
    return UploadCompleted(
        **BASE, media_id=media_id, owner_id=owner, original_key="o", content_type="image/png", size=1, sha256="0"
    )


def ready(media_id: int, owner: int = 1) -> RenditionsReady:
    return RenditionsReady(**BASE, media_id=media_id, owner_id=owner, media=rendered(media_id), source=SOURCE)


def refused(media_id: int, owner: int = 1) -> MediaRejected:
    return MediaRejected(**BASE, media_id=media_id, owner_id=owner, code="c", reason="r", source=SOURCE)


def told(media_id: int, owner: int = 1) -> UploadFailed:
    return UploadFailed(**BASE, recipient_id=owner, media_id=media_id, post_id=0, code="c", reason="r", source=SOURCE)


def submitted(post: int, media: list[int], author: int = 1) -> PostSubmitted:
    return PostSubmitted(**BASE, post_id=post, author_id=author, media_ids=media, caption=b"c")


def published(post: int, media: list[int], author: int = 1) -> PostPublished:
    return PostPublished(**BASE, post_id=post, author_id=author, media=[rendered(one) for one in media], source=SOURCE)


def deleted(post: int, author: int = 1) -> PostDeleted:
    return PostDeleted(**BASE, post_id=post, author_id=author)


def rejected(post: int) -> PostRejected:
    return PostRejected(**BASE, post_id=post, author_id=1, media_id=1, code="c", reason="r", source=SOURCE)


def fold_of(*events: Event) -> Fold:
    fold = Fold()
    for event in events:
        fold.take(event)
    return fold


people = st.integers(1, 4)
post_ids = st.integers(10, 18)


def author_of(post_id: int) -> int:
    return 1 + post_id % 4


relations = st.builds(
    lambda kind, a, b, at: kind(event_id=1, at=at, actor_id=a, follower_id=a, followee_id=b),
    st.sampled_from([Followed, Unfollowed]),
    people,
    people,
    st.integers(0, 9),
)
post_events = st.one_of(
    st.builds(lambda post: submitted(post, [1], author_of(post)), post_ids),
    st.builds(lambda post: published(post, [1], author_of(post)), post_ids),
    st.builds(lambda post: deleted(post, author_of(post)), post_ids),
    st.builds(lambda post: PostEdited(**BASE, post_id=post, author_id=author_of(post), caption=b"e"), post_ids),
)


@given(st.lists(relations | post_events, max_size=40))
def test_feeds_are_those_of_the_final_graph_and_the_final_posts(history: list[Event]) -> None:
    fold = fold_of(*history)

    def follows(a: int, b: int) -> bool:
        said = [e for e in history if isinstance(e, Followed | Unfollowed) and (e.follower_id, e.followee_id) == (a, b)]
        return a != b and bool(said) and isinstance(said[-1], Followed)

    def is_shown(post: int) -> bool:
        said = [type(e) for e in history if getattr(e, "post_id", None) == post]
        return PostPublished in said and PostDeleted not in said

    for person in range(1, 5):
        expected = [post for post in range(18, 9, -1) if is_shown(post) and follows(person, author_of(post))]
        assert feed(fold, fold.shown_by_author(), person) == expected
        assert fold.followers().get(person, set()) == {a for a in range(1, 5) if follows(a, person)}


@given(st.lists(relations | post_events, max_size=30), st.randoms(use_true_random=False))
def test_partitions_may_be_read_in_any_order(history: list[Event], random: object) -> None:
    by_key: dict[tuple[str, bytes], list[Event]] = {}
    for event in history:
        by_key.setdefault((event.TOPIC, event.key), []).append(event)
    lists = list(by_key.values())
    random.shuffle(lists)  # type: ignore[attr-defined]
    fold, other = fold_of(*history), fold_of(*(event for events in lists for event in events))
    assert sorted(fold.follows()) == sorted(other.follows())
    assert fold.posts == other.posts


def test_the_last_word_of_a_profile_counts_field_by_field() -> None:
    fold = fold_of(
        AccountRegistered(**BASE, user_id=1, username=b"u", name=b"n"),
        ProfileChanged(**BASE, user_id=1, name=b"n2", bio=b"b"),
        PostEdited(**BASE, post_id=10, author_id=1, caption=b"late"),
    )
    account = fold.accounts[1]
    assert (account.username, account.name, account.bio, account.registered_at) == (b"u", b"n2", b"b", 5)
    assert fold.posts[10].caption == b"late"


def test_what_an_account_is_now() -> None:
    who: dict[str, Any] = BASE | {"user_id": 1}
    fold = fold_of(
        AccountRegistered(**who, username=b"u", name=b"n"),
        UsernameChanged(**who, username=b"v", previous=b"u"),
        AccountDeactivated(**who),
        RoleChanged(**who, role="moderator"),
        RoleChanged(**who, role="owner"),
        BadgeChanged(**who, verified=True),
        BadgeChanged(**who, verified=False),
    )
    account = fold.accounts[1]
    assert (account.username, account.deactivated, account.role, account.verified) == (b"v", True, "moderator", False)
    back = fold_of(AccountDeactivated(**who), AccountErased(**who), AccountReactivated(**who)).accounts[1]
    assert (back.deactivated, back.erased) == (False, True)


def test_every_post_with_settled_media_owes_an_outcome() -> None:
    assert publications(fold_of(uploaded(1), ready(1), submitted(10, [1]), published(10, [1]))).wrong == []
    assert publications(fold_of(uploaded(1), submitted(10, [1]))).wrong == [], "it may still wait"
    assert publications(fold_of(ready(1), submitted(10, [1]), deleted(10))).wrong == [], "deleted first"
    assert publications(fold_of(refused(1), submitted(10, [1]), rejected(10))).wrong == []
    assert publications(fold_of(refused(1), ready(1), rejected(10), submitted(10, [1]), published(10, [1]))).wrong == []
    for history in (
        [ready(1), submitted(10, [1])],
        [refused(1), submitted(10, [1])],
        [ready(1), submitted(10, [1]), rejected(10)],
        [submitted(10, [1]), published(10, [1])],
        [ready(1), ready(2), submitted(10, [1, 2]), published(10, [2, 1])],
        [ready(1), published(10, [1])],
    ):
        assert len(publications(fold_of(*history)).wrong) == 1, history


def test_every_upload_owes_an_outcome_and_every_refusal_a_notice() -> None:
    assert renderings(fold_of(uploaded(1), ready(1), uploaded(2), refused(2), told(2), ready(3))).wrong == []
    assert renderings(fold_of(uploaded(1))).wrong == [("media 1", "uploaded, but neither rendered nor refused")]
    assert len(renderings(fold_of(uploaded(1), refused(1))).wrong) == 1
