"""`mesostic.testing` as pytest fixtures; needs pytest-asyncio. In the topmost conftest.py: `pytest_plugins = ["mesostic.pytest_plugin"]`."""

from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from mesostic.testing import Cluster, cluster


def pytest_configure(config: pytest.Config) -> None:
    """Make the marker known."""
    config.addinivalue_line(
        "markers", "mesos_cluster(agents=1, **settings): settings of the fixture mesos_cluster"
    )


@pytest_asyncio.fixture
async def mesos_cluster(request: pytest.FixtureRequest) -> AsyncIterator[Cluster]:
    """An embedded cluster for one test; `@pytest.mark.mesos_cluster(agents=2, resources="cpus:1;mem:512")` changes it."""
    marker = request.node.get_closest_marker("mesos_cluster")
    arguments, keywords = (marker.args, marker.kwargs) if marker is not None else ((), {})
    async with cluster(*arguments, **keywords) as made:
        yield made
