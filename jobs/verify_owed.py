"""What the emitters owe, by the fold of the log; and story trays as a fold of their own."""

from __future__ import annotations

from dataclasses import dataclass

from jobs.verify_erasure import standing
from jobs.verify_fold import Fold, Post
from jobs.verify_stories import Story


@dataclass(frozen=True)
class Accounting:
    """What the emitters owe: (what it is about, why it is wrong)."""

    checked: int
    wrong: list[tuple[str, str]]


def renderings(fold: Fold) -> Accounting:
    """Every upload must have come to an end, one way or the other."""
    uploads = {media_id: media for media_id, media in fold.media.items() if media.uploaded_at is not None}
    wrong = [
        (f"media {media_id}", "uploaded, but neither rendered nor refused")
        for media_id, media in uploads.items()
        if media.rendered is None and media.rejected is None
    ]
    wrong += [
        (f"media {media_id}", "refused, but its owner was not told")
        for media_id, media in uploads.items()
        if media.rejected is not None and not media.purged and (media.owner_id, media_id) not in fold.notices
    ]
    return Accounting(len(uploads), wrong)


def publications(fold: Fold) -> Accounting:
    """Every post and story whose media are settled must be published or rejected; deleted ones may be, too."""
    wrong = [(f"post {post_id}", why) for post_id, post in fold.posts.items() if (why := _owed(fold, post))]
    stories = {story_id: _as_post(story) for story_id, story in fold.stories.stories.items()}
    wrong += [(f"story {story_id}", why) for story_id, story in stories.items() if (why := _owed(fold, story))]
    return Accounting(len(fold.posts) + len(stories), wrong)


def trays(fold: Fold) -> Fold:
    """The same people and follows, with stories for posts: what story trays are feeds of."""
    stories = {story_id: _as_post(story) for story_id, story in fold.stories.stories.items()}
    return Fold(accounts=fold.accounts, graph=fold.graph, posts=stories)


def _as_post(story: Story) -> Post:
    said, shown, refused = story.submitted, story.published, story.rejected
    return Post(
        story.author_id,
        media_ids=None if said is None else [said.media_id],
        published_at=None if shown is None else shown.at,
        media=None if shown is None else [shown.media],
        rejected=None if refused is None else (refused.code, refused.reason),
        deleted=story.deleted is not None,
    )


def notices(fold: Fold) -> Accounting:
    """What people did, and did not undo, must be said to those whom it concerns, and nothing else."""
    return Accounting(len(fold.told.asked), fold.told.unpaid())


def entailments(fold: Fold) -> Accounting:
    """The graph must say what people meant, nobody who is blocked may like what the other posts, or be liked, and
    nothing of the erased may stand."""
    checked = sum(map(len, fold.following.values())) + len(fold.graph.requests) + len(fold.graph.ties)
    wrong = list(fold.graph.owed())
    for post_id, likers in fold.likes.items():
        author = fold.like_authors[post_id]
        wrong += [
            (f"post {post_id}", f"{liker} likes it, with a block between them and {author}")
            for liker in likers
            if {(author, 1, liker), (author, 2, liker)} & fold.graph.ties.keys()
        ]
    return Accounting(checked, [*wrong, *standing(fold)])


def _owed(fold: Fold, post: Post) -> str | None:
    if post.media_ids is None:
        return "published, but never submitted" if post.is_shown else None
    media = [fold.media.get(media_id) for media_id in post.media_ids]
    rendered = [one.rendered for one in media if one is not None and one.rendered is not None]
    if post.published_at is not None:
        if len(rendered) < len(media):
            return "published before all of its media were rendered"
        if [one.media_id for one in post.media or ()] != post.media_ids:
            return "published with other media than it was submitted with"
        return None
    if post.deleted:
        return None
    if len(rendered) == len(media):
        return "all of its media are rendered, but it is not published"
    refused = any(one is not None and one.rendered is None and one.rejected is not None for one in media)
    if refused and post.rejected is None:
        return "one of its media was refused, but the post is not rejected"
    if post.rejected is not None and not any(one is not None and one.rejected is not None for one in media):
        return "rejected, but none of its media was refused"
    return None
