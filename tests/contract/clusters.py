"""Ray clusters for tests: several nodes on this machine."""

import warnings
from contextlib import contextmanager

import pytest

STORE_BYTES = 100 * 2**20


@contextmanager
def cluster_of(*nodes):
    """A cluster with a node for each mapping of resources, the first one its head."""
    pytest.importorskip("ray")
    with pytest.MonkeyPatch.context() as patch, warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Ray's own
        patch.setenv("RAY_AUTH_MODE", "disabled")
        patch.setenv("RAY_USAGE_STATS_ENABLED", "0")
        from ray.cluster_utils import Cluster

        cluster = Cluster(shutdown_at_exit=False)
        try:
            for resources in nodes:
                cluster.add_node(
                    include_dashboard=False, object_store_memory=STORE_BYTES, **resources
                )
            yield cluster
        finally:
            cluster.shutdown()
