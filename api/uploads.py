"""A file out of a multipart request, as it comes in: never more than a chunk of it in memory."""

from __future__ import annotations

import hashlib
from collections.abc import AsyncIterator

from fastapi import Request
from python_multipart.exceptions import FormParserError
from python_multipart.multipart import MultipartParser, parse_options_header

from api.pictures import HEAD_BYTES, TAKEN, content_type_of
from api.problems import Problem

PART = "file"
_FRAMING = 16 * 1024
"""Bytes that boundaries, headers and other parts of the form may take beside the file: each part is some work, and a
form of nothing else would be a minute of it."""


class Upload:
    """One file of at most ``limit`` bytes that arrives as the part ``file`` of a form.

    ``content_type``, ``size`` (bytes) and ``sha256`` (hexadecimal) are right once ``chunks`` has ended.
    """

    def __init__(self, request: Request, limit: int) -> None:
        self._request = request
        self._limit = limit
        self._pieces: list[bytes] = []
        self._in_file = False
        self._files = 0
        self._in_files = 0
        self._complete = False
        self._header = (b"", b"")
        self._headers: dict[bytes, bytes] = {}
        self._digest = hashlib.sha256()
        self.size = 0
        self.content_type = ""

    @property
    def sha256(self) -> str:
        """Digest of what has come."""
        return self._digest.hexdigest()

    async def chunks(self) -> AsyncIterator[bytes]:
        """The file's bytes. Raises ``Problem``: 400 for a broken form, 413, 415 for no picture, 422 for no file."""
        parser = self._parser()
        declared = self._request.headers.get("content-length", "")
        if declared.isdecimal() and int(declared) > self._limit + _FRAMING:
            raise self._too_large()
        held: list[bytes] = []
        received = 0
        async for body in self._request.stream():
            received += len(body)
            if received > self._limit + _FRAMING:
                raise self._too_large()
            held += self._parsed(parser, body)
            if received - self._in_files > _FRAMING:
                raise self._too_large()
            # The first bytes are held until they tell the kind of file.
            if self.content_type or sum(map(len, held)) >= HEAD_BYTES:
                for piece in self._checked(held):
                    yield piece
                held = []
        if not self._complete:
            raise _broken_form()
        for piece in self._checked(held):
            yield piece
        if not self._files:
            raise Problem(422, "no-file", f"The form has no part named `{PART}` with a file. Add one.")
        if not self.size:
            raise Problem(422, "empty-file", "The file is empty. Choose the picture again and upload it once more.")

    def _checked(self, pieces: list[bytes]) -> list[bytes]:
        if pieces and not self.content_type:
            kind = content_type_of(b"".join(pieces)[:HEAD_BYTES])
            if kind is None:
                raise Problem(
                    415, "unsupported-picture", f"This file is no picture that is taken here. Upload a {TAKEN}."
                )
            self.content_type = kind
        for piece in pieces:
            self.size += len(piece)
            self._digest.update(piece)
        if self.size > self._limit:
            raise self._too_large()
        return pieces

    def _too_large(self) -> Problem:
        detail = f"A file may have {self._limit / 1e6:.0f} MB. Save the picture smaller, and upload that."
        return Problem(413, "file-too-large", detail)

    def _parsed(self, parser: MultipartParser, body: bytes) -> list[bytes]:
        try:
            parser.write(body)
        except FormParserError as error:
            raise _broken_form() from error
        pieces, self._pieces = self._pieces, []
        return pieces

    def _parser(self) -> MultipartParser:
        kind, options = parse_options_header(self._request.headers.get("content-type"))
        boundary = options.get(b"boundary")
        if kind != b"multipart/form-data" or not boundary:
            detail = f"Send the picture as multipart/form-data, in a part named `{PART}`."
            raise Problem(415, "unsupported-media-type", detail)
        try:
            return MultipartParser(
                boundary,
                {
                    "on_part_begin": self._part_begins,
                    "on_header_field": self._name_comes,
                    "on_header_value": self._value_comes,
                    "on_header_end": self._header_ends,
                    "on_headers_finished": self._headers_end,
                    "on_part_data": self._bytes_come,
                    "on_end": self._form_ends,
                },
            )
        except FormParserError as error:
            raise _broken_form() from error

    def _part_begins(self) -> None:
        self._headers = {}
        self._in_file = False

    def _name_comes(self, piece: bytes, start: int, end: int) -> None:
        self._header = (self._header[0] + piece[start:end], self._header[1])

    def _value_comes(self, piece: bytes, start: int, end: int) -> None:
        self._header = (self._header[0], self._header[1] + piece[start:end])

    def _header_ends(self) -> None:
        self._headers[self._header[0].lower()] = self._header[1]
        self._header = (b"", b"")

    def _headers_end(self) -> None:
        _, options = parse_options_header(self._headers.get(b"content-disposition"))
        self._in_file = options.get(b"name") == PART.encode()
        self._files += self._in_file
        if self._files > 1:
            raise Problem(422, "several-files", "Send one file in each request.")

    def _bytes_come(self, piece: bytes, start: int, end: int) -> None:
        if self._in_file:
            self._pieces.append(piece[start:end])
            self._in_files += end - start

    def _form_ends(self) -> None:
        self._complete = True


def _broken_form() -> Problem:
    return Problem(400, "malformed-form", "The multipart body is broken or incomplete. Send it again.")
