"""The certificate of the servers that tests start."""

from __future__ import annotations

import ssl
from pathlib import Path
from typing import NamedTuple


class Certificates(NamedTuple):
    """A server's TLS context for loopback, and the authority that vouches for it."""

    server: ssl.SSLContext
    ca_pem: Path
