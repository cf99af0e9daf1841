"""`status`, `purge`, `selftest`, `history` and every help, with real pips."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path
from typing import Any

import pytest

from pip_retry_patch.hooks.session import WRAPPED
from tests.support import environments, programs
from tests.support.commands import child, command
from tests.support.downloads import HASTY, SIZE, THIRD, Download, stopped_at
from tests.support.environments import Environment
from tests.support.hosts import closed_port
from tests.support.lab.faults import Cut, Reset
from tests.support.lab.packages import Package
from tests.support.lab.server import Lab
from tests.support.matrix import NEWEST, each_pair, newest, old_middle_new, pairs
from tests.support.programs import Argument

# Asks a pip that is not guarded which of these it has.
WHICH = """
import importlib, json, operator, sys
found = {}
for module, path in json.loads(sys.argv[1]):
    try:
        operator.attrgetter(path)(importlib.import_module("pip._internal." + module))
        found[path] = "in place"
    except (ImportError, AttributeError):
        found[path] = "this pip has none"
print(json.dumps(found))
"""


def hooks_of(environment: Environment) -> dict[str, str]:
    """Return what `status` has to say of each hook, by what this pip has without us."""
    wanted = json.dumps([(module, path) for module, path, _ in WRAPPED])
    asked = environment.run_python("-c", WHICH, wanted, env={"PIP_RETRY_PATCH": "0"})
    found: dict[str, str] = json.loads(asked.stdout)
    return found


@each_pair
def test_status_asks_a_pip_process(armed: Environment) -> None:
    config = armed.fresh_dir() / "pip.conf"
    config.write_text("[global]\nretry-patch-patience = 300\nretry-patch-attempts = many\n")
    env: dict[str, Argument] = {"PIP_CONFIG_FILE": config, "PIP_RETRY_PATCH_PARTIALS_SIZE": "3 MB"}
    said = command(armed, "status", "--json", **env)
    assert (said.returncode, said.stderr) == (0, "")
    found: dict[str, Any] = json.loads(said.stdout)
    assert found["guarded"] is True and found["tried"] == "healed"
    assert found["pip"] == armed.pip_version
    assert found["python"] == armed.python_version
    assert [Path(p).name for p in found["armed_by"]] == ["pip_retry_patch.pth"]
    assert found["wrapt"] and found["urllib3"]
    assert found["hooks"] == hooks_of(armed)
    assert found["settings"]["retry-patch-patience"]["value"] == 300
    origin = found["settings"]["retry-patch-patience"]["origin"]
    # Before 25.3 pip does not tell its files apart.
    assert origin in (
        f"[global] in {config}",
        "[global] in pip's configuration",
    )
    size = found["settings"]["retry-patch-partials-size"]
    assert size == {"value": 3_000_000, "origin": "PIP_RETRY_PATCH_PARTIALS_SIZE"}
    assert found["settings"]["retry-patch"] == {"value": True, "origin": "default"}
    (complaint,) = found["complaints"]
    assert "retry-patch-attempts" in complaint
    text = command(armed, "status", **env)
    assert text.returncode == 0
    assert text.stdout.startswith("pip-retry-patch 0.1.0 guards pip ")
    assert text.stdout.isascii()


@pairs(("20.3.4", "3.8"), ("24.0", "3.12"), ("25.3", "3.9"), (NEWEST, "3.13"))
def test_no_plain_pip_heals_what_status_tries(armed: Environment) -> None:
    off = command(armed, "status", "--json", PIP_RETRY_PATCH="0")
    found = json.loads(off.stdout)
    assert off.returncode == 1 and found["tried"] and "healed" not in found["tried"]


@newest
def test_status_tries_no_network_but_its_own(armed: Environment) -> None:
    """Whatever the user's settings name is left alone, and so is what is kept and written down."""
    folder = armed.fresh_dir()
    dead = f"http://127.0.0.1:{closed_port()}"
    (folder / "constraints.txt").write_text("pip-retry-patch-status==7\n")
    (folder / "pip.conf").write_text(
        f"[global]\nindex-url = {dead}/simple\nextra-index-url = {dead}/more\n"
        f"find-links = {dead}/links\nproxy = {dead}\nrequire-virtualenv = true\n"
        f"constraint = {folder}/constraints.txt\nretry-patch-log = {folder}/log\n"
        f"[download]\nno-binary = :all:\ndest = {folder}/dest\n"
    )
    said = command(armed, "status", PIP_CONFIG_FILE=folder / "pip.conf")
    assert said.returncode == 0, said.output
    assert sorted(path.name for path in folder.iterdir()) == ["constraints.txt", "pip.conf"]


