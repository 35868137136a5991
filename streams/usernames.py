"""Usernames: which there may be, which are one name, and which only look like one.

A username is ASCII and is compared case-folded. Two names whose ``skeleton`` is the same look the same to a hasty eye,
so the second is refused; what is kept for the house is refused in any disguise.
"""

from __future__ import annotations

import re
import unicodedata

_ALLOWED = re.compile(r"[A-Za-z0-9._]{3,30}")
_RESERVED = """
about abuse access account accounts admin administrator administration ads advertising alert alerts analytics
announcements anonymous api app apps assets auth authentication authorize autoconfig autodiscover backup bank banned
billing billings blog bot broadcasthost business captcha careers cdn checkout community compliance config contact
cookie cookies copyright cpanel customer customers dashboard deactivated deleted dev developer developers dns docs
documentation domain domains download downloads editor email enterprise erased error errors everybody everyone explore
export faq favicon feed feedback ftp git graphql group guest guidelines help helpdesk home host hosting hostmaster
http https imap index info instagram invoice invoices jobs keys legal license licensing live localdomain localhost
login logout mailer mailerdaemon marketing master me media member members metrics mod moderation moderator
moderators mx network news newsletter nobody none noreply notification notifications ns null oauth official online
operator operators order orders owner owners passwd password pay payment payments paypal policies policy pop postmaster
poweruser premium press pricing privacy private prod production profile public recovery refund refunds register
registration report reports robots root rss rules safety sales sdk search secure security service services session
sessions settings shop shutterlog signin signup sitemap smtp ssh ssl sslwebmaster staff staging static stats status
store stories subdomain subscribe sudo super superuser support sysadmin system team telnet terms test token tokens
trust undefined unknown update upgrade upload uploads user username users usenet vault verification verified verify vpn
webmail webmaster website wheel wpad www
"""
_DRAWN_ALIKE = {
    "a": "аαɑ",
    "b": "вьƅ",
    "c": "сϲᴄ",
    "d": "ԁɗđ",
    "e": "еєҽ",
    "g": "ɡց",
    "h": "һհнħ",
    "i": "іιɩı",
    "j": "јϳ",
    "k": "кκᴋ",
    "l": "ӏłɫ1|ǀ",
    "m": "мᴍ",
    "n": "ոռηп",
    "o": "оοօσø0",
    "p": "рρϱ",
    "q": "ԛգզ",
    "r": "гᴦ",
    "s": "ѕꜱ",
    "t": "тτ",
    "u": "υսʋ",
    "v": "ѵνᴠ",
    "w": "ѡԝա",
    "x": "хχ",
    "y": "уүγ",
    "z": "ᴢ",
}
"""What is drawn as one of ours, besides what NFKC folds (full width, mathematical letters, ligatures)."""
_ALIKE = str.maketrans({letter: ours for ours, letters in _DRAWN_ALIKE.items() for letter in letters})
_SPELT = str.maketrans("034578", "oeastb", "._")
"""Digits that stand for letters."""


def folded(text: str) -> str:
    """``text`` as the username it names, in lower case; raises ``ValueError`` with what is allowed."""
    # Matched before folding: "ß" and the Kelvin sign fold into letters that are allowed.
    if not _ALLOWED.fullmatch(text):
        raise ValueError("a username has 3 to 30 of a-z, 0-9, '.' and '_'")
    if text.isdecimal():
        raise ValueError("a username has something else than digits, which name people by their id")
    return text.lower()


def chosen(text: str) -> str:
    """``text`` as a username that somebody may take; raises ``ValueError`` with a sentence that says why not."""
    username = folded(text)
    if not any(letter.isalnum() for letter in username):
        raise ValueError("a username has at least one letter or digit")
    if is_reserved(username):
        raise ValueError("this username is kept for the people who run this place, or reads like one that is")
    return username


def is_reserved(text: str) -> bool:
    """Whether ``text`` reads like a name that nobody may take, with digits for letters or dots in between too."""
    return _spelt(text) in _KEPT


def skeleton(text: str) -> str:
    """What ``text`` looks like: equal for names that a reader takes for one another, whatever letters they are of.

    NFKC and case folding, then marks dropped, letters of other scripts as the Latin ones they are drawn as, and what
    many fonts draw alike as one: 0 and o, 1 and l, rn and m, vv and w. A reader tells ``.`` from ``_``, and i from l.
    """
    plain = unicodedata.normalize("NFD", unicodedata.normalize("NFKC", text).casefold())
    plain = "".join(letter for letter in plain if not unicodedata.combining(letter))
    return plain.translate(_ALIKE).replace("rn", "m").replace("vv", "w")


def _spelt(text: str) -> str:
    """Coarser than a skeleton: 1 is read as i or as l, so those two are one here."""
    return skeleton(text.casefold().translate(_SPELT)).replace("l", "i")


_KEPT = frozenset(_spelt(word) for word in _RESERVED.split())
