"""`link`, `unlink`, and environments that are linked from birth, with real pips."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

from tests.support import environments, runs, supplies
from tests.support.commands import LINK, child, command, heals, venv_of
from tests.support.costs import ARMED, of_a_start
from tests.support.environments import Environment
from tests.support.lab.faults import Cut, Reset
from tests.support.lab.packages import Package
from tests.support.lab.server import Lab
from tests.support.matrix import newest, old_middle_new
from tests.support.programs import Argument

BORN: dict[str, Argument] = {"PIP_RETRY_PATCH_VENVS": "1"}


def is_linked(environment: Environment) -> bool:
    return (environment.site_packages / LINK).exists()


@old_middle_new
def test_a_link_arms_and_unlink_takes_it_back(armed: Environment) -> None:
    linked, state = child(armed), armed.fresh_dir()
    path = str(linked.site_packages / LINK)

    def listed(*options: Argument) -> dict[str, list[str]]:
        found: dict[str, list[str]] = json.loads(
            command(armed, "status", "--json", *options, XDG_STATE_HOME=state).stdout
        )
        return found

    assert not heals(linked)
    frozen = linked.run("list", "--format=freeze").stdout
    assert "pip==" in frozen
    said = command(armed, "link", linked.prefix, XDG_STATE_HOME=state)
    assert (said.returncode, said.stderr) == (0, "")
    assert said.stdout.startswith(f"Linked {linked.prefix}: its pip is guarded by")
    assert heals(linked)
    # Nobody sees it.
    assert linked.run("list", "--format=freeze").stdout == frozen
    assert "retry" not in linked.run("freeze", "--all").stdout
    for name in ("pip_retry_patch", "wrapt"):
        assert "ModuleNotFoundError" in linked.run_python("-c", f"import {name}").stderr
    seen = linked.run_python("-c", "import pip, sys; print(sys.path)").stdout
    assert str(armed.site_packages) not in seen
    assert linked.run_python("-c", "pass")[:3] == (0, "", "")
    assert listed()["links"] == listed("--python", linked.python)["armed_by"] == [path]
    taken = command(armed, "unlink", linked.prefix)
    assert taken.stdout == f"Removed {path}\n"
    assert not is_linked(linked) and not heals(linked)
    again = command(armed, "unlink", linked.prefix)
    assert again.stdout == "There was no link; nothing was changed.\n"
    assert listed()["links"] == []


@newest
def test_a_link_whose_base_went_away_is_silent_and_harmless(
    pip: str, python: str, armed: Environment
) -> None:
    base = environments.fresh_environment(pip, python, armed=True)
    linked = child(armed)
    assert command(base, "link", linked.prefix).returncode == 0
    assert linked.run_python("-c", ARMED).stdout == "1\n"
    shutil.rmtree(base.prefix)
    for code in ("pass", ARMED):
        assert linked.run_python("-c", code).stderr == ""
    assert linked.run("list").stderr == ""
    # Nor need an environment's Python start to take it back, or to link it.
    linked.python.unlink()
    linked.python.write_text("#!/bin/false\n")
    linked.python.chmod(0o755)
    for name, is_there in (("unlink", False), ("link", True)):
        assert command(armed, name, linked.prefix).returncode == 0
        assert is_linked(linked) == is_there
    said = command(armed, "status", "--python", linked.prefix)
    assert said.returncode == 1 and "cannot be asked" in said.stderr


@newest
def test_what_cannot_be_linked_is_said_in_one_line(python: str, armed: Environment) -> None:
    empty = armed.fresh_dir()
    for directory, words in (
        (empty, "is no virtual environment"),
        (empty / "missing", "is no virtual environment"),
        (Path(environments.interpreter(python)[1]).parents[1], "is a Python itself"),
        (armed.prefix, "it needs no link"),
    ):
        said = command(armed, "link", directory)
        assert said.returncode == 1 and said.stderr.count("\n") == 1 and words in said.stderr
        if words.startswith("is no"):
            assert command(armed, "unlink", directory).output == said.output


@newest
def test_a_linked_start_costs_no_more_than_an_armed_one(armed: Environment) -> None:
    linked = child(armed, "--without-pip")
    (linked.site_packages / LINK).write_text("# nothing but a comment\n")
    commented = of_a_start(linked)
    assert command(armed, "link", linked.prefix).returncode == 0
    share = of_a_start(linked) / commented - 1
    runs.note_figure(f"python -c pass in a linked environment: {share:+.2%}")
    assert share <= 0.02


@old_middle_new
def test_environments_are_linked_from_birth_where_that_is_wanted(armed: Environment) -> None:
    assert not is_linked(child(armed, "--without-pip"))
    assert not is_linked(child(armed, "--without-pip", PIP_RETRY_PATCH_VENVS="0"))
    code = "import venv; venv.create('made'); import os; print(os.listdir('made'))"
    cwd = armed.fresh_dir()
    armed.run_python("-c", code, env=BORN, cwd=cwd).assert_success()
    assert list((cwd / "made").glob(f"lib/*/site-packages/{LINK}"))
    linked = child(armed, **BORN)
    assert heals(linked)
    again = armed.run_python("-m", "venv", "--clear", linked.prefix, env=BORN)
    assert again[:3] == (0, "", "")
    assert is_linked(linked)


@newest
def test_what_venv_itself_upgrades_is_guarded(armed: Environment) -> None:
    wheel = supplies.pip_wheel(supplies.newest_pip())
    faults = [Cut(400_000), Reset(400_000)]
    with Lab([Package("pip", faults=faults, chunked=True, path=wheel)]) as lab:
        env = {**BORN, "PIP_INDEX_URL": lab.index_url}
        words = "venv", "--upgrade-deps", armed.fresh_dir() / "made"
        armed.run_python("-m", *words, env=env).assert_success()
        assert len(lab.requests("pip", "artifact")) == 3


@newest
def test_what_virtualenv_makes_is_linked_too(pip: str, python: str) -> None:
    base = environments.fresh_environment(pip, python, armed=True)
    base.run("install", "--quiet", "virtualenv", machine=True).assert_success()
    home = base.fresh_dir()
    for wanted in (True, False):
        prefix = base.fresh_dir() / "made"
        env: dict[str, Argument] = {"HOME": home, "PIP_RETRY_PATCH_VENVS": str(int(wanted))}
        base.run_python("-m", "virtualenv", "--no-download", prefix, env=env).assert_success()
        born = venv_of(prefix, base.launcher, python)
        assert is_linked(born) == heals(born) == wanted


@newest
def test_links_are_taken_back_together_and_found_by_others(armed: Environment) -> None:
    linked, state, elsewhere = child(armed), armed.fresh_dir(), armed.fresh_dir()
    assert command(armed, "unlink").returncode == 1
    assert command(armed, "unlink", "--all", linked.prefix).returncode == 1
    # Another user has not made it, but asks about the environment; by its directory, too.
    path = str(linked.site_packages / LINK)
    second = armed.fresh_dir() / "second name"
    second.symlink_to(linked.prefix)
    for there in (linked.prefix, second):
        assert command(armed, "link", there, XDG_STATE_HOME=state).returncode == 0
    for there, home in ((linked.prefix, elsewhere), (linked.python, elsewhere), (second, state)):
        asked = command(armed, "status", "--json", "--python", there, XDG_STATE_HOME=home)
        assert json.loads(asked.stdout)["links"] == [path]
    for printed in (f"Removed {path}\n", "There was no link; nothing was changed.\n"):
        taken = command(armed, "unlink", "--all", XDG_STATE_HOME=state)
        assert (taken.returncode, taken.stdout) == (0, printed)
    assert not is_linked(linked)
