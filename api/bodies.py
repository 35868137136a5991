"""What comes in as JSON. Unknown fields are mistakes, and ids are strings."""

from __future__ import annotations

from typing import Annotated
from urllib.parse import urlsplit

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, StringConstraints

from streams.usernames import chosen

_ID = {"pattern": r"^[0-9]{1,19}$", "examples": ["1000000000000000001"]}


def web_address(text: str) -> str:
    """``text``, where it is a web address without a password; raises ``ValueError``. Nobody here connects to it."""
    try:
        parts = urlsplit(text)
        host = parts.hostname
    except ValueError as error:
        raise ValueError("a link is a web address, such as https://engines.example") from error
    if parts.scheme not in ("http", "https") or not host or any(c.isspace() or not c.isprintable() for c in text):
        raise ValueError("a link is a web address, such as https://engines.example")
    if parts.username or parts.password:
        raise ValueError("a link holds no password")
    return text


def _text(text: str) -> str:
    if "\x00" in text:
        raise ValueError("text has no NUL characters")
    try:
        text.encode()
    except UnicodeEncodeError as error:
        raise ValueError("text is valid Unicode, without lone surrogates") from error
    return text


def _not_blank(text: str) -> str:
    if not text.strip():
        raise ValueError("a comment says something: it is more than blanks")
    return text


Text = Annotated[str, AfterValidator(_text)]
Username = Annotated[
    str, AfterValidator(chosen), Field(json_schema_extra={"pattern": "^[A-Za-z0-9._]{3,30}$"}, examples=["ada"])
]
Password = Annotated[Text, StringConstraints(min_length=8, max_length=256)]
PersonName = Annotated[Text, StringConstraints(max_length=64)]
Email = Annotated[
    str,
    # In a header of a mail: no space, no control character, nothing but ASCII.
    StringConstraints(pattern=r"^[!-?A-~]{1,64}@([A-Za-z0-9-]{1,63}\.)+[A-Za-z0-9-]{2,63}$", max_length=254),
    Field(examples=["ada@engines.example"]),
]
Link = Annotated[Text, StringConstraints(max_length=200), AfterValidator(web_address)]
Bio = Annotated[Text, StringConstraints(max_length=500)]
CommentText = Annotated[Text, StringConstraints(min_length=1, max_length=2200), AfterValidator(_not_blank)]
Tagged = Annotated[list[Annotated[str, StringConstraints(pattern=_ID["pattern"])]], Field(max_length=20)]
Place = Annotated[Text, StringConstraints(max_length=100, strip_whitespace=True)]
Caption = Annotated[Text, StringConstraints(max_length=2200)]


class _Given(BaseModel):
    """A request body: unknown fields are mistakes."""

    model_config = ConfigDict(extra="forbid")


class Registration(_Given):
    """A new account."""

    model_config = ConfigDict(
        json_schema_extra={"example": {"username": "ada", "password": "correct horse battery", "name": "Ada"}}
    )
    username: Username
    password: Password
    name: PersonName = ""


class UsernameChange(_Given):
    """A new username."""

    model_config = ConfigDict(json_schema_extra={"example": {"username": "ada.l"}})
    username: Username


class Login(_Given):
    """Credentials."""

    model_config = ConfigDict(json_schema_extra={"example": {"username": "ada", "password": "correct horse battery"}})
    username: Annotated[Text, StringConstraints(max_length=64)]
    password: Annotated[Text, StringConstraints(max_length=256)]


class Refresh(_Given):
    """The refresh token of a session."""

    model_config = ConfigDict(json_schema_extra={"example": {"refresh_token": "q1w2e3….…"}})
    refresh_token: Annotated[Text, StringConstraints(max_length=4096)]


class ProfileChange(_Given):
    """Fields left out stay as they are."""

    model_config = ConfigDict(
        json_schema_extra={"example": {"bio": "Pictures of engines.", "links": ["https://engines.example"]}}
    )
    name: PersonName | None = None
    bio: Bio | None = None
    links: list[Link] | None = Field(default=None, max_length=5, description="Web addresses; all of them.")
    picture_media_id: Annotated[str, StringConstraints(pattern=_ID["pattern"])] | None = Field(
        default=None, description="An upload of one's own that is ready; null for no picture."
    )


class PasswordProof(_Given):
    """One's password once more, for what cannot be done by somebody who found a telephone."""

    model_config = ConfigDict(json_schema_extra={"example": {"password": "correct horse battery"}})
    password: Annotated[Text, StringConstraints(max_length=256)]


class PasswordChange(PasswordProof):
    """The password of before, and the new one."""

    model_config = ConfigDict(
        json_schema_extra={"example": {"password": "correct horse battery", "new_password": "another fine staple"}}
    )
    new_password: Password


class EmailChange(PasswordProof):
    """An address to verify, and one's password."""

    model_config = ConfigDict(
        json_schema_extra={"example": {"email": "ada@engines.example", "password": "correct horse battery"}}
    )
    email: Email


class ResetRequest(_Given):
    """The address of an account whose password is lost."""

    model_config = ConfigDict(json_schema_extra={"example": {"email": "ada@engines.example"}})
    email: Email


class EmailToken(_Given):
    """The token of a mail."""

    model_config = ConfigDict(json_schema_extra={"example": {"token": "q1w2e3…"}})
    token: Annotated[Text, StringConstraints(max_length=256)]


class PasswordReset(EmailToken):
    """The token of a mail, and the new password."""

    model_config = ConfigDict(
        json_schema_extra={"example": {"token": "q1w2e3…", "new_password": "another fine staple"}}
    )
    new_password: Password


class PrivacyChange(_Given):
    """Whether only approved followers see one's posts. Going public approves every request that waits."""

    model_config = ConfigDict(json_schema_extra={"example": {"private": True}})
    private: bool


class PostDraft(_Given):
    """A post to be made."""

    model_config = ConfigDict(
        json_schema_extra={"example": {"media_ids": ["1000000000000000001"], "caption": "The engine at dusk"}}
    )
    media_ids: Annotated[list[Annotated[str, StringConstraints(pattern=_ID["pattern"])]], Field(min_length=1)] = Field(
        description="1 to 10 media of one's own, each once.", max_length=10
    )
    caption: Caption = ""
    tagged: Tagged = Field(default=[], description="People who are seen in the pictures, 20 at most, by id.")
    place: Place = Field(default="", description="Where it was taken, in your words.")


class CommentDraft(_Given):
    """A comment to be made."""

    model_config = ConfigDict(json_schema_extra={"example": {"text": "What a light! @grace"}})
    text: CommentText
    parent_id: Annotated[str, StringConstraints(pattern=_ID["pattern"])] | None = Field(
        default=None, description="The comment that it replies to, which is no reply itself."
    )


class CollectionName(_Given):
    """A collection's name."""

    model_config = ConfigDict(json_schema_extra={"example": {"name": "Light"}})
    name: Annotated[Text, StringConstraints(min_length=1, max_length=64, strip_whitespace=True)]


class CaptionChange(_Given):
    """A post's new caption."""

    model_config = ConfigDict(json_schema_extra={"example": {"caption": "The engine at dawn"}})
    caption: Caption
    tagged: Tagged | None = Field(default=None, description="People who are seen; left out, they stay as they are.")
    place: Place | None = Field(default=None, description="Where it was taken; left out, it stays as it is.")
