"""Links that are written down, and environments that are linked from birth."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

import pip_retry_patch
from pip_retry_patch.commands import links
from pip_retry_patch.store import writer

# What is written down


@pytest.fixture
def state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    return tmp_path / "state" / "pip-retry-patch" / "links"


def linked(path: Path) -> Path:
    path.mkdir(parents=True, exist_ok=True)
    return links.write(path)


def test_links_are_written_down_once_while_they_are_there(state: Path, tmp_path: Path) -> None:
    assert links.recorded() == []
    made = [linked(tmp_path / name) for name in ("b", "a", "b")]
    assert made[0] == tmp_path / "b" / links.NAME
    assert state.read_text().splitlines() == sorted({str(path) for path in made})
    assert links.recorded() == sorted(set(made))
    made[0].write_text(links.line("/another/base"))
    assert links.recorded() == [made[1]], "it leads elsewhere now"
    made[1].unlink()
    linked(tmp_path / "b")
    assert state.read_text().splitlines() == [str(made[0])], "what is gone is not kept"


def test_environments_that_are_linked_at_once_are_all_written_down(
    state: Path, tmp_path: Path
) -> None:
    code = "import sys, pathlib; from pip_retry_patch.commands import links\n"
    code += "sys.stdin.readline(); links.write(pathlib.Path(sys.argv[1]))"
    root = str(Path(pip_retry_patch.__file__).parents[1])
    running = []
    for number in range(40):
        (tmp_path / str(number)).mkdir()
        command = [sys.executable, "-c", code, str(tmp_path / str(number))]
        env = {**os.environ, "PYTHONPATH": root}
        running.append(subprocess.Popen(command, stdin=subprocess.PIPE, env=env))
    for process in running:
        process.communicate(b"go\n")
    assert len(links.recorded()) == 40


def test_what_cannot_be_written_down_is_only_missing(state: Path, tmp_path: Path) -> None:
    victim = tmp_path / "victim"
    victim.write_text("as it was")
    state.parent.mkdir(parents=True)
    state.symlink_to(victim)
    assert linked(tmp_path / "x").exists()
    assert victim.read_text() == "as it was"
    state.unlink()
    state.write_bytes(b"\xff\xfe")
    assert links.recorded() == [], "a file of another program"
    state.unlink()
    (state.parent / "links.lock").unlink()
    state.parent.rmdir()
    (tmp_path / "elsewhere").mkdir()
    state.parent.symlink_to(tmp_path / "elsewhere")
    assert linked(tmp_path / "x").exists()
    assert not list((tmp_path / "elsewhere").iterdir())


def test_a_link_is_written_over_no_link_of_somebody_else(state: Path, tmp_path: Path) -> None:
    victim, planted = tmp_path / "victim", tmp_path / links.NAME
    victim.write_text("precious")
    planted.symlink_to(victim)
    with pytest.raises(OSError, match="not a plain file"):
        links.write(tmp_path)
    assert planted.is_symlink() and victim.read_text() == "precious" and not state.exists()


def test_root_writes_nothing_into_the_home_of_another(
    state: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 0, raising=False)
    stat, owner = os.stat, [1000]
    monkeypatch.setattr(
        os, "stat", lambda path, **how: os.stat_result([*stat(path, **how)[:4], *owner, *[0] * 5])
    )
    with pytest.raises(OSError, match="another user"):
        writer.check_directory(str(state.parent))
    owner[0] = 0
    writer.check_directory(str(state.parent))


# Environments that are linked from birth


@pytest.fixture
def made(tmp_path: Path) -> Path:
    """A new environment."""
    packages = tmp_path / "env" / "lib" / "python3.12" / "site-packages"
    packages.mkdir(parents=True)
    (tmp_path / "env" / "pyvenv.cfg").touch()
    return packages


@pytest.mark.parametrize("named", [True, False])
def test_an_environment_is_linked_before_pip_runs_in_it(
    named: bool, state: Path, tmp_path: Path, made: Path
) -> None:
    setup_python = {"setup_python": lambda self, context: "made"}
    module = SimpleNamespace(EnvBuilder=type("EnvBuilder", (), setup_python))
    links.watch_venv(module)
    context = SimpleNamespace(env_dir=str(tmp_path / "env"))
    setup: Any = module.EnvBuilder().setup_python
    assert (setup(context=context) if named else setup(context)) == "made"
    assert links.recorded() == [made / links.NAME]


def test_what_virtualenv_makes_is_linked_as_well(state: Path, tmp_path: Path, made: Path) -> None:
    class Session:
        creator = SimpleNamespace(dest=tmp_path / "env")

        def run(self) -> int:
            return 5

    module = SimpleNamespace(Session=Session)
    links.watch_virtualenv(module)
    assert module.Session().run() == 5
    assert links.recorded() == [made / links.NAME]


def test_an_environment_that_cannot_be_linked_is_made_all_the_same(state: Path) -> None:
    setup = {"setup_python": lambda self, context: context.env_dir}
    module = SimpleNamespace(EnvBuilder=type("EnvBuilder", (), setup))
    links.watch_venv(module)
    assert module.EnvBuilder().setup_python(SimpleNamespace(env_dir="/missing")) == "/missing"
