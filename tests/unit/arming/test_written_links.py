"""Links that are written down, and environments that are linked from birth."""

from __future__ import annotations

import json
import sysconfig
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from pip_retry_patch.arming import links

# What is written down


@pytest.fixture
def state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    return tmp_path / "state" / "pip-retry-patch" / "links"


def test_links_are_written_down_once_while_they_are_there(state: Path, tmp_path: Path) -> None:
    assert links.recorded() == []
    made = []
    for name in ("b", "a"):
        (tmp_path / name).mkdir()
        made.append(links.link(tmp_path / name))
        assert made[-1] == tmp_path / name / links.NAME
        links.record(made[-1])
    links.record(made[0])
    assert state.read_text().splitlines() == sorted(map(str, made))
    assert links.recorded() == sorted(made)
    made[0].write_text(links.line("/another/base"))
    assert links.recorded() == [made[1]], "it leads elsewhere now"
    made[1].unlink()
    links.record(made[0])
    assert state.read_text().splitlines() == [str(made[0])], "what is gone is not kept"


def test_what_cannot_be_written_down_is_only_missing(
    state: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    victim = tmp_path / "victim"
    victim.write_text("as it was")
    state.parent.mkdir(parents=True)
    state.symlink_to(victim)
    links.record(tmp_path / "x")
    assert victim.read_text() == "as it was"
    state.unlink()
    state.write_bytes(b"\xff\xfe")
    assert links.recorded() == [], "a file of another program"
    state.unlink()
    state.parent.rmdir()
    (tmp_path / "elsewhere").mkdir()
    state.parent.symlink_to(tmp_path / "elsewhere")
    links.record(tmp_path / "x")
    assert not list((tmp_path / "elsewhere").iterdir())


def test_root_writes_nothing_into_the_home_of_another(
    state: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[Path] = []

    class Status:
        st_uid = 1000

    def stat(self: Path, **_: object) -> Status:
        asked.append(self)
        return Status()

    monkeypatch.setattr("os.geteuid", lambda: 0, raising=False)
    monkeypatch.setattr(Path, "exists", lambda self: self == tmp_path)
    monkeypatch.setattr(Path, "stat", stat)
    with pytest.raises(OSError, match="another user"):
        links._check_owner(state.parent)
    assert asked == [tmp_path], "the nearest directory that is there"
    monkeypatch.setattr("os.geteuid", lambda: 1000)
    links._check_owner(state.parent)
    monkeypatch.setattr("os.geteuid", lambda: 0)
    Status.st_uid = 0
    links._check_owner(state.parent)


# Environments that are linked from birth


@pytest.mark.parametrize("named", [True, False])
def test_an_environment_is_linked_when_it_was_made(
    named: bool, state: Path, tmp_path: Path
) -> None:
    directory = tmp_path / "env"
    packages: list[Path] = []

    class EnvBuilder:
        def create(self, env_dir: str) -> str:
            places = {"base": str(env_dir), "platbase": str(env_dir)}
            scheme = "venv" if "venv" in sysconfig.get_scheme_names() else None
            found = sysconfig.get_path("purelib", scheme or sysconfig.get_default_scheme(), places)
            packages.append(Path(found))
            packages[0].mkdir(parents=True)
            return "made"

    module = SimpleNamespace(EnvBuilder=EnvBuilder)
    links.watch_venv(module)
    given = {"env_dir": str(directory)}
    create: Any = module.EnvBuilder().create
    assert (create(**given) if named else create(*given.values())) == "made"
    assert links.recorded() == [packages[0] / links.NAME]
    assert links.unlink(directory) == [packages[0] / links.NAME]


def test_what_virtualenv_makes_is_linked_as_well(
    state: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[str] = []

    def packages(directory: str) -> Path:
        asked.append(directory)
        return tmp_path

    monkeypatch.setattr(links, "_new_site_packages", packages)

    class Session:
        creator = SimpleNamespace(dest=tmp_path / "env")

        def run(self) -> int:
            return 5

    module = SimpleNamespace(Session=Session)
    links.watch_virtualenv(module)
    assert module.Session().run() == 5
    assert asked == [str(tmp_path / "env")] and links.recorded() == [tmp_path / links.NAME]


def test_an_environment_that_cannot_be_linked_is_made_all_the_same(
    state: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(links, "_new_site_packages", lambda directory: 1 / 0)
    module = SimpleNamespace(EnvBuilder=type("EnvBuilder", (), {"create": lambda self, at: at}))
    links.watch_venv(module)
    assert module.EnvBuilder().create("at") == "at"


def test_an_environments_own_python_says_where_its_packages_are(tmp_path: Path) -> None:
    def answering(*answer: Any) -> Path:
        python = tmp_path / "bin" / "python"
        python.parent.mkdir(exist_ok=True)
        python.write_text(f"#!/bin/sh\n[ \"$1 $2\" = '-I -c' ] && echo '{json.dumps(answer)}'\n")
        python.chmod(0o755)
        return tmp_path

    assert links.site_packages(answering("/env", "/usr", "/env/lib")) == Path("/env/lib")
    with pytest.raises(links.LinkError, match="a Python itself, no virtual environment"):
        links.site_packages(answering("/usr", "/usr", "/usr/lib"))
    with pytest.raises(links.LinkError, match="does not start well"):
        links.site_packages(answering("/env"))
    (tmp_path / "bin" / "python").chmod(0)
    (tmp_path / "bin" / "python").write_text("")
    with pytest.raises(links.LinkError, match="does not start well"):
        links.site_packages(tmp_path)
