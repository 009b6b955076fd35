"""What holds for every test: how long an example takes is the machine's matter, and no test fails for it.

Each run tries the same examples, so that one that fails is the fault of what was changed. Others are tried
with `--hypothesis-profile=explore`.
"""

from __future__ import annotations

import gc
from collections.abc import Generator, Iterator
from typing import Any

import pytest
from hypothesis import HealthCheck, settings

from quickstart.errors import CommandFailed

settings.register_profile(
    "roadstead", deadline=None, suppress_health_check=[HealthCheck.too_slow], derandomize=True
)
settings.register_profile("explore", settings.get_profile("roadstead"), derandomize=False)
settings.load_profile("roadstead")


@pytest.fixture(scope="module", autouse=True)
def nothing_is_left_open() -> Iterator[None]:
    """A socket that nobody closed is found here, and not in whichever test of another file comes next."""
    yield
    gc.collect()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """What failed on a cluster comes with what the operators said: the cluster is gone when it is read."""
    report = yield
    platform: Any = getattr(item, "funcargs", {}).get("platform")
    if report.failed and platform is not None:
        try:
            report.sections.append(("the operators' logs", platform.said()))
        except CommandFailed as error:  # a broken cluster must not hide what broke it
            report.sections.append(("the operators' logs", f"cannot be read: {error}"))
    return report
