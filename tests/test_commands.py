"""The commands, as they are installed, with real environments: link, status, selftest, purge."""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

from pip_retry_patch.lab.faults import Busy, Cut
from pip_retry_patch.lab.packages import Package
from pip_retry_patch.lab.server import Lab
from tests import environments
from tests.conftest import Certificates, Factory
from tests.environments import NEWEST, Argument, Environment, Outcome, each_pair, pairs
from tests.test_faults import SIZE, THIRD, Download
from tests.test_package import ARMED, instructions, new_venv

LINK = "pip_retry_patch_link.pth"
SOME = pairs(("20.3.4", "3.8"), ("24.0", "3.12"), (NEWEST, "3.13"))
MAIN = pairs((NEWEST, "3.13"))
# pip, where a test needs an environment to have one, is the one that comes with its Python.
WITH_PIP = pairs(("20.3.4", "3.8"), ("24.0", "3.12"), (NEWEST, "3.13"))


def command(environment: Environment, *arguments: Argument, **env: Argument) -> Outcome:
    """Run `pip-retry-patch`, the script that pip made."""
    script = environment.prefix / "bin" / "pip-retry-patch"
    return environment.run_python(script, *arguments, env=env)


def child(environment: Environment, *options: str, **env: Argument) -> Environment:
    """Make a virtual environment from an environment's own base."""
    prefix = environment.fresh_dir() / "child"
    outcome = environment.run_python("-m", "venv", *options, prefix, env=env)
    assert outcome.returncode == 0, outcome.output
    version = environment.python_version
    return venv_of(prefix, environment.root, version)


def venv_of(prefix: Path, root: Path, python: str) -> Environment:
    """An environment whose pip came with its Python, or that has none; it is not in the table."""
    return Environment(prefix, root, "", python, armed=False, label="")


def heals(environment: Environment, certificates: Certificates) -> bool:
    """Whether a cut download is healed; plain pip does not, or does not with our words."""
    with Lab([Package("demo", SIZE, [Cut(THIRD)])]) as lab:
        done = Download(environment, lab, certificates)
        if done.warnings:
            done.assert_right()
        return bool(done.warnings)


# link and unlink


@WITH_PIP
def test_a_link_arms_and_unlink_takes_it_back(
    pip: str, python: str, armed: Factory, certificates: Certificates
) -> None:
    base = armed(pip, python)
    linked = child(base)
    state = base.fresh_dir()
    assert not heals(linked, certificates)
    frozen = linked.run("list", "--format=freeze").stdout
    assert "pip==" in frozen

    said = command(base, "link", linked.prefix, XDG_STATE_HOME=state)
    assert (said.returncode, said.stderr) == (0, "")
    assert said.stdout.startswith(f"Linked {linked.prefix}: its pip is guarded by")
    assert heals(linked, certificates)
    assert linked.run("list", "--format=freeze").stdout == frozen
    assert "retry" not in linked.run("freeze", "--all").stdout
    for name in ("pip_retry_patch", "wrapt"):
        alone = linked.run_python("-c", f"import {name}")
        assert "ModuleNotFoundError" in alone.stderr
    path = "import sys; print(sys.path)"
    assert str(base.site_packages) not in linked.run_python("-c", f"import pip; {path}").stdout
    silent = linked.run_python("-c", "pass")
    assert silent[:3] == (0, "", "")

    listed = command(base, "status", "--json", XDG_STATE_HOME=state)
    assert json.loads(listed.stdout)["links"] == [str(linked.site_packages / LINK)]
    asked = command(base, "status", "--json", "--python", linked.python)
    assert json.loads(asked.stdout)["armed_by"] == [str(linked.site_packages / LINK)]

    taken = command(base, "unlink", linked.prefix)
    assert taken.stdout == f"Unlinked {linked.prefix}: its pip is as it was.\n"
    assert not (linked.site_packages / LINK).exists()
    assert not heals(linked, certificates)
    again = command(base, "unlink", linked.prefix)
    assert again.stdout == f"{linked.prefix} was not linked; nothing was changed.\n"
    listed = command(base, "status", "--json", XDG_STATE_HOME=state)
    assert json.loads(listed.stdout)["links"] == []


