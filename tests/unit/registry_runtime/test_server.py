"""The jobs beside the requests."""

from __future__ import annotations

import asyncio

import pytest

from registry_runtime import server


async def test_a_job_that_failed_begins_again(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """A fault is told with its traceback, and what the job does goes on; a cancel still ends it."""
    monkeypatch.setattr(server, "_JOB_AGAIN", 0.001)
    runs = 0

    async def job() -> None:
        nonlocal runs
        runs += 1
        if runs < 3:
            raise RuntimeError("unforeseen")
        await asyncio.sleep(3600)

    kept = asyncio.create_task(server._kept(job))
    while runs < 3:
        await asyncio.sleep(0.001)
    assert caplog.text.count("RuntimeError: unforeseen") == 2
    kept.cancel()
    with pytest.raises(asyncio.CancelledError):
        await kept
