"""What several queries of the facts ask in the same way, as a view of each generation: analysts and insights read it.

Its parameters, ``since`` and ``until``, are its own: what happened before and after does not count, and takes nothing
back.
"""

# ruff: noqa: S608 (names of ours)

from __future__ import annotations

from sinks.fact_tables import fact_tables, stands

STANDING = "standing"
_KINDS = {
    "like": ("PostLiked", "PostUnliked"),
    "save": ("PostSaved", "PostUnsaved"),
    "share": ("PostShared", "PostUnshared"),
    "comment": ("CommentAdded", "CommentDeleted"),
}
"""What is done with a post: by which event, and which one takes it back."""


def view_of(generation: int) -> str:
    """The name of the view ``standing`` of one generation."""
    return f"{STANDING}_{generation}"


def standing(generation: int) -> str:
    """Its SELECT: what was done with posts from ``since`` to before ``until`` and stands at its end, a row each.

    A like, save or share stands for a post and a person as the last event says; a comment by its id, until anybody
    deletes it, whatever the log says later. The erased are left out only once that is known: a comment that one of
    them deleted stays deleted.
    """
    kinds = ", ".join(f"_event IN {events!r}, '{kind}'" for kind, events in _KINDS.items() if kind != "comment")
    events = tuple(event for pair in _KINDS.values() for event in pair)
    done = tuple(pair[0] for pair in _KINDS.values())
    return (
        "SELECT author_id, post_id, kind, who AS actor_id, done_at AS at FROM ("
        f"SELECT author_id, post_id, multiIf({kinds}, 'comment') AS kind, "
        "any(actor_id) AS who, argMax(at, _offset) AS done_at "
        f"FROM {fact_tables()['engagement'].name(generation)} "
        f"WHERE _event IN {events!r} AND at >= {{since:DateTime64(3)}} AND at < {{until:DateTime64(3)}} "
        "GROUP BY author_id, post_id, kind, if(comment_id = 0, actor_id, comment_id) "
        f"HAVING argMax(_event, _offset) IN {done!r} AND countIf(_event = 'CommentDeleted') = 0"
        f") WHERE {stands(generation, 'who', 'author_id')}"
    )