@MAIN
def test_a_link_whose_base_went_away_is_silent_and_harmless(
    pip: str, python: str, armed: Factory, certificates: Certificates
) -> None:
    base = environments.fresh_environment(pip, python, armed=True)
    linked = child(armed(pip, python))
    assert command(base, "link", linked.prefix).returncode == 0
    assert linked.run_python("-c", ARMED).stdout == "1\n"
    shutil.rmtree(base.prefix)
    for code in ("pass", ARMED):
        outcome = linked.run_python("-c", code)
        assert (outcome.returncode, outcome.stderr) == (0, "")
    assert linked.run("list").stderr == ""
    # Nor is the environment's Python needed to take it back.
    linked.python.unlink()
    assert command(armed(pip, python), "unlink", linked.prefix).returncode == 0
    assert not (linked.site_packages / LINK).exists()


@MAIN
def test_what_cannot_be_linked_is_said_in_one_line(pip: str, python: str, armed: Factory) -> None:
    base = armed(pip, python)
    empty = base.fresh_dir()
    for directory, words in (
        (empty, "is no virtual environment"),
        (empty / "missing", "is no virtual environment"),
        (Path(environments.interpreter(python)[1]).parents[1], "is a Python itself"),
    ):
        said = command(base, "link", directory)
        assert said.returncode == 1
        assert said.stderr.count("\n") == 1 and words in said.stderr
    broken = child(base, "--without-pip")
    broken.python.unlink()
    broken.python.write_text("#!/bin/false\n")
    broken.python.chmod(0o755)
    said = command(base, "link", broken.prefix)
    assert said.returncode == 1 and "does not start well" in said.stderr


@MAIN
def test_a_path_with_odd_characters_is_linked(
    pip: str, python: str, armed: Factory, wheel: Path
) -> None:
    base = new_venv(armed(pip, python).fresh_dir() / 'it\'s \u00e4 "base" \\n', python)
    target = base.site_packages
    outcome = armed(pip, python).run(
        "install", "--no-index", "--target", target, wheel, environments.wrapt_wheel(python)
    )
    assert outcome.returncode == 0, outcome.output
    linked = child(armed(pip, python))
    said = base.run_python("-m", "pip_retry_patch", "link", linked.prefix)
    assert said.returncode == 0, said.output
    assert linked.run_python("-c", ARMED).stdout == "1\n"
    assert (linked.site_packages / LINK).read_bytes().isascii()


@MAIN
def test_a_linked_start_costs_no_more_than_an_armed_one(
    pip: str, python: str, armed: Factory
) -> None:
    linked = child(armed(pip, python), "--without-pip")
    (linked.site_packages / LINK).write_text("# nothing but a comment\n")
    commented = instructions(linked)
    assert command(armed(pip, python), "link", linked.prefix).returncode == 0
    share = instructions(linked) / commented - 1
    environments.note_figure(f"python -c pass in a linked environment: {share:+.2%}")
    assert share <= 0.02


# Environments that are linked from birth


@each_pair
def test_environments_are_linked_from_birth_where_that_is_wanted(
    pip: str, python: str, armed: Factory
) -> None:
    base = armed(pip, python)
    plain = child(base, "--without-pip")
    assert not (plain.site_packages / LINK).exists()
    off = child(base, "--without-pip", PIP_RETRY_PATCH_VENVS="0")
    assert not (off.site_packages / LINK).exists()
    linked = child(base, "--without-pip", PIP_RETRY_PATCH_VENVS="1")
    assert (linked.site_packages / LINK).exists()
    code = "import venv; venv.create('made'); import os; print(os.listdir('made'))"
    cwd = base.fresh_dir()
    outcome = base.run_python("-c", code, env={"PIP_RETRY_PATCH_VENVS": "1"}, cwd=cwd)
    assert outcome.returncode == 0, outcome.output
    assert list((cwd / "made").glob(f"lib/*/site-packages/{LINK}"))


@MAIN
def test_a_born_link_heals_and_survives_clear(
    pip: str, python: str, armed: Factory, certificates: Certificates
) -> None:
    base = armed(pip, python)
    linked = child(base, PIP_RETRY_PATCH_VENVS="1")
    assert heals(linked, certificates)
    again = base.run_python(
        "-m", "venv", "--clear", linked.prefix, env={"PIP_RETRY_PATCH_VENVS": "1"}
    )
    assert again[:3] == (0, "", "")
    assert heals(linked, certificates)


