"""What kopf is given in place of an HTTP session."""

from __future__ import annotations

import asyncio
import threading

import aiohttp
import pytest
from registry_operator.cluster import Page
from registry_operator.errors import Unavailable
from registry_operator.lists import Listed, Lists

from tests.unit.operator.scripted import ScriptedApi, obj, plain, scripted


async def test_lists_are_made_on_the_loop_of_who_knows() -> None:
    """kopf has a thread of its own, what is known belongs to another; a fault is one that kopf retries."""
    here, pages = threading.get_ident(), iter([Page([obj("a", "1")], "7"), None])

    async def news() -> Page:
        assert threading.get_ident() == here
        page = next(pages)
        if page is None:
            raise Unavailable("away", "AccessTokens")
        return page

    async def elsewhere(loop: asyncio.AbstractEventLoop) -> list[object]:
        async with aiohttp.ClientSession() as session:
            lists = Lists(session, loop, {"https://cluster/apis/list": news})
            answer = await lists.request("get", "https://cluster/apis/list", json=None)
            assert isinstance(answer, Listed)
            async with answer:
                found = await answer.json()
            with pytest.raises(aiohttp.ClientConnectionError, match="away"):
                await lists.request("get", "https://cluster/apis/list")
            await lists.close()
            return [found, answer.status, lists.closed]

    loop = asyncio.get_running_loop()
    found, status, closed = await asyncio.to_thread(lambda: asyncio.run(elsewhere(loop)))
    assert found == {"metadata": {"resourceVersion": "7"}, "items": [obj("a", "1")]}
    assert (status, closed) == (200, True)


async def test_everything_else_is_asked_of_the_api_server() -> None:
    """A watch has the list's path, and more behind it."""
    api = ScriptedApi()
    api.on("/apis/list", plain({"asked": "the server"}))
    async with scripted(api), aiohttp.ClientSession() as session:
        lists = Lists(session, asyncio.get_running_loop(), {f"{api.url}/apis/list": _never})
        async with await lists.request("get", f"{api.url}/apis/list?limit=1") as answer:
            assert await answer.json() == {"asked": "the server"}


async def _never() -> Page:
    raise AssertionError
