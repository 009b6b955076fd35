"""One operator beside one real API server, for each file of tests that starts no others of its own.

Whatever the tests of the file are about: no status that was written meanwhile may have been untrue.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

import pytest

from tests.operator.apiserver import ApiServer, Spare
from tests.operator.operator_process import Cluster, Operator, install, running
from tests.operator.recorded import recorded

if TYPE_CHECKING:
    from collections.abc import Generator, Iterator

LAST = 60  # lines of a log


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """What failed comes with what the operators said: their folder may be gone when it is read."""
    report = yield
    if report.failed:
        used = (getattr(one, "server", one) for one in getattr(item, "funcargs", {}).values())
        for folder in {server.folder for server in used if isinstance(server, ApiServer)}:
            for log in sorted(folder.glob("operator*.log")):
                said = log.read_text(errors="replace").splitlines()[-LAST:]
                report.sections.append((log.name, "\n".join(said)))
    return report


@pytest.fixture(scope="session")
def spare(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Spare]:
    spare = Spare(partial(tmp_path_factory.mktemp, "apiserver"))
    yield spare
    spare.close()


@pytest.fixture(scope="module")
def fresh(spare: Spare) -> Iterator[ApiServer]:
    """The file's own API server, with nothing of Roadstead's."""
    with spare.taken() as server:
        yield server


@pytest.fixture(scope="module")
def operator(fresh: ApiServer) -> Iterator[Operator]:
    install(fresh)
    with recorded(fresh), running(Operator(fresh, fresh.certificate, fresh.folder)) as operator:
        yield operator


@pytest.fixture
def cluster(operator: Operator) -> Cluster:
    return Cluster(operator.server)
