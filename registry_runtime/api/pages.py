"""Lists in pages: `n`, `last` and the Link to the next one (RFC 8288)."""

from __future__ import annotations

from collections.abc import Mapping
from urllib.parse import quote, urlencode

from starlette.requests import Request

from registry_runtime.errors import PageInvalid

MOST = 1000  # entries of one page, whatever a client asks for
_DIGITS = 18


def limit(request: Request) -> int:
    """How many entries the client wants at most, up to MOST. Raises PageInvalid."""
    text = request.query_params.get("n")
    if text is None:
        return MOST
    if not (text.isascii() and text.isdigit() and len(text) <= _DIGITS):
        raise PageInvalid("n must be a number that is not negative")
    return min(int(text), MOST)


def link(request: Request, query: Mapping[str, str | int]) -> dict[str, str]:
    """The header that leads to the next page, relative as all Locations are."""
    path = quote(request.scope["path"], safe="/:@!$&'()*+,;=~")
    return {"Link": f'<{path}?{urlencode(query)}>; rel="next"'}
