"""Installations that replace pip, or the patch, while it is active."""

from __future__ import annotations

import zipfile
from pathlib import Path

from tests.support import supplies
from tests.support.environments import fresh_environment
from tests.support.fatal import assert_healed, downloading, fatal
from tests.support.lab.faults import Cut, Reset
from tests.support.lab.packages import Real
from tests.support.lab.server import Lab
from tests.support.matrix import NEWEST, pairs


@pairs(("24.0", "3.12"))
def test_pip_upgrades_itself_and_is_guarded_before_and_after(pip: str, python: str) -> None:
    environment = fresh_environment(pip, python, armed=True)
    wanted = supplies.newest_pip()
    wheel = supplies.pip_wheel(wanted)
    package = Real("pip", faults=[Cut(500_000), Reset(500_000)], chunked=True, path=wheel)
    with Lab([package, fatal()]) as lab:
        run = environment.run("install", "-U", "--index-url", lab.index_url, "pip")
        assert run.returncode == 0, run.output
        assert len(run.interruptions) == 2, run.output
        assert "Traceback" not in run.output
        assert environment.run("--version").stdout.startswith(f"pip {wanted} ")
        folder = environment.fresh_dir()
        assert_healed(environment.run(*downloading(lab, folder)), lab, folder)


@pairs(("20.3.4", "3.8"), (NEWEST, "3.13"))
def test_the_patch_is_upgraded_while_it_is_active(wheel: Path, pip: str, python: str) -> None:
    environment = fresh_environment(pip, python, armed=True)
    later = upgraded(wheel, environment.fresh_dir())
    faults = [Cut(20_000), Reset(20_000)]
    package = Real("pip-retry-patch", faults=faults, chunked=True, path=later)
    with Lab([package, fatal()]) as lab:
        run = environment.run("install", "-U", "--index-url", lab.index_url, "pip-retry-patch")
        assert run.returncode == 0, run.output
        assert len(run.interruptions) == 2, run.output
        assert all(" waits at " in line for line in run.stderr.splitlines()), run.stderr
        assert "pip-retry-patch==99" in environment.run("list", "--format=freeze").stdout
        folder = environment.fresh_dir()
        assert_healed(environment.run(*downloading(lab, folder)), lab, folder)
    removed = environment.run("uninstall", "--yes", "pip-retry-patch")
    assert (removed.returncode, removed.stderr) == (0, "")
    packages = environment.site_packages
    left = [*packages.glob("*retry*"), *packages.glob("*retry*/**/*")]
    assert not left, [str(path.relative_to(packages)) for path in left]


def upgraded(wheel: Path, folder: Path) -> Path:
    """Give the product's wheel a higher version."""
    version = wheel.name.split("-")[1]
    later = folder / wheel.name.replace(f"-{version}-", "-99-")
    with zipfile.ZipFile(wheel) as old, zipfile.ZipFile(later, "w") as new:
        for name in old.namelist():
            data = old.read(name)
            if name.endswith((".dist-info/METADATA", ".dist-info/RECORD")):
                data = data.replace(f"\nVersion: {version}\n".encode(), b"\nVersion: 99\n")
                data = data.replace(f"-{version}.dist-info".encode(), b"-99.dist-info")
            new.writestr(name.replace(f"-{version}.dist-info/", "-99.dist-info/"), data)
    return later
