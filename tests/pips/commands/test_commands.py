"""`status`, `purge`, `selftest`, `history` and every help, with real pips."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path
from typing import Any

import pytest

from tests.support import environments
from tests.support.commands import child, command
from tests.support.directories import CHECKOUT
from tests.support.downloads import HASTY, SIZE, THIRD, downloaded, stopped_at
from tests.support.environments import Environment
from tests.support.hosts import closed_port
from tests.support.lab.faults import Cut, Reset
from tests.support.lab.packages import Package
from tests.support.matrix import each_pair, newest, old_middle_new
from tests.support.programs import Argument

NO_STORE = "it is no directory that only this user can change"


def status(environment: Environment, *options: Argument, **env: Argument) -> dict[str, Any]:
    said = command(environment, "status", "--json", *options, **env)
    found: dict[str, Any] = json.loads(said.stdout)
    assert said.stderr == "" and (said.returncode == 0) == found["guarded"]
    return found


@each_pair
def test_status_asks_a_pip_process(armed: Environment) -> None:
    config = armed.fresh_dir() / "pip.conf"
    config.write_text("[global]\nretry-patch-patience = 300\nretry-patch-attempts = many\n")
    env: dict[str, Argument] = {"PIP_CONFIG_FILE": config, "PIP_RETRY_PATCH_PARTIALS_SIZE": "3 MB"}
    found = status(armed, **env)
    assert found["guarded"] is True and found["tried"] == "healed" and found["schema"] == 1
    assert (found["pip"], found["python"]) == (armed.pip_version, armed.python_version)
    assert [Path(p).name for p in found["armed_by"]] == ["pip_retry_patch.pth"]
    assert found["wrapt"] and found["urllib3"]
    assert found["hooks"]["PipSession.request"] == "in place"
    assert set(found["hooks"].values()) <= {"in place", "this pip has none"}
    patience, size = (found["settings"][f"retry-patch-{n}"] for n in ("patience", "partials-size"))
    assert patience["value"] == 300
    # Before 25.3 pip does not tell its files apart.
    assert patience["origin"] in (f"[global] in {config}", "[global] in pip's configuration")
    assert size == {"value": 3_000_000, "origin": "PIP_RETRY_PATCH_PARTIALS_SIZE"}
    (complaint,) = found["complaints"]
    assert "retry-patch-attempts" in complaint
    page = (CHECKOUT / "docs" / "status.md").read_text(encoding="utf-8")
    assert not [key for key in (*found, *found["kept"]) if f"`{key}`" not in page]
    text = command(armed, "status", **env)
    assert text.returncode == 0 and text.stdout.isascii()
    assert text.stdout.startswith("pip-retry-patch 0.1.0 guards pip ")


@newest
def test_status_tries_no_network_but_its_own(armed: Environment) -> None:
    """Whatever the user's settings name is left alone, and so is what is kept and written down."""
    folder = armed.fresh_dir()
    dead = f"http://127.0.0.1:{closed_port()}"
    (folder / "constraints.txt").write_text("selftest==7\n")
    (folder / "pip.conf").write_text(
        f"[global]\nindex-url = {dead}/simple\nextra-index-url = {dead}/more\n"
        f"find-links = {dead}/links\nproxy = {dead}\nrequire-virtualenv = true\n"
        f"constraint = {folder}/constraints.txt\nretry-patch-log = {folder}/log\n"
        f"[download]\nno-binary = :all:\ndest = {folder}/dest\nuse-feature = fast-deps\n"
    )
    assert status(armed, PIP_CONFIG_FILE=folder / "pip.conf")["guarded"]
    assert sorted(path.name for path in folder.iterdir()) == ["constraints.txt", "pip.conf"]


@old_middle_new
def test_status_says_when_pip_is_not_guarded(armed: Environment) -> None:
    off = command(armed, "status", PIP_RETRY_PATCH="0")
    assert off.returncode == 1
    assert "does NOT guard" in off.stdout and "It is switched off." in off.stdout
    # What is in place may do nothing: pip was told not to retry.
    for env in ({"PIP_RETRY_PATCH": "0"}, {"PIP_RETRIES": "0"}):
        found = status(armed, **env)
        assert not found["guarded"] and found["tried"] and "healed" not in found["tried"]
    assert found["hooks"]["PipSession.request"] == "in place"
    bare = child(armed)
    other = command(armed, "status", "--python", bare.python)
    assert other.returncode == 1
    assert "No module named 'pip_retry_patch'" in other.stderr and other.stderr.count("\n") == 1
    assert not status(armed, "--python", bare.python)["guarded"]