@old_middle_new
def test_status_says_when_pip_is_not_guarded(armed: Environment) -> None:
    off = command(armed, "status", PIP_RETRY_PATCH="0")
    assert off.returncode == 1
    assert "does NOT guard" in off.stdout and "It is switched off." in off.stdout
    # What is in place may do nothing: pip was told not to retry.
    vain = command(armed, "status", "--json", PIP_RETRIES="0")
    found = json.loads(vain.stdout)
    assert vain.returncode == 1 and not found["guarded"] and found["tried"] != "healed"
    assert found["hooks"]["PipSession.request"] == "in place"
    bare = child(armed)
    other = command(armed, "status", "--python", bare.python)
    assert other.returncode == 1
    assert "not armed" in other.stderr and other.stderr.count("\n") == 1
    as_json = command(armed, "status", "--json", "--python", bare.python)
    assert as_json.returncode == 1
    assert json.loads(as_json.stdout)["guarded"] is False


@newest
def test_status_sees_what_is_missing_and_what_is_broken(pip: str, python: str) -> None:
    environment = environments.fresh_environment(pip, python, armed=True)
    for path in (environment.site_packages / "pip" / "_internal").rglob("*.py"):
        path.write_text(path.read_text().replace("check_against_path(", "check_file("))
    found = json.loads(command(environment, "status", "--json").stdout)
    assert found["guarded"]
    assert found["hooks"]["Hashes.check_against_path"] == "this pip has none"
    guard = environment.site_packages / "pip_retry_patch" / "fetch" / "exchange.py"
    guard.write_text("raise RuntimeError('broken')\n")
    said = command(environment, "status", "--json")
    assert said.returncode == 1
    found = json.loads(said.stdout)
    assert not found["guarded"] and "RuntimeError: broken" in found["reason"]


@newest
def test_a_broken_wrapt_is_not_called_missing(pip: str, python: str) -> None:
    environment = environments.fresh_environment(pip, python, armed=True)
    wrapt = environment.site_packages / "wrapt"
    for module in ("__wrapt__.py", "wrappers.py"):
        (wrapt / module).write_text("raise ImportError('half of it')\n")
    said = command(environment, "status")
    assert said.returncode == 1 and said.stderr.count("\n") == 1
    assert re.search(r"not guarded: wrapt \d[\w.]* is broken: .*half of it", said.stderr)
    shutil.rmtree(wrapt)
    assert "not guarded: wrapt is missing" in command(environment, "status").stderr


@old_middle_new
def test_purge_removes_what_is_kept_and_says_where(armed: Environment) -> None:
    store = armed.fresh_dir() / "store"
    env: dict[str, Argument] = {"PIP_NO_CACHE_DIR": "1", "PIP_RETRY_PATCH_PARTIALS": store}
    with Lab([Package("demo", SIZE, stopped_at(THIRD * 2))]) as lab:
        Download(armed, lab, env=env).assert_clear_error()
    (partial,) = store.glob("*/*.whl")
    kept = json.loads(command(armed, "status", "--json", **env).stdout)["kept"]
    size = partial.stat().st_size
    assert kept == {"directory": str(store), "trouble": "", "files": 1, "size": size}
    said = command(armed, "purge", **env)
    assert (said.returncode, said.stderr) == (0, "")
    assert said.stdout == f"Partial downloads removed: 1 (2.0 MB) from {store}\n"
    assert not list(store.iterdir())


