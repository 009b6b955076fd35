"""One operator beside one real API server, for each file of tests that starts no others of its own.

Whatever the tests of the file are about: no status that was written meanwhile may have been untrue.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

import pytest

from tests.operator.apiserver import Spare
from tests.operator.operator_process import Cluster, Operator, install, running
from tests.operator.recorded import recorded

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.operator.apiserver import ApiServer


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