@newest
def test_status_sees_what_is_missing_and_what_is_broken(pip: str, python: str) -> None:
    environment = environments.fresh_environment(pip, python, armed=True)
    package = environment.site_packages / "pip_retry_patch"
    version = (package / "__init__.py").read_text().replace('"0.1.0"', '"0.0.10"')
    (package / "__init__.py").write_text(version)
    found = status(
        environments.environment(pip, python, armed=True), "--python", environment.prefix
    )
    assert found["version"] == "0.0.10"
    for path in (environment.site_packages / "pip" / "_internal").rglob("*.py"):
        path.write_text(path.read_text().replace("check_against_path(", "check_file("))
    found = status(environment)
    assert found["guarded"]
    assert found["hooks"]["Hashes.check_against_path"] == "this pip has none"
    guard = package / "fetch" / "exchange.py"
    whole = guard.read_text()
    guard.write_text("raise RuntimeError('broken')\n")
    assert "RuntimeError: broken" in status(environment)["reason"]
    guard.write_text(whole)
    wrapt = environment.site_packages / "wrapt"
    for extension in wrapt.glob("_wrappers.*"):
        extension.unlink()
    (wrapt / "wrappers.py").write_text("raise ImportError('half of it')\n")
    reason = status(environment)["reason"]
    assert re.search(r"wrapt \d[\w.]* is broken: .*half of it.*; try: .* -m pip install", reason), (
        reason
    )
    shutil.rmtree(wrapt)
    assert "wrapt is missing; try: " in status(environment)["reason"]


@old_middle_new
def test_purge_removes_what_is_kept_and_says_where(armed: Environment) -> None:
    store = armed.fresh_dir() / "store"
    env: dict[str, Argument] = {"PIP_NO_CACHE_DIR": "1", "PIP_RETRY_PATCH_PARTIALS": store}
    downloaded(armed, Package("demo", SIZE, stopped_at(THIRD * 2)), env=env).assert_clear_error()
    (partial,) = store.glob("*/*.whl")
    kept = {"directory": str(store), "trouble": "", "files": 1, "size": partial.stat().st_size}
    assert status(armed, **env)["kept"] == kept
    text = command(armed, "status", **env).stdout
    assert f"  kept      files: 1; 2.0 MB, in {store}\n" in text
    said = command(armed, "purge", **env)
    assert (said.returncode, said.stderr) == (0, "")
    assert said.stdout == f"Partial downloads removed: 1 (2.0 MB) from {store}\n"
    assert not list(store.iterdir())
    for why, more in (
        ("pip has no cache directory that it may use here", {"PIP_RETRY_PATCH_PARTIALS": ""}),
        ("retry-patch-partials is off", {"PIP_RETRY_PATCH_PARTIALS": "off"}),
        (f"{__file__} cannot be used: {NO_STORE}", {"PIP_RETRY_PATCH_PARTIALS": __file__}),
    ):
        assert status(armed, **{**env, **more})["kept"]["trouble"] == why
        said = command(armed, "purge", **{**env, **more})
        assert (said.returncode, said.stdout) == (0, f"Nothing is kept here: {why}\n")


@newest
def test_every_help_reads_well(armed: Environment) -> None:
    for name in ("status", "selftest", "history", "link", "unlink", "purge"):
        said = command(armed, name, "--help")
        assert (said.returncode, said.stderr) == (0, "")
        assert said.stdout.startswith(f"usage: pip-retry-patch {name} ")
        module = armed.run_python("-m", "pip_retry_patch", name, "--help")
        assert module.stdout == said.stdout
        assert max(map(len, said.stdout.splitlines())) <= 80


