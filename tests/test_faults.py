"""Real pips against the unreliable index: each fault of the network, healed or clearly refused.

`EXPECTED` says what pip does without us; that is run, too, because a fault that plain pip does not
notice would prove nothing.
"""

from __future__ import annotations

import os
import signal
import ssl
import time
from pathlib import Path
from typing import Callable, NamedTuple, Sequence

import pytest
import trustme

from pip_retry_patch.lab.faults import (
    Away,
    Busy,
    Cut,
    Elsewhere,
    Garble,
    OtherETag,
    OtherTotal,
    Reset,
    Stall,
    Unlabelled,
    Unsatisfiable,
    Whole,
)
from pip_retry_patch.lab.packages import Package
from pip_retry_patch.lab.server import Lab
from pip_retry_patch.lab.stages import Fault
from tests import environments
from tests.conftest import Certificates, Factory
from tests.environments import NEWEST, Environment, Outcome, each_pair, pairs

SIZE = 3_000_000
THIRD = 1_000_000

# What ends a plain pip. GAVE_UP is the end of the resumes that pip makes since 25.1.
OK, HASH, TRACEBACK, GAVE_UP, NO_MATCH = "ok", "hash", "traceback", "gave up", "no match"
REFUSED = "http error"


def outcome_of(run: Outcome) -> str:
    """Name the end that a run of plain pip came to."""
    if "Traceback (most recent call last)" in run.output:
        return TRACEBACK
    if "DO NOT MATCH THE HASHES" in run.output:
        return HASH
    if "No matching distribution found" in run.output:
        return NO_MATCH
    if "incomplete-download" in run.output or "not enough bytes were received" in run.output:
        return GAVE_UP
    if "because of HTTP error" in run.output:
        return REFUSED
    return OK if run.returncode == 0 else run.output


class Case(NamedTuple):
    """One fault.

    `plain`: the ends of pip 20.3.4 to 25.0.1, 25.3, 26.1.2 and 26.3. `warnings`: how many lines
    the healing is announced with. `wire`: how often the file may cross the network; where ranges
    work that is once.
    """

    name: str
    package: Callable[[], Package]
    plain: tuple[str, str, str, str]
    warnings: int = 1
    wire: float = 1.05
    tls: bool = False
    options: Sequence[str] = ()


def cut_then(*faults: Fault) -> Callable[[], Package]:
    return lambda: Package("demo", SIZE, [Cut(THIRD), *faults])