@newest
def test_status_and_purge_give_the_one_reason_why_nothing_is_kept(armed: Environment) -> None:
    file = armed.fresh_dir() / "file"
    file.touch()
    named: dict[str, Argument] = {"PIP_RETRY_PATCH_PARTIALS": file}
    for env, why in (
        ({"PIP_NO_CACHE_DIR": "1"}, "pip has no cache directory that it may use here"),
        (named, f"{file} cannot be used: it is no directory that only this user can change"),
        (
            {"PIP_RETRY_PATCH_PARTIALS": "off", "PIP_NO_CACHE_DIR": "1"},
            "retry-patch-partials is off",
        ),
    ):
        shown = command(armed, "status", **env).stdout.split("partial downloads\n")[1]
        assert shown.startswith(f"  none are kept: {why}\n")
        said = command(armed, "purge", **env)
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


@old_middle_new
def test_verbose_pip_says_once_what_guards_it(armed: Environment) -> None:
    with Lab([Package("demo", 2000)]) as lab:
        done = Download(armed, lab, "-v")
        done.assert_right()
        line = f"pip-retry-patch 0.1.0 guards pip {armed.pip_version}"
        assert done.run.output.count(line) == 1
        assert line not in Download(armed, lab).run.output


@newest
def test_an_environment_without_pip_is_named_as_such(armed: Environment) -> None:
    without = child(armed, "--without-pip")
    for name in ("status", "purge", "history"):
        said = command(armed, name, "--python", without.prefix)
        assert said.returncode == 1
        assert "no pip in this environment" in said.stderr and said.stderr.count("\n") == 1


@newest
def test_the_page_about_json_has_every_key(armed: Environment) -> None:
    found = json.loads(command(armed, "status", "--json").stdout)
    page = (Path(__file__).parents[3] / "docs" / "status.md").read_text()
    assert found["schema"] == 1
    assert not [key for key in (*found, *found["kept"]) if f"`{key}`" not in page]


# selftest


@pytest.mark.parametrize("compare", [False, True], ids=["alone", "compare"])
@old_middle_new
def test_selftest_passes_and_tells_what_it_saw(compare: bool, armed: Environment) -> None:
    said = command(armed, "selftest", *(["--compare"] if compare else []))
    assert (said.returncode, said.stderr) == (0, ""), said.output
    rows = [line for line in said.stdout.splitlines() if "healed " in line]
    assert len(rows) == 10
    assert said.stdout.rstrip().endswith(
        "All 10 faults were healed; every file is what the index has."
    )
    if compare:
        assert "plain pip" in said.stdout
        assert sum(word in said.stdout for word in ("traceback", "blames hash", "gives up"))


@newest
def test_selftest_of_a_linked_environment(armed: Environment) -> None:
    linked = child(armed, PIP_RETRY_PATCH_VENVS="1")
    said = command(armed, "selftest", "--python", linked.python)
    assert said.returncode == 0, said.output


@pairs((NEWEST, "3.15"))
def test_selftest_needs_neither_root_nor_a_place_to_write(armed: Environment) -> None:
    """As `RUN pip-retry-patch selftest` for a user of a container, whose files are read-only."""
    scratch = armed.fresh_dir()
    scratch.chmod(0o1777)
    nobody = "setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"
    selftest = armed.python, "-I", "-m", "pip_retry_patch", "selftest"
    env: dict[str, Argument] = {"TMPDIR": scratch, "HOME": "/nonexistent"}
    started = programs.launch([*armed.launcher, *nobody, *selftest], env, scratch)
    done = programs.finish(started, 120)
    assert (done.returncode, done.stderr) == (0, ""), done.stdout
    assert not list(scratch.iterdir())


# `retry-patch-log` and `history`


def cut() -> Package:
    return Package("demo", SIZE, [Cut(THIRD), Reset(THIRD)])