@newest
def test_an_environment_without_pip_is_named_as_such(armed: Environment) -> None:
    without = child(armed, "--without-pip")
    for name in ("status", "purge", "history", "selftest"):
        said = command(armed, name, "--python", without.prefix)
        assert (said.returncode, said.stdout) == (1, "")
        assert "No module named 'pip'" in said.stderr and said.stderr.count("\n") == 1


@pytest.mark.parametrize("how", ["alone", "compare", "linked"])
@old_middle_new
def test_selftest_passes_and_tells_what_it_saw(how: str, armed: Environment) -> None:
    options: dict[str, list[Argument]] = {"alone": [], "compare": ["--compare"]}
    if how == "linked":
        options[how] = ["--python", child(armed, PIP_RETRY_PATCH_VENVS="1").python]
    said = command(armed, "selftest", *options[how], PIP_EXTRA_INDEX_URL="http://nobody.example/")
    assert (said.returncode, said.stderr) == (0, ""), said.output
    rows = [line for line in said.stdout.splitlines() if "healed " in line]
    assert len(rows) == 8 and all(" 1.00 x" in row or "no range" in row for row in rows)
    end = "All 8 faults were healed; every file is what the index has."
    assert said.stdout.rstrip().endswith(end)
    if how == "compare":
        assert "plain pip" in said.stdout
        assert sum(word in said.stdout for word in ("traceback", "blames hash", "gives up"))


@old_middle_new
def test_what_was_interrupted_is_written_down_and_summed_up(
    armed: Environment, bare: Environment
) -> None:
    log = armed.fresh_dir() / "log.jsonl"
    env: dict[str, Argument] = {"PIP_RETRY_PATCH_LOG": log}
    cut = Package("demo", SIZE, [Cut(THIRD), Reset(THIRD)])
    downloaded(bare, cut, env=env)
    downloaded(armed, Package("demo", SIZE), env=env).assert_right()
    assert not log.exists(), "nothing was interrupted"
    downloaded(armed, cut, env=env).assert_right()
    lines = [json.loads(line) for line in log.read_text().splitlines()]
    assert [line["kind"] for line in lines] == ["interruption", "interruption", "end"]
    assert lines[0]["pip"] == armed.pip_version
    assert lines[0]["file"] == "demo-1.0-py3-none-any.whl"
    assert lines[-1]["outcome"] == "finished" and lines[-1]["offset"] == lines[-1]["total"]
    downloaded(armed, Package("demo", SIZE, stopped_at(THIRD)), env=env).assert_clear_error()
    downloaded(armed, Package("demo", page_faults=[Cut(40)] * 2), env=env).assert_right()
    lost = downloaded(armed, Package("demo", page_forever=Cut(40)), env={**env, **HASTY})
    assert lost.run.returncode == 1
    said = command(armed, "history", "--json", "--since", "7d", **env)
    assert (said.returncode, said.stderr) == (0, "")
    found: dict[str, Any] = json.loads(said.stdout)
    assert (found["downloads"], found["finished"], found["failed"]) == (4, 2, 2)
    assert found["interruptions"] >= 3 + 2 + 2 and found["not_fetched_twice"] > 2 * THIRD
    text = command(armed, "history", **env)
    assert text.returncode == 0 and "connection reset by peer" in text.stdout
    unset = command(armed, "history")
    assert unset.returncode == 1 and "retry-patch-log" in unset.stderr
    # What cannot be written is one warning.
    done = downloaded(armed, cut, env={"PIP_RETRY_PATCH_LOG": log.parent}).assert_right()
    assert len(done.run.warnings("retry-patch-log")) == 1 and len(done.warnings) == 2


@newest
def test_the_journal_goes_to_stderr_and_can_then_not_be_read(armed: Environment) -> None:
    env: dict[str, Argument] = {"PIP_RETRY_PATCH_LOG": "/dev/stderr"}
    done = downloaded(armed, Package("demo", SIZE, [Cut(THIRD)]), env=env)
    kinds = [json.loads(line)["kind"] for line in done.run.stderr.splitlines() if line[:1] == "{"]
    assert kinds == ["interruption", "end"]
    said = command(armed, "history", **env)
    assert said.returncode == 1 and "/dev/stderr is no file" in said.stderr