HEALED = [
    Case("cut-once", cut_then(), (HASH, OK, TRACEBACK, OK)),
    Case(
        "cut-20-times",
        lambda: Package("demo", SIZE, [Cut(100_000)] * 20),
        (HASH, GAVE_UP, TRACEBACK, GAVE_UP),
        warnings=20,
    ),
    Case(
        "cut-before-the-first-byte",
        lambda: Package("demo", SIZE, [Cut(0)]),
        (HASH, OK, TRACEBACK, OK),
    ),
    Case(
        "reset",
        lambda: Package("demo", SIZE, [Reset(THIRD)]),
        (TRACEBACK, TRACEBACK, TRACEBACK, OK),
    ),
    Case(
        "stall",
        lambda: Package("demo", SIZE, [Stall(THIRD)]),
        (TRACEBACK, OK, OK, OK),
        options=("--timeout", "1"),
    ),
    Case(
        "tls-record-broken",
        lambda: Package("demo", SIZE, [Garble(THIRD)]),
        (TRACEBACK, TRACEBACK, TRACEBACK, TRACEBACK),
        tls=True,
    ),
    Case("tls-fin-without-close-notify", cut_then(), (HASH, OK, TRACEBACK, OK), tls=True),
    Case(
        "tls-close-notify-too-early",
        lambda: Package("demo", SIZE, [Cut(THIRD, notify=True)]),
        (HASH, OK, TRACEBACK, OK),
        tls=True,
    ),
    Case(
        "chunked-body-cut",
        lambda: Package("demo", SIZE, [Cut(THIRD), Reset(THIRD)], chunked=True),
        (TRACEBACK, TRACEBACK, TRACEBACK, TRACEBACK),
        warnings=2,
    ),
    Case(
        "206-from-elsewhere",
        cut_then(Elsewhere(1000)),
        (HASH, HASH, TRACEBACK, GAVE_UP),
        wire=2.5,
    ),
    Case("206-with-another-total", cut_then(OtherTotal(7)), (HASH, OK, TRACEBACK, OK), wire=2.5),
    Case("206-with-another-validator", cut_then(OtherETag()), (HASH, OK, TRACEBACK, OK), wire=2.5),
    Case("206-without-label", cut_then(Unlabelled()), (HASH, OK, TRACEBACK, OK)),
    Case(
        "206-without-label-from-elsewhere",
        cut_then(Unlabelled(1000)),
        (HASH, HASH, TRACEBACK, HASH),
        wire=2.5,
    ),
    Case("200-to-a-range", cut_then(Whole()), (HASH, OK, TRACEBACK, OK), wire=1.4),
    Case(
        "no-ranges-and-cut-again-while-replaying",
        lambda: Package("demo", SIZE, [Cut(THIRD), Cut(THIRD // 2), Cut(2 * THIRD)], ranges=False),
        (HASH, OK, TRACEBACK, OK),
        warnings=2,
        wire=2.5,
    ),
    Case(
        "416-to-a-range", cut_then(Unsatisfiable()), (HASH, REFUSED, TRACEBACK, REFUSED), wire=1.4
    ),
    Case(
        "503-with-retry-after-then-429",
        cut_then(Busy(503, retry_after=1), Busy(429)),
        (HASH, REFUSED, TRACEBACK, REFUSED),
    ),
    Case(
        "server-away",
        lambda: Package("demo", SIZE, [Away(1.5, after=THIRD)]),
        (HASH, OK, TRACEBACK, OK),
    ),
    Case(
        "no-validator",
        lambda: Package("demo", SIZE, [Cut(THIRD)], validator="none"),
        (HASH, OK, TRACEBACK, OK),
    ),
    Case(
        "no-validator-and-no-ranges",
        lambda: Package("demo", SIZE, [Cut(THIRD)], validator="none", ranges=False),
        (HASH, OK, TRACEBACK, OK),
        wire=1.4,
    ),
    Case(
        "weak-validator",
        lambda: Package("demo", SIZE, [Cut(THIRD)], validator="weak"),
        (HASH, OK, TRACEBACK, OK),
        wire=1.4,
    ),
    Case(
        "date-as-validator",
        lambda: Package("demo", SIZE, [Cut(THIRD)], validator="date"),
        (HASH, OK, TRACEBACK, OK),
    ),
    Case(
        "html-index-page-cut",
        lambda: Package("demo", SIZE, page_faults=[Cut(100)]),
        (NO_MATCH, NO_MATCH, TRACEBACK, TRACEBACK),
    ),
    Case(
        "compressed-index-page-cut",
        lambda: Package("demo", SIZE, page_faults=[Cut(100)], gzip=True),
        (NO_MATCH, NO_MATCH, TRACEBACK, TRACEBACK),
    ),
]

ONE_PYTHON_EACH = [
    ("20.3.4", "3.8"),
    ("21.3.1", "3.9"),
    ("22.3.1", "3.10"),
    ("23.0.1", "3.11"),
    ("24.0", "3.12"),
    ("25.0.1", "3.8"),
    ("25.3", "3.9"),
    ("26.1.2", "3.12"),
    (NEWEST, "3.13"),
]


def each(cases: Sequence[Case]) -> pytest.MarkDecorator:
    return pytest.mark.parametrize("case", cases, ids=[case.name for case in cases])


class Download:
    """`pip download demo` from a lab, and what came of it."""

    def __init__(
        self,
        pip: Environment,
        lab: Lab,
        certificates: Certificates,
        *options: environments.Argument,
        cache: Path | None = None,
        env: dict[str, environments.Argument] | None = None,
        timeout: float = 90,
    ) -> None:
        self.lab = lab
        folder = pip.fresh_dir()
        tls = lab.url.startswith("https")
        # Over plain http, pip uses its HTTP cache only for a trusted host.
        trust: list[environments.Argument] = (
            ["--cert", certificates.ca_pem] if tls else ["--trusted-host", "127.0.0.1"]
        )
        store: list[environments.Argument] = ["--cache-dir", cache] if cache else []
        self.run = pip.run(
            "download",
            "--no-deps",
            "--dest",
            folder,
            "--index-url",
            lab.index_url,
            *trust,
            *store,
            *options,
            "demo",
            env=env,
            timeout=timeout,
        )
        self.file = folder / lab.filename("demo")

    @property
    def warnings(self) -> list[str]:
        return self.run.warnings("was interrupted at")

    def assert_right(self) -> None:
        assert self.run.returncode == 0, self.run.output
        assert self.file.read_bytes() == self.lab.wheel("demo")
        assert "Traceback" not in self.run.output
        assert "HASHES" not in self.run.output

    def assert_clear_error(self) -> None:
        output = self.run.output
        assert self.run.returncode == 1, output
        assert not self.file.exists()
        assert "Traceback" not in output
        assert "hash" not in output.lower()
        assert "No matching distribution" not in output
        assert "demo-1.0-py3-none-any.whl stopped at" in output.replace("\n", " ")
        assert "hint: " in output


@each(HEALED)
@each_pair
def test_heals(
    case: Case, pip: str, python: str, armed: Factory, certificates: Certificates
) -> None:
    with Lab([case.package()], tls=certificates.server if case.tls else None) as lab:
        done = Download(armed(pip, python), lab, certificates, *case.options)
        done.assert_right()
        assert len(done.warnings) == case.warnings, done.run.output
        assert lab.wait_idle()
        assert lab.sent("demo") <= case.wire * len(lab.wheel("demo"))


@each(HEALED)
@pairs(*ONE_PYTHON_EACH)
def test_the_fault_is_real(
    case: Case, pip: str, python: str, bare: Factory, certificates: Certificates
) -> None:
    environment = bare(pip, python)
    column = {"25.3": 1, "26.1.2": 2, "26.3": 3}.get(environment.pip_version, 0)
    with Lab([case.package()], tls=certificates.server if case.tls else None) as lab:
        run = Download(environment, lab, certificates, *case.options).run
        assert any(request.fault for request in lab.log)
        if pip != NEWEST or column:
            # (A pip that is newer than this table may well do better.)
            assert outcome_of(run) == case.plain[column], run.output


@pairs(*ONE_PYTHON_EACH[2:])
@pytest.mark.parametrize("gzip", [False, True], ids=["identity", "gzip"])
def test_a_cut_json_index_page_is_healed(
    gzip: bool, pip: str, python: str, armed: Factory, certificates: Certificates
) -> None:
    package = Package("demo", page_format="json", page_faults=[Cut(50), Reset(10)], gzip=gzip)
    with Lab([package]) as lab:
        done = Download(armed(pip, python), lab, certificates)
        done.assert_right()
        assert len(done.warnings) == 2
        assert lab.index_url + "demo/" in done.warnings[0]


@each_pair
def test_fifty_cuts_with_progress_are_no_reason_to_stop(
    pip: str, python: str, armed: Factory, certificates: Certificates
) -> None:
    package = Package("demo", 5_000_000, [Cut(70_000)] * 50)
    with Lab([package]) as lab:
        done = Download(
            armed(pip, python), lab, certificates, env={"PIP_RETRY_PATCH_ATTEMPTS": "1"}
        )
        done.assert_right()
        assert len(done.warnings) == 50
        assert lab.sent("demo") == len(lab.wheel("demo"))


@each_pair
def test_a_healed_download_is_in_the_cache_of_pip(
    pip: str, python: str, armed: Factory, certificates: Certificates
) -> None:
    environment = armed(pip, python)
    cache = environment.fresh_dir()
    package = Package("demo", SIZE, [Cut(THIRD), Reset(THIRD)], max_age=3600)
    with Lab([package], tls=certificates.server) as lab:
        Download(environment, lab, certificates, cache=cache).assert_right()
        asked = len(lab.requests("demo", "artifact"))
        again = Download(environment, lab, certificates, cache=cache)
        again.assert_right()
        assert "Using cached" in again.run.stdout
        assert len(lab.requests("demo", "artifact")) == asked == 3


@each_pair
def test_without_a_cache_it_heals_as_well(
    pip: str, python: str, armed: Factory, certificates: Certificates
) -> None:
    with Lab([Package("demo", SIZE, [Cut(THIRD)])]) as lab:
        Download(armed(pip, python), lab, certificates, "--no-cache-dir").assert_right()
        assert lab.sent("demo") == len(lab.wheel("demo"))


@each_pair
def test_when_patience_ends_the_error_names_the_network(
    pip: str, python: str, armed: Factory, certificates: Certificates
) -> None:
    package = Package("demo", SIZE, [Cut(THIRD)], forever=Cut(10))
    with Lab([package]) as lab:
        done = Download(
            armed(pip, python), lab, certificates, env={"PIP_RETRY_PATCH_ATTEMPTS": "2"}
        )
        done.assert_clear_error()
        output = " ".join(done.run.output.split())
        assert "stopped at 1.0 MB of 3.0 MB" in output
        assert "2 attempts in" in output
        assert "the connection was closed early" in output
        assert len(lab.requests("demo", "artifact")) == 3


@each_pair
def test_a_server_that_stays_away_is_waited_for_and_then_named(
    pip: str, python: str, armed: Factory, certificates: Certificates
) -> None:
    with Lab([Package("demo", SIZE, [Away(60, after=THIRD)])]) as lab:
        done = Download(
            armed(pip, python), lab, certificates, env={"PIP_RETRY_PATCH_PATIENCE": "2"}
        )
        done.assert_clear_error()
        output = " ".join(done.run.output.split())
        assert "connection refused" in output
        assert "127.0.0.1" in output
        (line,) = done.warnings
        assert "Trying to continue for about 2 s; so far, connection refused" in line


REFUSALS = {
    "gone": ([Cut(THIRD), Busy(404)], "answered 404"),
    "expired": ([Cut(THIRD), Busy(403)], "answered 403"),
}


@pytest.mark.parametrize("what", REFUSALS)
@pairs(("20.3.4", "3.8"), ("24.0", "3.12"), ("26.1.2", "3.12"), (NEWEST, "3.13"))
def test_what_no_patience_can_help_ends_at_once(
    what: str, pip: str, python: str, armed: Factory, certificates: Certificates
) -> None:
    faults, words = REFUSALS[what]
    with Lab([Package("demo", SIZE, faults)]) as lab:
        done = Download(armed(pip, python), lab, certificates)
        done.assert_clear_error()
        assert words in " ".join(done.run.output.split())
        assert len(lab.requests("demo", "artifact")) == 2


@pairs(("20.3.4", "3.8"), ("23.0.1", "3.11"), ("25.0.1", "3.8"), (NEWEST, "3.13"))
def test_retries_0_means_no_patience(
    pip: str, python: str, armed: Factory, bare: Factory, certificates: Certificates
) -> None:
    """pip builds its self-version check's session like that."""
    ends = []
    for factory in (armed, bare):
        with Lab([Package("demo", SIZE, [Cut(THIRD)])]) as lab:
            done = Download(factory(pip, python), lab, certificates, "--retries", "0")
            ends.append((outcome_of(done.run), len(lab.requests("demo", "artifact"))))
            assert not done.warnings
    assert ends[0] == ends[1]


@pairs(("22.3.1", "3.10"), ("24.0", "3.12"), ("25.3", "3.9"), (NEWEST, "3.13"))
def test_the_ranges_of_a_lazy_wheel_are_healed(
    pip: str, python: str, armed: Factory, certificates: Certificates
) -> None:
    """With fast-deps pip reads a wheel's metadata by requests that are ranges themselves."""
    package = Package("demo", SIZE, [Cut(100), Reset(70)])
    with Lab([package]) as lab:
        done = Download(armed(pip, python), lab, certificates, "--use-feature=fast-deps")
        done.assert_right()
        assert len(done.warnings) == 2
        first, second, third = lab.requests("demo", "artifact")[1:4]
        assert first.range is not None and second.range is not None and third.range is not None
        start = int(first.range[len("bytes=") :].partition("-")[0])
        assert second.range.startswith(f"bytes={start + 100}-")
        assert third.range.startswith(f"bytes={start + 170}-")
        assert first.headers.get("if-range") is None and second.if_range is not None


@pairs(("23.0.1", "3.11"), ("24.0", "3.12"), ("25.3", "3.9"), ("26.1.2", "3.12"), (NEWEST, "3.13"))
def test_cut_metadata_is_healed(
    pip: str, python: str, armed: Factory, certificates: Certificates
) -> None:
    package = Package("demo", SIZE, metadata=True, metadata_faults=[Cut(10), Reset(3)])
    with Lab([package]) as lab:
        done = Download(armed(pip, python), lab, certificates)
        done.assert_right()
        asked = len(lab.requests("demo", "metadata"))
        assert len(done.warnings) == 2 if asked else pip == "23.0.1"


@each_pair
def test_an_install_goes_through(
    pip: str, python: str, armed: Factory, certificates: Certificates
) -> None:
    environment = armed(pip, python)
    target = environment.fresh_dir()
    packages = [
        Package("demo", SIZE, [Cut(THIRD), Reset(THIRD)], requires=["other"]),
        Package("other", SIZE, [Cut(THIRD)], page_faults=[Cut(20)]),
    ]
    with Lab(packages) as lab:
        run = environment.run(
            "install",
            *("--target", target, "--index-url", lab.index_url, "--trusted-host", "127.0.0.1"),
            "demo",
        )
        assert run.returncode == 0, run.output
        assert len(run.warnings("was interrupted at")) == 4
        assert (target / "demo" / "payload.bin").stat().st_size == SIZE
        assert (target / "other" / "payload.bin").stat().st_size == SIZE
        for name in ("demo", "other"):
            assert lab.sent(name) <= 1.05 * len(lab.wheel(name))


# Settings and pip's own options.


@pairs(("20.3.4", "3.8"), ("24.0", "3.12"), (NEWEST, "3.13"))
def test_switched_off_nothing_is_wrapped(
    pip: str, python: str, armed: Factory, certificates: Certificates
) -> None:
    environment = armed(pip, python)
    show = (
        "import sys; from pip._internal.network.session import PipSession; PipSession();"
        "from pip._vendor.urllib3.connectionpool import HTTPConnectionPool as pool;"
        "print(type(vars(pool)['urlopen']).__name__, 'wrapt' in sys.modules)"
    )
    assert environment.run_python("-c", show).stdout.split() == ["FunctionWrapper", "True"]
    off = environment.run_python("-c", show, env={"PIP_RETRY_PATCH": "0"})
    assert off.stdout.split() == ["function", "False"]
    config = environment.fresh_dir() / "pip.conf"
    config.write_text("[global]\nretry-patch = off\n")
    off = environment.run_python("-c", show, env={"PIP_CONFIG_FILE": config})
    assert off.stdout.split() == ["function", "False"]


@pairs(("20.3.4", "3.8"), ("24.0", "3.12"), (NEWEST, "3.13"))
def test_settings_come_from_pips_configuration_and_isolated_ignores_the_environment(
    pip: str, python: str, armed: Factory, certificates: Certificates
) -> None:
    environment = armed(pip, python)
    config = environment.fresh_dir() / "pip.conf"
    changed = environment.run(
        "config", "set", "global.retry-patch-attempts", "1", env={"PIP_CONFIG_FILE": config}
    )
    # (older pips do not write to PIP_CONFIG_FILE)
    if changed.returncode or not config.exists():
        config.write_text("[global]\nretry-patch-attempts = 1\n")

    def requests(*options: str, **env: environments.Argument) -> int:
        with Lab([Package("demo", SIZE, [Cut(THIRD)], forever=Cut(10))]) as lab:
            done = Download(environment, lab, certificates, *options, env=env)
            done.assert_clear_error()
            return len(lab.requests("demo", "artifact"))

    assert requests(PIP_CONFIG_FILE=config) == 2
    assert requests(PIP_CONFIG_FILE=config, PIP_RETRY_PATCH_ATTEMPTS="3") == 4
    isolated = requests("--isolated", PIP_CONFIG_FILE=config, PIP_RETRY_PATCH_ATTEMPTS="3")
    assert isolated == 2


@pairs(("20.3.4", "3.8"), ("24.0", "3.12"), (NEWEST, "3.13"))
def test_a_nonsense_setting_is_one_line_and_the_download_goes_on(
    pip: str, python: str, armed: Factory, certificates: Certificates
) -> None:
    env: dict[str, environments.Argument] = {
        "PIP_RETRY_PATCH_PATIENCE": "soon",
        "PIP_RETRY_PATCH": "maybe",
    }
    with Lab([Package("demo", SIZE, [Cut(THIRD)])]) as lab:
        done = Download(armed(pip, python), lab, certificates, env=env)
        done.assert_right()
        complaints = done.run.warnings("pip-retry-patch: the setting")
        assert len(complaints) == 2
        assert len(done.run.stderr.splitlines()) == 3, done.run.stderr
        quiet = armed(pip, python).run("list", env=env)
        assert quiet.returncode == 0 and "retry-patch:" not in quiet.output


@pairs(("20.3.4", "3.8"), ("24.0", "3.12"), (NEWEST, "3.13"))
def test_quiet_and_log_mean_what_they_meant(
    pip: str, python: str, armed: Factory, certificates: Certificates
) -> None:
    environment = armed(pip, python)
    log = environment.fresh_dir() / "pip.log"
    with Lab([Package("demo", SIZE, [Cut(THIRD)])]) as lab:
        done = Download(environment, lab, certificates, "-qq")
        done.assert_right()
        assert done.run.output == ""
    with Lab([Package("demo", SIZE, [Cut(THIRD), Busy(404)])]) as lab:
        done = Download(environment, lab, certificates, "-q")
        done.assert_clear_error()
        assert done.run.stdout == ""
    with Lab([Package("demo", SIZE, [Cut(THIRD), Cut(THIRD), Busy(404)])]) as lab:
        done = Download(environment, lab, certificates, "--log", log)
        done.assert_clear_error()
        assert "was interrupted at 1" in log.read_text()
        assert "the server answered 404" in log.read_text()


@each_pair
def test_a_clean_download_is_silent_and_one_request(
    pip: str, python: str, armed: Factory, bare: Factory, certificates: Certificates
) -> None:
    said = []
    for factory in (armed, bare):
        with Lab([Package("demo", 2000)]) as lab:
            done = Download(factory(pip, python), lab, certificates)
            done.assert_right()
            assert [r.kind for r in lab.log] == ["page", "artifact"]
            text = done.run.output.replace(lab.url, "URL").replace(str(done.file.parent), "DIR")
            said.append([line for line in text.splitlines() if "Saved" not in line])
    assert said[0] == said[1]


@pairs(("20.3.4", "3.8"), ("24.0", "3.12"), (NEWEST, "3.13"))
def test_a_refused_certificate_is_not_tried_again(
    pip: str, python: str, armed: Factory, certificates: Certificates
) -> None:
    """A network that begins to answer in the server's place, as a captive portal does."""
    stranger = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    trustme.CA().issue_cert("127.0.0.1").configure_cert(stranger)
    authority = trustme.CA()
    host = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1", "localhost").configure_cert(host)

    def answer(connection: ssl.SSLObject, name: str | None, context: ssl.SSLContext) -> None:
        if lab.requests("demo", "artifact"):
            connection.context = stranger

    host.sni_callback = answer
    environment = armed(pip, python)
    ca_pem = environment.fresh_dir() / "ca.pem"
    authority.cert_pem.write_to_path(str(ca_pem))
    with Lab([Package("demo", SIZE, [Cut(THIRD)])], tls=host) as lab:
        done = Download(environment, lab, Certificates(host, ca_pem))
        done.assert_clear_error()
        assert "certificate was refused" in " ".join(done.run.output.split())
        assert len(lab.requests("demo", "artifact")) == 1


@pairs(("20.3.4", "3.8"), ("24.0", "3.12"), (NEWEST, "3.13"))
def test_ctrl_c_ends_a_wait_at_once(
    pip: str, python: str, armed: Factory, certificates: Certificates
) -> None:
    environment = armed(pip, python)
    with Lab([Package("demo", SIZE, [Away(60, after=THIRD)])]) as lab:
        process = environment.start(
            *("-m", "pip", "download", "--dest", environment.fresh_dir()),
            *("--index-url", lab.index_url, "demo"),
            env={"PYTHONUNBUFFERED": "1"},
        )
        assert process.stderr is not None
        line = process.stderr.readline()
        assert "Trying to continue for about 120 s" in line
        # Most of the later waits are long ones; where in one this strikes does not matter.
        time.sleep(3)
        os.kill(process.pid, signal.SIGINT)
        outcome = environments.finish(process, timeout=20)
        assert outcome.returncode == 1
        assert "Operation cancelled by user" in outcome.output
        assert "Traceback" not in outcome.output


@pairs(("20.3.4", "3.8"), ("24.0", "3.12"), (NEWEST, "3.13"))
@pytest.mark.parametrize("value", ["\x1b[2J\x1b[31m", "9" * 60_000, "x" * 100_000])
def test_hostile_header_values_are_neither_shown_nor_believed(
    value: str, pip: str, python: str, armed: Factory, certificates: Certificates
) -> None:
    faults = [Cut(THIRD), Busy(503, retry_after=value)]
    env: dict[str, environments.Argument] = {"PIP_RETRY_PATCH_PATIENCE": "1"}
    with Lab([Package("demo", SIZE, faults)]) as lab:
        done = Download(armed(pip, python), lab, certificates, env=env)
        done.assert_right()
        assert "\x1b[2J" not in done.run.output and len(done.run.output) < 3000