@MAIN
def test_what_virtualenv_makes_is_linked_too(
    pip: str, python: str, certificates: Certificates
) -> None:
    base = environments.fresh_environment(pip, python, armed=True)
    installed = base.run("install", "--quiet", "virtualenv", machine=True)
    assert installed.returncode == 0, installed.output
    home = base.fresh_dir()
    for wanted in (True, False):
        prefix = base.fresh_dir() / "made"
        env: dict[str, Argument] = {"HOME": home, "PIP_RETRY_PATCH_VENVS": str(int(wanted))}
        made = base.run_python("-m", "virtualenv", "--no-download", prefix, env=env)
        assert made.returncode == 0, made.output
        born = venv_of(prefix, base.root, python)
        assert (born.site_packages / LINK).exists() == wanted
        assert heals(born, certificates) == wanted


# status and purge


@each_pair
def test_status_asks_a_pip_process(pip: str, python: str, armed: Factory) -> None:
    environment = armed(pip, python)
    config = environment.fresh_dir() / "pip.conf"
    config.write_text("[global]\nretry-patch-patience = 300\nretry-patch-attempts = many\n")
    env: dict[str, Argument] = {"PIP_CONFIG_FILE": config, "PIP_RETRY_PATCH_PARTIALS_DAYS": "3"}
    said = command(environment, "status", "--json", **env)
    assert (said.returncode, said.stderr) == (0, "")
    found: dict[str, Any] = json.loads(said.stdout)
    assert found["guarded"] is True
    assert found["pip"] == environment.pip_version
    assert found["python"] == environment.python_version
    assert [Path(p).name for p in found["armed_by"]] == ["pip_retry_patch.pth"]
    assert found["wrapt"] and found["urllib3"]
    states = set(found["hooks"].values())
    assert states <= {"in place", "this pip has none"}
    assert found["settings"]["retry-patch-patience"]["value"] == 300
    origin = found["settings"]["retry-patch-patience"]["origin"]
    assert origin.startswith("[global] in /") and origin.endswith(f"/{config.name}")
    days = found["settings"]["retry-patch-partials-days"]
    assert days == {"value": 3, "origin": "PIP_RETRY_PATCH_PARTIALS_DAYS"}
    assert found["settings"]["retry-patch"] == {"value": True, "origin": "default"}
    (complaint,) = found["complaints"]
    assert "retry-patch-attempts" in complaint
    text = command(environment, "status", **env)
    assert text.returncode == 0
    assert text.stdout.startswith("pip-retry-patch 0.1.0 guards pip ")
    assert text.stdout.isascii()


@SOME
def test_status_says_when_pip_is_not_guarded(pip: str, python: str, armed: Factory) -> None:
    environment = armed(pip, python)
    off = command(environment, "status", PIP_RETRY_PATCH="0")
    assert off.returncode == 1
    assert "does NOT guard" in off.stdout and "It is switched off." in off.stdout
    bare = child(environment)
    other = command(environment, "status", "--python", bare.python)
    assert other.returncode == 1
    assert "not armed" in other.stderr and other.stderr.count("\n") == 1
    as_json = command(environment, "status", "--json", "--python", bare.python)
    assert as_json.returncode == 1
    assert json.loads(as_json.stdout)["guarded"] is False


@MAIN
def test_status_sees_what_is_missing_and_what_is_broken(pip: str, python: str) -> None:
    environment = environments.fresh_environment(pip, python, armed=True)
    hashes = environment.site_packages / "pip" / "_internal" / "utils" / "hashes.py"
    hashes.write_text(hashes.read_text().replace("check_against_path(", "check_file("))
    found = json.loads(command(environment, "status", "--json").stdout)
    assert found["guarded"]
    assert found["hooks"]["Hashes.check_against_path"] == "this pip has none"
    guard = environment.site_packages / "pip_retry_patch" / "guard.py"
    guard.write_text("raise RuntimeError('broken')\n")
    said = command(environment, "status", "--json")
    assert said.returncode == 1
    found = json.loads(said.stdout)
    assert not found["guarded"] and "RuntimeError: broken" in found["reason"]


