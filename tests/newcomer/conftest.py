"""Certificates for tests of TLS: those of the transport's own tests."""

from tests.mesos_http.conftest import certificates

__all__ = ["certificates"]
