"""Certificates as the transport's own tests have them, and real servers that coordinate."""

from tests.mesos_http.conftest import certificates
from tests.support.servers import _one_etcd, _one_zookeeper, etcd, zookeeper

__all__ = ["_one_etcd", "_one_zookeeper", "certificates", "etcd", "zookeeper"]
