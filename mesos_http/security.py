"""Who we are and whom we trust: credentials and TLS. Nothing here prints a secret."""

from __future__ import annotations

import base64
import ssl
from dataclasses import dataclass, field

from mesos_http.errors import BadTlsSettings


@dataclass(frozen=True, slots=True)
class Credentials:
    """A principal and its secret, sent as HTTP Basic (Mesos documentation, Authentication)."""

    principal: str
    secret: str = field(repr=False)

    def header(self) -> str:
        """The value of the Authorization header (RFC 7617)."""
        pair = f"{self.principal}:{self.secret}".encode()
        return f"Basic {base64.b64encode(pair).decode('ascii')}"


@dataclass(frozen=True, slots=True)
class BearerToken:
    """A token as an agent gives it to its executors (MESOS_EXECUTOR_AUTHENTICATION_TOKEN)."""

    token: str = field(repr=False)

    def header(self) -> str:
        """The value of the Authorization header (RFC 6750)."""
        return f"Bearer {self.token}"


@dataclass(frozen=True, slots=True)
class TlsSettings:
    """How to speak TLS. Certificates are always verified.

    Attributes:
        ca: PEM file of the authorities to trust; None for the system's.
        cert: PEM file of our own certificate (and its chain), if the server asks for one.
        key: PEM file of the certificate's key; None when it is in ``cert``.
        verify_hostname: False only where certificates name no hosts; the chain is still verified.
    """

    ca: str | None = None
    cert: str | None = None
    key: str | None = None
    verify_hostname: bool = True

    def context(self) -> ssl.SSLContext:
        """Make the context.

        Raises:
            BadTlsSettings: A file is missing or is no PEM; the message names it.
        """
        try:
            context = ssl.create_default_context(cafile=self.ca)
        except (OSError, ssl.SSLError) as error:
            raise BadTlsSettings(f"the CA file {self.ca} cannot be used: {error}") from error
        context.check_hostname = self.verify_hostname
        if self.cert:
            try:
                context.load_cert_chain(self.cert, self.key)
            except (OSError, ssl.SSLError) as error:
                files = " with ".join(name for name in (self.cert, self.key) if name)
                raise BadTlsSettings(f"the certificate {files} cannot be used: {error}") from error
        return context
