"""The door to issuers of ID tokens: what they say of themselves, and their keys.

https://openid.net/specs/openid-connect-discovery-1_0.html#ProviderConfig
"""

from __future__ import annotations

import json
import ssl
from http import HTTPStatus
from typing import Any

import aiohttp

from registry_runtime.auth.id_token import KeySet, Published
from registry_runtime.contract.subject import OidcProvider

_DISCOVERY = "/.well-known/openid-configuration"
_SECONDS = 4.0  # for each of the two answers
_LONGEST = 512 * 1024  # bytes of each


async def published(provider: OidcProvider) -> Published:
    """The issuer's keys, asked for over HTTPS only, and nowhere else than it says itself.

    Raises OSError, TimeoutError or ValueError where there is no good answer.
    """
    trust = ssl.create_default_context(cadata=provider.ca)
    async with aiohttp.ClientSession(
        connector=aiohttp.TCPConnector(ssl=trust),
        timeout=aiohttp.ClientTimeout(total=_SECONDS),
        headers={"Accept": "*/*", "Accept-Encoding": "identity"},  # some say application/jwk-set+json
        auto_decompress=False,
    ) as session:
        found = await _document(session, provider.issuer.rstrip("/") + _DISCOVERY)
        if found.get("issuer") != provider.issuer:
            raise ValueError("the issuer names itself otherwise than the policy does")
        keys = await _document(session, str(found.get("jwks_uri")))
    return Published(provider.issuer, KeySet(keys))


async def _document(session: aiohttp.ClientSession, url: str) -> dict[str, Any]:
    """Nobody is followed to elsewhere: a redirect is no answer."""
    if not url.startswith("https://"):
        raise ValueError(f"{url} is not https")
    try:
        async with session.get(url, allow_redirects=False) as response:
            return await document(response)
    except aiohttp.ClientError as error:
        raise ConnectionError(f"{type(error).__name__}: {error}") from error


async def document(response: aiohttp.ClientResponse) -> dict[str, Any]:
    """The JSON object that it answers with. Raises ValueError where it does not, or with too long a one."""
    if response.status not in {HTTPStatus.OK, HTTPStatus.CREATED}:
        raise ValueError(f"HTTP {response.status} from {response.url.origin()}")
    content = bytearray()
    async for piece in response.content.iter_any():
        content += piece
        if len(content) > _LONGEST:
            raise ValueError(f"{response.url.origin()} answers with more than {_LONGEST} bytes")
    try:
        read = json.loads(content)
    except RecursionError:
        raise ValueError("an answer is nested too deeply") from None
    if not isinstance(read, dict):
        raise ValueError("an answer is no JSON object")  # noqa: TRY004 - a value, not a type
    return read
