"""The certificate of the servers that tests start."""

from __future__ import annotations

import functools
import ssl
from pathlib import Path
from typing import NamedTuple

from tests.support.directories import lasting

# Loopback, and the servers of a scene (scenes.py).
SERVER = "198.18.0.1"  # RFC 2544
NAMES = ("index.example", "files.example", "proxy.example")


class Certificates(NamedTuple):
    """A server's TLS context, the authority that vouches for it, and what it is made of."""

    server: ssl.SSLContext
    ca_pem: Path
    own_pem: Path


@functools.lru_cache(maxsize=None)
def certificates() -> Certificates:
    """Make a certificate of an authority of its own."""
    import trustme  # whose cryptography Wine cannot load

    authority, folder = trustme.CA(), lasting()
    ca_pem, own_pem = folder / "ca.pem", folder / "own.pem"
    authority.cert_pem.write_to_path(str(ca_pem))
    made = authority.issue_cert("127.0.0.1", "localhost", SERVER, *NAMES)
    made.private_key_and_cert_chain_pem.write_to_path(str(own_pem))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(own_pem)
    return Certificates(context, ca_pem, own_pem)
