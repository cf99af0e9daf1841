"""The certificate of the servers that tests start."""

from __future__ import annotations

import functools
import ssl
from pathlib import Path
from typing import NamedTuple

import trustme

from tests.support.directories import lasting


class Certificates(NamedTuple):
    """A server's TLS context, and the authority that vouches for it."""

    server: ssl.SSLContext
    ca_pem: Path


@functools.lru_cache(maxsize=None)
def certificates() -> Certificates:
    """Make a certificate for 127.0.0.1 and localhost."""
    return new_certificates()


def new_certificates(*hosts: str) -> Certificates:
    """Make one of an authority of its own: for these hosts, or for 127.0.0.1 and localhost."""
    authority = trustme.CA()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert(*(hosts or ("127.0.0.1", "localhost"))).configure_cert(context)
    ca_pem = lasting() / "ca.pem"
    authority.cert_pem.write_to_path(str(ca_pem))
    return Certificates(context, ca_pem)
