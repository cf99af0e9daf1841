"""A real wheel in the index of the lab."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from tests.support.lab.packages import Package


@dataclass(frozen=True)
class Real(Package):
    """A real wheel, served with the faults of `Package`."""

    path: Path = Path()

    @property
    def filename(self) -> str:
        return self.path.name

    def artifact(self, generation: int = 0) -> bytes:
        return self.path.read_bytes()
