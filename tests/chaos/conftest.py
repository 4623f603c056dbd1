"""Real servers to keep a store on."""

from tests.support.servers import _one_etcd, _one_zookeeper, etcd, zookeeper

__all__ = ["_one_etcd", "_one_zookeeper", "etcd", "zookeeper"]
