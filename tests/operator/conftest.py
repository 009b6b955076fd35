"""One operator beside one real API server, for each file of tests that starts no others of its own.

Whatever the tests of the file are about: no status that was written meanwhile may have been untrue.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.operator.apiserver import apiserver
from tests.operator.operator_process import Cluster, Operator, install, running
from tests.operator.recorded import recorded

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture(scope="module")
def operator(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Operator]:
    folder = tmp_path_factory.mktemp("apiserver")
    with apiserver(folder) as server:
        install(server)
        with (
            recorded(server),
            running(Operator(server, folder / "certs" / "apiserver.crt", folder)) as operator,
        ):
            yield operator


@pytest.fixture
def cluster(operator: Operator) -> Cluster:
    return Cluster(operator.server)