@old_middle_new
def test_what_was_interrupted_is_written_down_and_summed_up(
    pip: str, armed: Environment, bare: Environment
) -> None:
    log = armed.fresh_dir() / "log.jsonl"
    env: dict[str, Argument] = {"PIP_RETRY_PATCH_LOG": log}
    with Lab([cut()]) as lab:
        plain = Download(bare, lab, env=env)
        assert not log.exists()
    if pip in ("20.3.4", "24.0"):
        assert not plain.is_right, "plain pip does not get through"
    with Lab([Package("demo", SIZE)]) as lab:
        Download(armed, lab, env=env).assert_right()
    assert not log.exists(), "nothing was interrupted"
    with Lab([cut()]) as lab:
        Download(armed, lab, env=env).assert_right()
    lines = [json.loads(line) for line in log.read_text().splitlines()]
    assert [line["kind"] for line in lines] == ["interruption", "interruption", "end"]
    assert lines[0]["pip"] == armed.pip_version
    assert lines[0]["file"] == "demo-1.0-py3-none-any.whl"
    assert lines[-1]["outcome"] == "finished" and lines[-1]["offset"] == lines[-1]["total"]
    with Lab([Package("demo", SIZE, stopped_at(THIRD))]) as lab:
        Download(armed, lab, env=env).assert_clear_error()
    with Lab([Package("demo", SIZE, page_faults=[Cut(40)] * 2)]) as lab:
        Download(armed, lab, env=env).assert_right()
    with Lab([Package("demo", SIZE, page_faults=[Cut(40)] * 99)]) as lab:
        assert Download(armed, lab, env={**env, **HASTY}).run.returncode == 1
    said = command(armed, "history", "--json", "--since", "7d", **env)
    assert (said.returncode, said.stderr) == (0, "")
    found: dict[str, Any] = json.loads(said.stdout)
    assert (found["downloads"], found["finished"], found["failed"]) == (4, 2, 2)
    assert found["interruptions"] >= 3 + 2 + 2 and found["not_fetched_twice"] > 2 * THIRD
    text = command(armed, "history", **env)
    assert text.returncode == 0 and "connection reset by peer" in text.stdout
    unset = command(armed, "history")
    assert unset.returncode == 1 and "retry-patch-log" in unset.stderr


@pairs((NEWEST, "3.13"))
def test_the_journal_goes_to_stderr_and_can_then_not_be_read(armed: Environment) -> None:
    env: dict[str, Argument] = {"PIP_RETRY_PATCH_LOG": "/dev/stderr"}
    with Lab([cut()]) as lab:
        done = Download(armed, lab, env=env)
        done.assert_right()
    kinds = [json.loads(line)["kind"] for line in done.run.stderr.splitlines() if line[:1] == "{"]
    assert kinds == ["interruption", "interruption", "end"]
    said = command(armed, "history", **env)
    assert said.returncode == 1 and "/dev/stderr is no file" in said.stderr


@old_middle_new
def test_a_journal_that_cannot_be_written_is_one_warning(armed: Environment) -> None:
    env: dict[str, Argument] = {"PIP_RETRY_PATCH_LOG": armed.fresh_dir()}
    with Lab([cut()]) as lab:
        done = Download(armed, lab, env=env)
        done.assert_right()
        assert len(done.run.warnings("retry-patch-log")) == 1
        assert len(done.warnings) == 2


@old_middle_new
def test_without_the_setting_nothing_of_it_is_loaded(armed: Environment) -> None:
    show = (
        "import sys; from pip._internal.network.session import PipSession; PipSession();"
        "print([n for n in ('pip_retry_patch.store.journal', 'difflib') if n in sys.modules])"
    )
    assert armed.run_python("-c", show).stdout.strip() in ("[]", "['difflib']")
    log: dict[str, Argument] = {"PIP_RETRY_PATCH_LOG": armed.fresh_dir() / "log"}
    assert "journal" in armed.run_python("-c", show, env=log).stdout
