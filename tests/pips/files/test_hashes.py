"""Files that do not fit their hash: looked into, fetched once more, and told of with evidence."""

from __future__ import annotations

from typing import NamedTuple

import pytest

from tests.support.certificates import certificates
from tests.support.downloads import HASH, HASTY, SIZE, THIRD, Download, end_of, said
from tests.support.environments import Environment
from tests.support.lab.faults import Busy, Cut, Flip, Reset
from tests.support.lab.packages import Package
from tests.support.lab.server import Lab
from tests.support.matrix import old_middle_new
from tests.support.programs import Argument


@old_middle_new
def test_a_file_that_was_damaged_on_its_way_is_fetched_once_more(armed: Environment) -> None:
    package, cache = Package("demo", SIZE, [Flip(THIRD)], max_age=3600), armed.fresh_dir()
    with Lab([package], tls=certificates().server) as lab:
        done = Download(armed, lab, cache=cache)
        done.assert_right()
        assert len(done.run.warnings("damaged on its way")) == 1
        assert len(lab.requests("demo", "artifact")) == 2
        again = Download(armed, lab, cache=cache)
        again.assert_right()
        assert len(lab.requests("demo", "artifact")) == 2, "the right file is in the cache"


class Case(NamedTuple):
    """A mismatch that stays: what each fetch meets, and what the evidence says."""

    package: Package
    says: list[str]


BROUGHT = "second fetch: failed: Downloading demo-1.0-py3-none-any.whl stopped at"
MISMATCHES = {
    "genuine": Case(
        Package("demo", SIZE, hashes="0" * 64),
        ["3.0 MB of 3.0 MB from 127.0.0.1", "complete", "Both brought the same bytes", "pip hash"],
    ),
    "different-each-time": Case(
        Package("demo", SIZE, [Flip(5000), Flip(THIRD), Flip(7)]), ["different bytes", "proxy"]
    ),
    "no-second-fetch": Case(
        Package("demo", SIZE, [Flip(7), Cut(THIRD)], forever=Cut(0)),
        [BROUGHT, "it is not known whether the file was damaged on its way"],
    ),
}


@pytest.mark.parametrize("how", MISMATCHES)
@old_middle_new
def test_a_mismatch_stays_one_with_the_evidence(how: str, armed: Environment) -> None:
    with Lab([MISMATCHES[how].package]) as lab:
        done = Download(armed, lab, env=HASTY)
        output = said(done.run)
        assert end_of(done.run) == HASH and not done.file.exists()
        for hint in ("--no-verify", "--no-require-hashes", "--trusted-host", "disable", "skip"):
            assert hint not in output.partition("looked into it")[2]
        assert not [words for words in MISMATCHES[how].says if words not in output], output
        if how != "no-second-fetch":
            assert len(lab.requests("demo", "artifact")) == 2


@old_middle_new
def test_hashes_of_a_requirements_file_are_treated_the_same(armed: Environment) -> None:
    for faults, right in (([Flip(THIRD)], True), ([], False)):
        package = Package("demo", SIZE, faults, hashes=False)
        with Lab([package]) as lab:
            listed = lab.sha256("demo") if right else "f" * 64
            requirements = armed.fresh_dir() / "requirements.txt"
            requirements.write_text(f"demo==1.0 --hash=sha256:{listed}\n")
            target = armed.fresh_dir()
            run = armed.run(
                "install",
                *("--no-deps", "--require-hashes", "--target", target, "--no-cache-dir"),
                *("--index-url", lab.index_url, "-r", requirements),
            )
            assert len(lab.requests("demo", "artifact")) == 2, run.output
            if right:
                assert run.returncode == 0, run.output
                assert run.warnings("damaged on its way")
                assert (target / "demo" / "payload.bin").stat().st_size == SIZE
            else:
                assert run.returncode == 1
                assert "DO NOT MATCH THE HASHES" in run.output
                assert "looked into it" in run.output


@old_middle_new
def test_a_batch_of_files_is_healed_file_by_file(armed: Environment) -> None:
    """With fast-deps pip reads two ranges of each, and downloads what it chose all at once."""
    packages = [
        Package("demo", SIZE, [None, None, Flip(THIRD)], requires=["other"]),
        Package("other", SIZE, [None, None, Flip(7)]),
    ]
    with Lab(packages) as lab:
        target = armed.fresh_dir()
        run = armed.run(
            "install",
            *("--target", target, "--index-url", lab.index_url, "--use-feature=fast-deps"),
            *("--trusted-host", "127.0.0.1", "demo"),
        )
        assert run.returncode == 0, run.output
        for name in ("demo", "other"):
            assert (target / name / "payload.bin").stat().st_size == SIZE
            # pip 21.3 to 23.0 ask for each file twice, and check it when it comes from the cache.
            (line,) = run.warnings(f"{name}-1.0 ")
            assert line.endswith("fits.")


@old_middle_new
def test_metadata_that_was_damaged_on_its_way_is_fetched_once_more(armed: Environment) -> None:
    package = Package("demo", SIZE, [Flip(9)], metadata=True, metadata_faults=[Flip(9)])
    with Lab([package]) as lab:
        done = Download(armed, lab)
        done.assert_right()
        asked = len(lab.requests("demo", "metadata"))
        # (pip 22.3 and 23.0 ask for the file twice, and check it when it comes from the cache.)
        assert len(done.run.warnings("fits.")) == (2 if asked else 1)
        assert asked in (0, 2)


@pytest.mark.parametrize("command", ["download", "wheel", "install"])
@old_middle_new
def test_sdists_are_healed_as_wheels_are(command: str, armed: Environment) -> None:
    target = armed.fresh_dir()
    where = {"download": "--dest", "wheel": "--wheel-dir", "install": "--target"}[command]
    with Lab([Package("demo", SIZE, [Cut(THIRD), Reset(THIRD), Flip(7)], sdist=True)]) as lab:
        run = armed.run(
            command, "--no-deps", where, target, "--index-url", lab.index_url, "demo", timeout=200
        )
        assert run.returncode == 0, run.output
        assert len(run.interruptions) == 2
        assert list(target.glob("demo*"))
        whole = [r for r in lab.requests("demo", "artifact") if r.range is None]
        damaged = run.warnings("damaged on its way")
        assert (len(whole), len(damaged)) == (2, 1), run.output


@pytest.mark.parametrize("faults", ["network", "hash"])
@old_middle_new
def test_errors_survive_a_terminal_that_is_not_utf_8_and_name_no_credentials(
    faults: str, armed: Environment
) -> None:
    package = Package("demo", SIZE, [Cut(THIRD), *[Busy(404)] * 2])
    if faults == "hash":
        package = Package("demo", SIZE, hashes="0" * 64)
    env: dict[str, Argument] = {"PYTHONIOENCODING": "ascii", "LC_ALL": "C", "NO_COLOR": "1"}
    with Lab([package]) as lab:
        secret = lab.index_url.replace("http://", "http://user:S3CRET@")
        run = Download(armed, lab, "--no-input", "--index-url", secret, env=env).run
        assert run.returncode == 1
        assert "Traceback" not in run.output and "S3CRET" not in run.output
        assert ("DO NOT MATCH" if faults == "hash" else "the server answered 404") in said(run)
