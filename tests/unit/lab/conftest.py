"""Fixtures for tests of the lab."""

from __future__ import annotations

import ssl
from typing import Iterator

import pytest
import trustme


@pytest.fixture(scope="module")
def server_tls() -> Iterator[tuple[ssl.SSLContext, ssl.SSLContext]]:
    """TLS contexts that fit: the server's and the client's."""
    authority = trustme.CA()
    server, client = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER), ssl.create_default_context()
    authority.issue_cert("127.0.0.1", "localhost").configure_cert(server)
    authority.configure_trust(client)
    yield server, client
