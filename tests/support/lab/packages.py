"""What the unreliable index serves: packages with their wheels, sdists, pages and metadata."""

from __future__ import annotations

import base64
import functools
import gzip
import hashlib
import io
import json
import random
import tarfile
import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, Sequence

from tests.support.lab.faults import Entry, Fault

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

    name: str  # normalized (PEP 503)
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
    gzip: bool = False  # for a client that accepts it, with other bytes and another ETag each time
    max_age: int | None = None  # Cache-Control, but not of the page

    # What the page says.
    hashes: bool | str = True  # a str is announced in place of the true sha256
    page_format: Literal["html", "json"] = "html"  # JSON (PEP 691) for a client that accepts it
    metadata: bool = False  # PEP 658
    requires: Sequence[str] = ()

    sdist: bool = False  # the artifact is an sdist, with the wheel in it and a backend to copy it
    build_requires: Sequence[str] = ()  # what that backend pretends to need
    path: Path | None = None  # the artifact is this file
    generation: int = 0  # each later one (see `Changed`) has other bytes, and 1000 more

    @property
    def stem(self) -> str:
        return f"{self.name.replace('-', '_')}-1.0"

    @property
    def filename(self) -> str:
        if self.path:
            return self.path.name
        return f"{self.stem}.tar.gz" if self.sdist else f"{self.stem}-py3-none-any.whl"

    def struck_by(self, kind: Kind, turn: int) -> tuple[Fault, ...]:
        """What strikes the `turn`-th GET (from 0) of that kind."""
        schedules: dict[Kind, tuple[Sequence[Entry], Entry]] = {
            "artifact": (self.faults, self.forever),
            "page": (self.page_faults, self.page_forever),
            "metadata": (self.metadata_faults, None),
        }
        schedule, later = schedules.get(kind, ((), None))
        entry = schedule[turn] if turn < len(schedule) else later
        return entry if isinstance(entry, tuple) else (entry,) if entry else ()

    def metadata_file(self) -> bytes:
        lines = ["Metadata-Version: 2.1", f"Name: {self.name}", "Version: 1.0"]
        lines += [f"Requires-Dist: {requirement}" for requirement in self.requires]
        return "\n".join([*lines, ""]).encode()

    def wheel(self) -> bytes:
        folder, info = self.stem[: -len("-1.0")], f"{self.stem}.dist-info"
        seed, size = f"{self.name}/{self.generation}", self.size + 1000 * self.generation
        wheel = "Wheel-Version: 1.0\nGenerator: lab\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
        files = {
            f"{folder}/__init__.py": b"",
            f"{folder}/payload.bin": payload(seed, size),
            f"{info}/METADATA": self.metadata_file(),
            f"{info}/WHEEL": wheel.encode(),
        }
        record = f"{info}/RECORD,,\n"
        for path, data in files.items():
            digest = base64.urlsafe_b64encode(hashlib.sha256(data).digest()).decode()
            record += f"{path},sha256={digest.rstrip('=')},{len(data)}\n"
        files[f"{info}/RECORD"] = record.encode()
        out = io.BytesIO()
        with zipfile.ZipFile(out, "w", zipfile.ZIP_STORED) as archive:
            for path, data in files.items():
                archive.writestr(zipfile.ZipInfo(path), data)  # its default date keeps it the same
        return out.getvalue()

    @functools.cached_property
    def artifact(self) -> bytes:
        if self.path:
            return self.path.read_bytes()
        if not self.sdist:
            return self.wheel()
        files = {
            "PKG-INFO": self.metadata_file(),
            "pyproject.toml": PYPROJECT.format(list(self.build_requires)).encode(),
            "backend.py": BACKEND,
            f"{self.stem}-py3-none-any.whl": self.wheel(),
        }
        out = io.BytesIO()
        with tarfile.open(fileobj=out, mode="w") as archive:
            for path, data in files.items():
                member = tarfile.TarInfo(f"{self.stem}/{path}")
                member.size = len(data)
                archive.addfile(member, io.BytesIO(data))
        return gzip.compress(out.getvalue(), compresslevel=1, mtime=0)

    @functools.cached_property
    def sha256(self) -> str:
        return hashlib.sha256(self.artifact).hexdigest()

    def page(self, as_json: bool) -> bytes:
        """The project's page of the simple API, HTML (PEP 503) or JSON (PEP 691)."""
        announced = self.sha256 if self.hashes is True else self.hashes or ""
        url = f"/files/{self.name}/{self.filename}"
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
            page = {"meta": {"api-version": "1.0"}, "name": self.name, "files": [file]}
            return json.dumps(page, indent=1).encode()
        fragment = f"#sha256={announced}" if announced else ""
        attributes = ("data-core-metadata", "data-dist-info-metadata") if core else ()
        extra = "".join(f' {attribute}="sha256={core}"' for attribute in attributes)
        return (
            f"<!DOCTYPE html>\n<html><head><title>Links for {self.name}</title></head><body>\n"
            f'<a href="{url}{fragment}"{extra}>{self.filename}</a><br>\n</body></html>\n'
        ).encode()


def payload(seed: str, size: int) -> bytes:
    """Incompressible bytes, the same for the same seed: a random MiB, repeated behind a counter."""
    block = random.Random(seed).getrandbits(8 * MIB).to_bytes(MIB, "little")[8:]
    whole = b"".join(n.to_bytes(8, "big") + block for n in range(-(-size // MIB)))
    return whole[:size]
