"""Our settings, and pip's own options, with real pips."""

from __future__ import annotations

from tests.support import programs
from tests.support.downloads import SIZE, THIRD, Download, stopped_at
from tests.support.environments import Environment
from tests.support.lab.faults import Cut
from tests.support.lab.packages import Package
from tests.support.lab.server import Lab
from tests.support.matrix import each_pair, old_middle_new


@old_middle_new
def test_switched_off_nothing_is_wrapped(armed: Environment) -> None:
    show = (
        "import sys; from pip._internal.network.session import PipSession; PipSession();"
        "wrapped = type(vars(PipSession)['request']).__name__;"
        "print(wrapped, 'pip_retry_patch.hooks.session' in sys.modules)"
    )
    assert armed.run_python("-c", show).stdout.split() == ["FunctionWrapper", "True"]
    off = armed.run_python("-c", show, env={"PIP_RETRY_PATCH": "0"})
    assert off.stdout.split()[0] == "function"
    config = armed.fresh_dir() / "pip.conf"
    config.write_text("[global]\nretry-patch = off\n")
    off = armed.run_python("-c", show, env={"PIP_CONFIG_FILE": config})
    assert off.stdout.split()[0] == "function"


@old_middle_new
def test_settings_come_from_pips_configuration_and_isolated_ignores_the_environment(
    armed: Environment,
) -> None:
    config = armed.fresh_dir() / "pip.conf"
    changed = armed.run(
        "config", "set", "global.retry-patch-attempts", "1", env={"PIP_CONFIG_FILE": config}
    )
    # (older pips do not write to PIP_CONFIG_FILE)
    if changed.returncode or not config.exists():
        config.write_text("[global]\nretry-patch-attempts = 1\n")

    def requests(*options: str, **env: programs.Argument) -> int:
        with Lab([Package("demo", SIZE, [Cut(THIRD)], forever=Cut(10))]) as lab:
            done = Download(armed, lab, *options, env=env)
            done.assert_clear_error()
            return len(lab.requests("demo", "artifact"))

    assert requests(PIP_CONFIG_FILE=config) == 2
    assert requests(PIP_CONFIG_FILE=config, PIP_RETRY_PATCH_ATTEMPTS="3") == 4
    isolated = requests("--isolated", PIP_CONFIG_FILE=config, PIP_RETRY_PATCH_ATTEMPTS="3")
    assert isolated == 2


@old_middle_new
def test_what_is_set_wrong_is_one_line_each_and_the_download_goes_on(
    armed: Environment, bare: Environment
) -> None:
    file = armed.fresh_dir() / "file"
    file.touch()
    env: dict[str, programs.Argument] = {
        "PIP_RETRY_PATCH": "maybe",
        "PIP_RETRY_PATCH_PATIENCE": "soon",
        "PIP_RETRY_PATCH_PATIANCE": "5",
        "PIP_RETRY_PATCH_PARTIALS": file,
    }
    with Lab([Package("demo", SIZE)]) as lab:
        done, plain = (Download(pip, lab, env=env) for pip in (armed, bare))
        done.assert_right()
        told = done.run.warnings("retry-patch")
        assert len(told) == len(done.run.stderr.splitlines()) == 4, done.run.stderr
        for words in (
            "Did you mean retry-patch-patience?",
            *("retry-patch-partials = ", "only this user can change"),
        ):
            assert len([line for line in told if words in line]) == 1, told
        plain.assert_right()
        assert not plain.run.warnings("retry-patch")
    quiet = armed.run("list", env=env)
    assert quiet.returncode == 0 and "retry-patch:" not in quiet.output


@old_middle_new
def test_quiet_and_log_mean_what_they_meant(armed: Environment) -> None:
    log = armed.fresh_dir() / "pip.log"
    with Lab([Package("demo", SIZE, [Cut(THIRD)])]) as lab:
        done = Download(armed, lab, "-qq")
        done.assert_right()
        assert done.run.output == ""
    with Lab([Package("demo", SIZE, stopped_at(THIRD))]) as lab:
        done = Download(armed, lab, "-q")
        done.assert_clear_error()
        assert done.run.stdout == ""
    with Lab([Package("demo", SIZE, [Cut(THIRD), *stopped_at(THIRD)])]) as lab:
        done = Download(armed, lab, "--log", log)
        done.assert_clear_error()
        assert "demo-1.0 resumed at 1000 kB of 3.0 MB (closed early)" in log.read_text()
        assert "the server answered 404" in log.read_text()


@each_pair
def test_a_clean_download_is_silent_and_one_request(armed: Environment, bare: Environment) -> None:
    said = []
    for factory in (armed, bare):
        with Lab([Package("demo", 2000)]) as lab:
            done = Download(factory, lab)
            done.assert_right()
            assert [r.kind for r in lab.log] == ["page", "artifact"]
            text = done.run.output.replace(lab.url, "URL").replace(str(done.file.parent), "DIR")
            said.append([line for line in text.splitlines() if "Saved" not in line])
    assert said[0] == said[1]
