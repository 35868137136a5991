"""Where pushes may go: an endpoint is an address that a client chose, so it is looked at before anything is sent there.

Only public addresses of the Internet, by https at its usual port; the name is resolved at each sending, and the
connection goes to the very address that was looked at, so that a name that changes meanwhile leads nowhere else.
"""

from __future__ import annotations

import asyncio
import ipaddress
import re
import socket
from typing import NamedTuple
from urllib.parse import urlsplit

LONGEST = 1024
"""Characters of an endpoint. Those of the great push services have some 200 to 500."""
_HOST = re.compile(r"[a-z0-9]([a-z0-9_.-]{0,251}[a-z0-9])?", re.ASCII)
_PORTS = {"http": 80, "https": 443}
_TRANSLATED = ipaddress.ip_network("64:ff9b::/96"), ipaddress.ip_network("64:ff9b:1::/48")
"""IPv6 addresses that a gateway turns into IPv4 ones, whichever these are."""


class EndpointRefused(ValueError):
    """Nothing may be sent there; the text is a sentence for the client and names no endpoint."""


class Endpoint(NamedTuple):
    """A place to send to. ``target`` is its path and query."""

    scheme: str
    host: str
    port: int
    target: str

    @property
    def origin(self) -> str:
        """As VAPID and lanes know it: the scheme, the host, and the port where it is not the usual one."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{self.scheme}://{host}" + ("" if _PORTS[self.scheme] == self.port else f":{self.port}")

    @classmethod
    def read(cls, url: str, *, private: bool = False) -> Endpoint:
        """Raises ``EndpointRefused``. ``private``: also http, any port and any address, for tests and closed
        networks."""
        if len(url) > LONGEST or not url.isascii() or not url.isprintable() or " " in url:
            raise EndpointRefused(f"`endpoint` has to be an address of at most {LONGEST} ASCII characters")
        try:
            parts = urlsplit(url)
            host, port = (parts.hostname or "").lower(), parts.port
        except ValueError as error:
            raise EndpointRefused("`endpoint` is no address") from error
        if parts.scheme not in (_PORTS if private else ("https",)):
            raise EndpointRefused("`endpoint` has to begin with https://")
        if parts.username is not None or parts.password is not None or parts.fragment:
            raise EndpointRefused("`endpoint` may have neither a user nor a fragment")
        port = _PORTS[parts.scheme] if port is None else port
        if not private and port != _PORTS["https"]:
            raise EndpointRefused("`endpoint` may name no other port than 443")
        literal = _address(host)
        if literal is None and not _HOST.fullmatch(host):
            raise EndpointRefused("`endpoint` names no host")
        # A last label of digits is an IPv4 address in one of its older spellings.
        spelled = literal is None and host.rpartition(".")[2].isdigit()
        if not private and (spelled or "." not in host and literal is None or literal and not _is_public(literal)):
            raise EndpointRefused("`endpoint` has to be a public address of a push service")
        return cls(parts.scheme, host, port, (parts.path or "/") + (f"?{parts.query}" if parts.query else ""))

    async def resolved(self, *, private: bool = False) -> str:
        """The address to connect to, now. Raises ``EndpointRefused`` where any of the name's is not public, and
        ``OSError`` where it has none."""
        found = await asyncio.get_running_loop().getaddrinfo(self.host, self.port, type=socket.SOCK_STREAM)
        addresses = [str(info[4][0]) for info in found]
        for address in addresses:
            known = _address(address)
            if not private and (known is None or not _is_public(known)):
                raise EndpointRefused("the name leads to an address that is not public")
        if not addresses:
            raise OSError("the name leads nowhere")
        return addresses[0]


def _address(text: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    try:
        return ipaddress.ip_address(text.partition("%")[0])
    except ValueError:
        return None


def _is_public(address: ipaddress.IPv4Address | ipaddress.IPv6Address) -> bool:
    if isinstance(address, ipaddress.IPv6Address):
        if address.ipv4_mapped is not None:
            return _is_public(address.ipv4_mapped)
        if address.sixtofour is not None or address.teredo is not None or any(address in net for net in _TRANSLATED):
            return False  # an IPv4 address in another's clothes
    return address.is_global and not address.is_multicast and not address.is_reserved
