"""What the unreliable index serves: packages with their wheels, sdists, pages and metadata."""

from __future__ import annotations

import base64
import gzip
import hashlib
import io
import json
import random
import re
import tarfile
import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, Literal, Sequence

from tests.support.lab.faults import Entry

Kind = Literal["artifact", "page", "metadata", "other"]
HTML = "text/html; charset=utf-8"
JSON = "application/vnd.pypi.simple.v1+json"
MIB = 1 << 20


PYPROJECT = """[build-system]
requires = {}
build-backend = "backend"
backend-path = ["."]
"""
BACKEND = b"""import glob, shutil

def build_wheel(wheel_directory, config_settings=None, metadata_directory=None):
    (wheel,) = glob.glob("*.whl")
    shutil.copy(wheel, wheel_directory)
    return wheel
"""


@dataclass(frozen=True)
class Package:
    """A project with one wheel, `name`-1.0, and what goes wrong with it.

    The i-th GET of the artifact meets `faults[i]`, a later one `forever`. The index page and the
    PEP 658 metadata have schedules of their own. HEAD takes no entry and is always clean.
    """

    name: str
    size: int = 200_000  # bytes of payload, not compressible; the wheel is about 1 KB larger
    faults: Sequence[Entry] = ()
    forever: Entry = None
    page_faults: Sequence[Entry] = ()
    page_forever: Entry = None
    metadata_faults: Sequence[Entry] = ()

    # How the package is served: the same for artifact, page and metadata.
    ranges: bool = True
    # ETag and Last-Modified; W/ETag only; Last-Modified only, a year before Date; nothing.
    validator: Literal["strong", "weak", "date", "none"] = "strong"
    chunked: bool = False
    gzip: bool = False  # Content-Encoding, for a client that accepts it
    gzip_varies: bool = False  # the same, with other bytes and another ETag each time
    max_age: int | None = None  # Cache-Control, but not of the page

    # What the page says.
    hashes: bool | str = True  # a str is announced in place of the true sha256
    page_format: Literal["html", "json"] = "html"  # JSON (PEP 691) for a client that accepts it
    metadata: bool = False  # PEP 658
    requires: Sequence[str] = ()

    sdist: bool = False  # the artifact is an sdist, with the wheel in it and a backend to copy it
    build_requires: Sequence[str] = ()  # what that backend pretends to need

    VERSION: ClassVar[str] = "1.0"

    @property
    def normalized(self) -> str:
        return normalize(self.name)

    @property
    def filename(self) -> str:
        stem = f"{self.normalized.replace('-', '_')}-{self.VERSION}"
        return f"{stem}.tar.gz" if self.sdist else f"{stem}-py3-none-any.whl"

    def schedules(self) -> dict[str, Sequence[Entry]]:
        return {"artifact": self.faults, "page": self.page_faults, "metadata": self.metadata_faults}

    def entry(self, kind: Kind, turn: int) -> Entry:
        """What strikes the `turn`-th GET (from 0) of that kind."""
        schedule = self.schedules().get(kind, ())
        if turn < len(schedule):
            return schedule[turn]
        return {"artifact": self.forever, "page": self.page_forever}.get(kind)

    def metadata_file(self) -> bytes:
        lines = ["Metadata-Version: 2.1", f"Name: {self.name}", f"Version: {self.VERSION}"]
        lines += [f"Requires-Dist: {requirement}" for requirement in self.requires]
        return "\n".join([*lines, ""]).encode()

    def wheel(self, generation: int = 0) -> bytes:
        """The wheel; each later generation (see `Changed`) has other bytes, and 1000 more."""
        stem = self.normalized.replace("-", "_")
        info = f"{stem}-{self.VERSION}.dist-info"
        seed, size = f"{self.name}/{generation}", self.size + 1000 * generation
        wheel = "Wheel-Version: 1.0\nGenerator: lab\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
        files = {
            f"{stem}/__init__.py": b"",
            f"{stem}/payload.bin": payload(seed, size),
            f"{info}/METADATA": self.metadata_file(),
            f"{info}/WHEEL": wheel.encode(),
        }
        record = [f"{path},sha256={record_hash(data)},{len(data)}" for path, data in files.items()]
        files[f"{info}/RECORD"] = "\n".join([*record, f"{info}/RECORD,,", ""]).encode()
        out = io.BytesIO()
        with zipfile.ZipFile(out, "w", zipfile.ZIP_STORED) as archive:
            for path, data in files.items():
                archive.writestr(zipfile.ZipInfo(path), data)  # its default date keeps it the same
        return out.getvalue()

    def artifact(self, generation: int = 0) -> bytes:
        if not self.sdist:
            return self.wheel(generation)
        stem = self.filename[: -len(".tar.gz")]
        files = {
            "PKG-INFO": self.metadata_file(),
            "pyproject.toml": PYPROJECT.format(list(self.build_requires)).encode(),
            "backend.py": BACKEND,
            f"{stem}-py3-none-any.whl": self.wheel(generation),
        }
        out = io.BytesIO()
        with tarfile.open(fileobj=out, mode="w") as archive:
            for path, data in files.items():
                member = tarfile.TarInfo(f"{stem}/{path}")
                member.size = len(data)
                archive.addfile(member, io.BytesIO(data))
        return gzip.compress(out.getvalue(), compresslevel=1, mtime=0)

    def page(self, wheel_sha256: str, as_json: bool) -> bytes:
        """The project's page of the simple API, HTML (PEP 503) or JSON (PEP 691)."""
        announced = self.hashes if isinstance(self.hashes, str) else wheel_sha256
        if not self.hashes:
            announced = ""
        url = f"/files/{self.normalized}/{self.filename}"
        core = hashlib.sha256(self.metadata_file()).hexdigest() if self.metadata else ""
        if as_json:
            file: dict[str, object] = {
                "filename": self.filename,
                "url": url,
                "hashes": {"sha256": announced} if announced else {},
            }
            if core:
                # Not said otherwise: pip 22.3 and 23.0 crash on a false "dist-info-metadata".
                file["core-metadata"] = file["dist-info-metadata"] = {"sha256": core}
            page = {"meta": {"api-version": "1.0"}, "name": self.normalized, "files": [file]}
            return json.dumps(page, indent=1).encode()
        fragment = f"#sha256={announced}" if announced else ""
        attributes = ("data-core-metadata", "data-dist-info-metadata") if core else ()
        extra = "".join(f' {attribute}="sha256={core}"' for attribute in attributes)
        return (
            f"<!DOCTYPE html>\n<html><head><title>Links for {self.name}</title></head><body>\n"
            f'<a href="{url}{fragment}"{extra}>{self.filename}</a><br>\n</body></html>\n'
        ).encode()


@dataclass(frozen=True)
class Real(Package):
    """A real wheel, served with the faults of `Package`."""

    path: Path = Path()

    @property
    def filename(self) -> str:
        return self.path.name

    def artifact(self, generation: int = 0) -> bytes:
        return self.path.read_bytes()


def normalize(name: str) -> str:
    """A project's name as it stands in URLs (PEP 503)."""
    return re.sub(r"[-_.]+", "-", name).lower()


def record_hash(data: bytes) -> str:
    """A hash as RECORD writes it: URL-safe base64 without padding."""
    return base64.urlsafe_b64encode(hashlib.sha256(data).digest()).rstrip(b"=").decode()


def payload(seed: str, size: int) -> bytes:
    """Incompressible bytes, the same for the same seed: a random MiB, repeated behind a counter."""
    block = random.Random(seed).getrandbits(8 * MIB).to_bytes(MIB, "little")[8:]
    whole = b"".join(n.to_bytes(8, "big") + block for n in range(-(-size // MIB)))
    return whole[:size]


class Lying(Package):
    """A mirror's: other bytes, though its page may list the right hash."""

    def artifact(self, generation: int = 0) -> bytes:
        return super().artifact(generation)[:-5000] + bytes(5000)
