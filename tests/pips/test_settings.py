"""Our settings, and pip's own options, with real pips."""

from __future__ import annotations

from tests.support import programs
from tests.support.downloads import SIZE, THIRD, downloaded, stopped_at
from tests.support.environments import Environment
from tests.support.lab.faults import Cut
from tests.support.lab.packages import Package
from tests.support.matrix import each_pair, old_middle_new


@old_middle_new
def test_settings_come_from_pips_configuration_and_isolated_ignores_the_environment(
    armed: Environment,
) -> None:
    config = armed.fresh_dir() / "pip.conf"
    config.write_text("[global]\nretry-patch-attempts = 1\n")

    def requests(*options: str, **env: programs.Argument) -> int:
        package = Package("demo", SIZE, [Cut(THIRD)], forever=Cut(10))
        done = downloaded(armed, package, *options, env={"PIP_CONFIG_FILE": config, **env})
        done.assert_clear_error()
        return len(done.lab.requests("demo", "artifact"))

    assert requests() == 2
    assert requests(PIP_RETRY_PATCH_ATTEMPTS="3") == 4
    assert requests("--isolated", PIP_RETRY_PATCH_ATTEMPTS="3") == 2


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
    done, plain = (downloaded(pip, Package("demo", SIZE), env=env) for pip in (armed, bare))
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
def test_quiet_means_what_it_meant(armed: Environment) -> None:
    done = downloaded(armed, Package("demo", SIZE, [Cut(THIRD)]), "-qq").assert_right()
    assert done.run.output == ""
    failed = downloaded(armed, Package("demo", SIZE, stopped_at(THIRD)), "-q").assert_clear_error()
    assert failed.run.stdout == ""


@each_pair
def test_a_clean_download_is_silent_and_one_request(armed: Environment, bare: Environment) -> None:
    said = []
    for environment in (armed, bare):
        done = downloaded(environment, Package("demo", 2000)).assert_right()
        assert [request.kind for request in done.lab.log] == ["page", "artifact"]
        text = done.run.output.replace(done.lab.url, "URL").replace(str(done.file.parent), "DIR")
        said.append([line for line in text.splitlines() if "Saved" not in line])
    assert said[0] == said[1]
