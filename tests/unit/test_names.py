"""Names and URLs without what is secret in them."""

from __future__ import annotations

from typing import Any, Callable

import pytest

from pip_retry_patch import names, settings, wording
from pip_retry_patch.fetch import errors, pages

SECRETS = (
    "https://me:SECRET@h.example/x?signature=SECRET",
    "HTTPSConnectionPool(host='h.example'): cannot read /x-1.0.whl?X-Amz-Signature='SECRET (of x)",
    "//me:SECRET@//you:SECRET@h.example/x",
    "see 'https://me:" + "SECRET" * 1000 + "@h.example/x'",
)
# Whatever takes a text or a URL from elsewhere.
SOURCES: dict[str, Callable[[str], Any]] = {
    "foreign": names.foreign,
    "redacted": names.redacted,
    "an error": lambda text: errors.reason(ValueError(text)),
    "an error of the system": lambda text: errors.reason(OSError(5, text)),
    "a proxy": lambda text: errors.reason(OSError(f"Tunnel connection failed: 502 {text}")),
    "a title": lambda text: pages.title_of(f"<title>{text}</title>".encode()),
    "a setting": lambda text: settings.read({"global.retry-patch-patience": text}.items()),
    "an error of a file": lambda text: wording.of_system(OSError(text)),
}


@pytest.mark.parametrize("source", SOURCES.values(), ids=SOURCES)
def test_no_text_from_elsewhere_brings_a_secret(source: Callable[[str], Any]) -> None:
    for text in SECRETS:
        found = source(text)
        shown = found.complaints if hasattr(found, "complaints") else found
        assert "SECRET" not in str(shown), text


@pytest.mark.parametrize(
    ("url", "name"),
    [
        ("https://me:SECRET@h.example/a/x-1.0.tar.gz?k=SECRET", "x-1.0.tar.gz"),
        ("https://h.example/simple/x/?k=SECRET", "the page https://h.example/simple/x/"),
        ("https://h.example/http://me:SECRET@i/", "the page https://h.example/http://i/"),
    ],
)
def test_a_name_has_neither_credentials_nor_a_query(url: str, name: str) -> None:
    assert (names.name_of(url), names.host_of(url)) == (name, "h.example")
    assert "SECRET" not in names.redacted(url)
