"""Lists in pages."""

from __future__ import annotations

from starlette.requests import Request

from registry_runtime.api.pages import link


def test_a_query_that_is_no_text_does_no_harm() -> None:
    """Bytes that are no UTF-8 stand in the query of whoever likes; the Link leads on all the same."""
    asked = {"type": "http", "path": "/v2/a b/tags/list", "headers": [], "query_string": b"n=1&\x80"}
    following = link(Request(asked), {"n": 1, "last": 'x">'})
    assert following == {"Link": '</v2/a%20b/tags/list?n=1&last=x%22%3E>; rel="next"'}
