"""Whatever servers do with two versions of a file, what comes is one of them whole, or an error."""

from __future__ import annotations

import random
import tempfile
from pathlib import Path
from typing import Any
from unittest import mock

import requests
from hypothesis import given, settings
from hypothesis import strategies as st

from pip_retry_patch.fetch import body as body_module
from pip_retry_patch.fetch import errors
from pip_retry_patch.fetch.judge import LONG_OVERLAP
from tests.support.exchanges import RESET, GaveUpError, World, response

# So much is held in memory here; what was before is compared with the file.
HELD = LONG_OVERLAP + 5000

SIZES = st.sampled_from([0, 1, 5000, 70_000, 140_000, 200_001])
# What a server does with one request.
BEHAVIOURS = st.fixed_dictionaries(
    {
        "version": st.integers(0, 1),
        "does": st.sampled_from(
            ["part", "part", "part", "whole", "whole", "416", "503", "403", "lost"]
        ),
        "framed": st.sampled_from(["length", "chunks", "close"]),
        "tagged": st.sampled_from(["strong", "weak", "none"]),
        "obeys_if_range": st.booleans(),
        "tells_total": st.booleans(),
        "starts": st.sampled_from([0, 0, 0, 0, -1, 1, 4096]),  # so far from where it was asked to
        "brings": st.sampled_from([1.0, 1.0, 0.5, 0.01]),  # of what it could
        "breaks": st.sampled_from([None, None, None, 0, 0.1, 0.5, 0.9]),
        "silently": st.booleans(),  # without an error, where its framing shows it
    }
)


def server(versions: list[bytes], behaviours: list[dict[str, Any]]) -> Any:
    """Return what serves two versions, honestly: what it says of what it sends is true."""

    def answer(asking: Any) -> Any:
        how = behaviours.pop(0) if len(behaviours) > 1 else behaviours[0]
        body = versions[how["version"]]
        tag = {"strong": f'"v{how["version"]}"', "weak": 'W/"v"', "none": None}[how["tagged"]]
        fields: dict[str, Any] = {"etag": tag} if tag else {}
        wanted, condition = asking.fields.get("Range"), asking.fields.get("If-Range")
        if how["does"] == "lost":
            return requests.ConnectionError(RESET)
        if how["does"] in ("503", "403"):
            return response(b"no", status=int(how["does"]))
        if how["does"] == "416" and wanted:
            return response(b"", status=416, content_range=f"bytes */{len(body)}")
        is_same = condition is None or condition == tag or not how["obeys_if_range"]
        first = int(wanted[6:-1]) + how["starts"] if wanted else 0
        if how["does"] == "part" and wanted and is_same and 0 <= first < len(body):
            stop = max(first + 1, first + int((len(body) - first) * how["brings"]))
            total = len(body) if how["tells_total"] else "*"
            fields.update(status=206, content_range=f"bytes {first}-{stop - 1}/{total}")
            body = body[first:stop]
        if how["breaks"] is None:
            return response(body, framed=how["framed"], **fields)
        sent, framed = body[: int(len(body) * how["breaks"])], how["framed"]
        if framed == "close" or not how["silently"]:
            return response(sent, RESET, framed=framed, length=len(body), **fields)
        framed = framed.replace("chunks", "broken chunks")
        return response(sent, framed=framed, length=len(body), **fields)

    return answer


def two_versions(size: int, other: int, same: int) -> list[bytes]:
    """Return two files that are the same up to a byte, and differ in each byte after it."""
    noise = bytes(random.Random(1).choices(range(256), k=max(size, other)))
    flipped = bytes(255 - byte for byte in noise[same:other])
    return [noise[:size], noise[: min(same, other)] + flipped]


@settings(max_examples=300)
@mock.patch.object(body_module, "HELD", HELD)
@given(SIZES, SIZES, SIZES, st.lists(BEHAVIOURS, min_size=1, max_size=12), st.booleans())
def test_one_version_comes_whole_or_an_error(
    size: int, other: int, same: int, behaviours: list[dict[str, Any]], hashed: bool
) -> None:
    versions = two_versions(size, other, same)
    first = dict(behaviours[0], does="whole")
    world = World(server(versions, [first, *behaviours]), hashed=hashed)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "demo.whl"
        try:
            raw = world.start(written=lambda: str(path)).raw
            with open(path, "wb", buffering=4096) as file:
                for piece in raw.stream(3000, decode_content=False):
                    file.write(piece)
        except (GaveUpError, errors.Restart):
            return
        finally:
            assert len(world.asked) < 400
        if not hashed:  # or the hash tells
            came = path.read_bytes()
            assert any(came == version for version in versions), len(came)