@SOME
def test_purge_removes_what_is_kept_and_says_where(
    pip: str, python: str, armed: Factory, certificates: Certificates
) -> None:
    environment = armed(pip, python)
    store = environment.fresh_dir() / "store"
    env: dict[str, Argument] = {
        "PIP_NO_CACHE_DIR": "1",
        "PIP_RETRY_PATCH_PARTIALS_DIR": store,
    }
    with Lab([Package("demo", SIZE, [Cut(THIRD * 2), Busy(404)])]) as lab:
        Download(environment, lab, certificates, env=env).assert_clear_error()
    (partial,) = store.iterdir()
    kept = json.loads(command(environment, "status", "--json", **env).stdout)["kept"]
    assert kept == {"directory": str(store), "files": 1, "size": partial.stat().st_size}
    said = command(environment, "purge", **env)
    assert (said.returncode, said.stderr) == (0, "")
    assert said.stdout == f"Partial downloads removed: 1 (2.0 MB) from {store}\n"
    assert not list(store.iterdir())
    nothing = command(environment, "purge", PIP_NO_CACHE_DIR="1")
    assert nothing.returncode == 0 and "Nothing is kept here" in nothing.stdout


# selftest, and how it reads


@pytest.mark.parametrize("compare", [False, True], ids=["alone", "compare"])
@SOME
def test_selftest_passes_and_tells_what_it_saw(
    compare: bool, pip: str, python: str, armed: Factory
) -> None:
    environment = armed(pip, python)
    said = command(environment, "selftest", *(["--compare"] if compare else []))
    assert (said.returncode, said.stderr) == (0, ""), said.output
    rows = [line for line in said.stdout.splitlines() if "healed " in line]
    assert len(rows) == 9
    assert said.stdout.rstrip().endswith(
        "All 9 faults were healed; every file is what the index has."
    )
    if compare:
        assert "plain pip" in said.stdout
        assert sum(word in said.stdout for word in ("traceback", "blames hash", "gives up"))


@MAIN
def test_selftest_of_a_linked_environment(pip: str, python: str, armed: Factory) -> None:
    base = armed(pip, python)
    linked = child(base, PIP_RETRY_PATCH_VENVS="1")
    said = command(base, "selftest", "--python", linked.python)
    assert said.returncode == 0, said.output


def test_selftest_needs_neither_root_nor_a_place_to_write(
    armed: Factory,
) -> None:
    """As `RUN pip-retry-patch selftest` for a user of a container, whose files are read-only."""
    root, _ = environments.interpreter("3.15")  # in the chroot, or a system's: all may run it
    environment = armed(NEWEST, "3.15")
    if root == Path("/"):
        pytest.fail("Python 3.15 is expected in the chroot")
    scratch = environment.fresh_dir()
    scratch.chmod(0o1777)
    reachable = environment.prefix
    while reachable != root:
        reachable.chmod(reachable.stat().st_mode | 0o055)
        reachable = reachable.parent
    inside = environments.inside
    nobody = [str(shutil.which("chroot")), "--userspec=65534:65534", str(root)]
    done = subprocess.run(
        [*nobody, inside(root, environment.python), "-I", "-m", "pip_retry_patch", "selftest"],
        env={"PATH": "/usr/bin", "TMPDIR": inside(root, scratch), "HOME": "/nonexistent"},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, ""), done.stdout
    assert not list(scratch.iterdir())


@MAIN
def test_every_help_reads_well(pip: str, python: str, armed: Factory) -> None:
    environment = armed(pip, python)
    for name in ("status", "selftest", "link", "unlink", "purge"):
        said = command(environment, name, "--help")
        assert (said.returncode, said.stderr) == (0, "")
        assert said.stdout.startswith(f"usage: pip-retry-patch {name} ")
        module = environment.run_python("-m", "pip_retry_patch", name, "--help")
        assert module.stdout == said.stdout
        assert max(map(len, said.stdout.splitlines())) <= 80


@SOME
def test_verbose_pip_says_once_what_guards_it(
    pip: str, python: str, armed: Factory, certificates: Certificates
) -> None:
    environment = armed(pip, python)
    with Lab([Package("demo", 2000)]) as lab:
        done = Download(environment, lab, certificates, "-v")
        done.assert_right()
        line = f"pip-retry-patch 0.1.0 guards pip {environment.pip_version}"
        assert done.run.output.count(line) == 1
        assert line not in Download(environment, lab, certificates).run.output
