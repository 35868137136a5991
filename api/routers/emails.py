"""E-mail: verifying one's address, and a new password by it. What is answered never says whose an address is."""

from __future__ import annotations

import hashlib

from fastapi import APIRouter, Request

from api.bodies import EmailChange, EmailToken, PasswordReset, ResetRequest
from api.identity import Reader, Writer
from api.limits import address_of, count, forgive
from api.logins import been_here
from api.models_accounts import Email, MailAsked
from api.outbox import Written
from api.problems import Problem, problems
from api.routers.own_account import check_password
from api.stores import Opened, Stores
from sinks.emails import Emails, Purpose, Sent
from sinks.mail import Mail
from sinks.sealing import opened, seal
from sinks.throttles import Allowance

router = APIRouter(prefix="/api/v1", tags=["mail"])


@router.get("/me/email", responses=problems(401, 503))
async def get_email(me: Reader, stores: Opened) -> Email:
    """One's verified address."""
    sealed = await _emails(stores).of(me.user_id)
    keys = await stores.keys.get_many([me.user_id])
    return Email(email=(opened(keys, me.user_id, sealed) or None) if sealed else None)


@router.put("/me/email", status_code=202, responses=problems(400, 401, 403, 413, 415, 422, 429, 503))
async def change_email(body: EmailChange, request: Request, me: Writer, stores: Opened) -> MailAsked:
    """Ask for a mail that verifies an address. Once its token has come back, it is yours in place of the one before."""
    emails = _emails(stores)
    await check_password(request, stores, me, body)
    await _check_mails(request, stores, f"verifications:{me.user_id}")
    address, seconds = body.email, stores.settings.verification_seconds

    async def write() -> Mail | None:
        key = (await stores.keys.get_many([me.user_id])).get(me.user_id)
        if key is None:
            return None
        token = await emails.make_token("verify", Sent(me.user_id, seal(key, me.user_id, address)), seconds)
        return Mail(address, "Verify your address", _VERIFY.format(hours=seconds // 3600, token=token))

    return _post(stores, write)


@router.post("/email-verifications", status_code=204, responses=problems(400, 409, 413, 415, 422, 429, 503))
async def verify_email(body: EmailToken, request: Request, stores: Opened) -> None:
    """Prove with the token of a mail that an address is yours."""
    emails = _emails(stores)
    user_id, address = await _taken(stores, emails, "verify", body.token, request)
    lookup = emails.lookup(address)
    if not await emails.claim(lookup, user_id):
        detail = "Another account has this address. Use another one, or log in to that account."
        raise Problem(409, "email-taken", detail)
    keys = await stores.keys.get_many([user_id])
    before = await emails.of(user_id)
    await emails.set(user_id, seal(keys[user_id], user_id, address))
    old = opened(keys, user_id, before) if before else ""
    if old and emails.lookup(old) != lookup:
        await emails.release(emails.lookup(old), user_id)


@router.post("/password-resets", status_code=202, responses=problems(400, 413, 415, 422, 429, 503))
async def ask_for_password(body: ResetRequest, request: Request, stores: Opened) -> MailAsked:
    """Ask for a mail with which to set a new password. The answer is the same whether or not the address is known."""
    emails = _emails(stores)
    await _check_mails(request, stores, f"resets:{address_of(request)}", times=10)
    lookup, address, seconds = emails.lookup(body.email), body.email, stores.settings.reset_seconds
    await _check_mails(request, stores, "resets:" + hashlib.sha256(lookup).hexdigest()[:32])

    async def write() -> Mail | None:
        user_id = await emails.owner(lookup)
        key = (await stores.keys.get_many([user_id])).get(user_id) if user_id else None
        if user_id is None or key is None:
            return None
        token = await emails.make_token("reset", Sent(user_id, seal(key, user_id, address)), seconds)
        return Mail(address, "A new password", _RESET.format(minutes=seconds // 60, token=token))

    return _post(stores, write)


@router.post("/password-resets/confirm", status_code=204, responses=problems(400, 413, 415, 422, 429, 503))
async def reset_password(body: PasswordReset, request: Request, stores: Opened) -> None:
    """Set a new password with the token of a mail. Every session ends."""
    emails = _emails(stores)
    user_id, address = await _taken(stores, emails, "reset", body.token, request)
    if await emails.owner(emails.lookup(address)) != user_id:
        raise _token_refused()  # the address has become somebody else's meanwhile
    await stores.credentials.set_password(user_id, await stores.passwords.hash(body.new_password))
    await stores.sessions.end_all(user_id)
    # Whoever has their mail comes in from here, however many others try their name meanwhile.
    await been_here(request, stores, user_id)


_VERIFY = """Somebody, you we hope, gave this address for their account.

To prove that it is yours, send this token to POST /api/v1/email-verifications within {hours} hours:

{token}

If it was not you, do nothing: the address is not used.
"""
_RESET = """Somebody, you we hope, asked for a new password for the account that has this address.

To set one, send this token and the password to POST /api/v1/password-resets/confirm within {minutes} minutes:

{token}

If it was not you, do nothing: your password stays as it is.
"""


def _emails(stores: Stores) -> Emails:
    if stores.emails is None:
        raise Problem(503, "no-mail", "No mail is sent here: the operator has to set SMTP_URL first.", retry_after=3600)
    return stores.emails


def _post(stores: Stores, write: Written) -> MailAsked:
    if not stores.outbox.post(write):
        raise Problem(503, "busy", "Too many mails wait to be sent. Try again in some minutes.", retry_after=120)
    return MailAsked()


async def _check_mails(request: Request, stores: Stores, bucket: str, times: int = 1) -> None:
    allowance = Allowance(stores.settings.mail_burst * times, stores.settings.mail_per_second * times)
    name = "mails" if times == 1 else "address-mails"
    refusal = Problem(429, "too-many-mails", "Too many mails were asked for. Wait for the last one.")
    await count(request, stores, name, bucket, allowance, refusal)


async def _taken(stores: Stores, emails: Emails, purpose: Purpose, token: str, request: Request) -> tuple[int, str]:
    """Whose token it is, and the address it was sent to; ``Problem`` 422 for one that is not good (any more)."""
    allowance = Allowance(stores.settings.login_burst, stores.settings.login_per_second)
    bucket = f"mail-tokens:{address_of(request)}"
    refusal = Problem(429, "too-many-tokens", "Too many wrong tokens came from your address. Wait.")
    await count(request, stores, "mail-tokens", bucket, allowance, refusal)
    sent = await emails.take_token(purpose, token)
    keys = await stores.keys.get_many([sent.user_id]) if sent else {}
    address = opened(keys, sent.user_id, sent.address) if sent else ""
    if sent is None or not address:
        raise _token_refused()
    await forgive(request, stores, "mail-tokens", bucket, allowance)
    return sent.user_id, address


def _token_refused() -> Problem:
    detail = "This token is not good: it was used, has expired, or was never sent. Ask for another mail."
    return Problem(422, "mail-token-invalid", detail)
