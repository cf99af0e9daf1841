"""Addresses to which no request ever leaves this machine."""

from __future__ import annotations

NO_NAME = "nowhere.invalid"  # it never resolves (RFC 6761)
NO_NETWORK = "255.255.255.255"  # Linux has no route to it for TCP
