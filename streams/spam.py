"""How much a comment looks like spam: a pure function of its text, with few features and learned weights.

The weights come from ``shutterlog spam --train`` over labelled comments; nothing of those is here. The score is stored
with the comment; what is refused at once is decided by ``is_flood`` and by how often the same was said, not by it.
"""

from __future__ import annotations

import math
import re

from streams.text import addresses, mentions

LURES = (
    *("subscribe", "subscribers", "channel", "check", "please", "visit", "click", "free", "money", "earn", "win"),
    *("gift", "follow", "share", "page", "site", "website", "link", "help", "my", "video", "music", "cover", "new"),
    *("song", "love", "best", "views", "like"),
)
"""Words whose presence counts, one way or the other."""
FEATURES = ("always", "addresses", "markup", "mentions", "length", "capitals", "digits", "shouts", "repeats", *LURES)
FLOOD_ADDRESSES = 3
"""A comment with more web addresses is refused."""
SPAM_FROM = 500
"""From this score on a comment counts as spam when precision and recall are told."""
WEIGHTS: tuple[float, ...] = (
    *(-2.25, 4.8, -0.07, 0.17, 0.8, -0.15, 0.93, 0.02, -0.29, 2.83, 1.65, 1.82),
    *(3.14, 1.7, 0.63, 0.26, 0.97, 0.71, 0.31, 0.11, 0.39, 1.54, 1.41, 0.23),
    *(0.3, 0.01, 0.14, 0.77, 0.59, 0.46, -0.65, 0.53, 0.58, -0.91, -0.47, -0.44),
    *(-1.74, 0.59),
)
"""Of ``FEATURES``, in their order."""
_WORD = re.compile(r"[^\W_]+")
_MARKUP = re.compile(r"</?[a-z][^>]{0,300}>|&[a-z]{2,6};", re.IGNORECASE)
_MEANT = re.compile(
    r"^https?://|^www\.|[/:]|\.(?:com|net|org|info|biz|co|io|gg|ly|gl|tv|cc|ru|cn|de|uk|fr|nl|pl|br|jp|tk|ml|ga|cf|gq|xyz|top|club"
    r"|click|link|site|online|store|shop|app|dev|icu|vip|live|fun|buzz|bid|win|loan)$",
    re.IGNORECASE,
)
_REPEATS = re.compile(r"(.)\1{3}", re.DOTALL)


def features(text: str) -> tuple[float, ...]:
    """The values of ``FEATURES``, each about 0 to 1 (length up to 3)."""
    words = {word.lower() for word in _WORD.findall(text)}
    letters = sum(map(str.isalpha, text))
    return (
        1.0,
        min(len(addresses(text)), 3) / 3,
        float(bool(_MARKUP.search(text))),
        min(len(mentions(text)), 3) / 3,
        math.log1p(len(text)) / 3,
        sum(map(str.isupper, text)) / max(letters, 1),
        sum(map(str.isdigit, text)) / max(len(text), 1),
        min(text.count("!"), 5) / 5,
        float(bool(_REPEATS.search(text))),
        *(float(word in words) for word in LURES),
    )


def score(text: str) -> int:
    """How much ``text`` looks like spam, 0 to 1000."""
    weighed = sum(weight * value for weight, value in zip(WEIGHTS, features(text), strict=True))
    return round(1000 / (1 + math.exp(-max(min(weighed, 30.0), -30.0))))


def is_flood(text: str) -> bool:
    """Whether ``text`` has more web addresses than a comment may have. Sentences without a blank between them look like
    addresses too ("Love it.So nice"): without a scheme, "www." or a path only names under a well-known top are counted.
    """
    return sum(_MEANT.search(one.text) is not None for one in addresses(text)) > FLOOD_ADDRESSES


def gist(text: str) -> str:
    """``text`` as it is compared with what the same person said before: without case, marks and blanks."""
    return "".join(_WORD.findall(text.casefold()))
