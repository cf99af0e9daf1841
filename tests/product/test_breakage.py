"""Never a broken pip: the guard broken in every way, in real environments, with real pips.

Whatever is missing, raises, or is not as we know it: a Python that starts says nothing, a download
with nothing wrong with it is what it is in a bare environment, to the letter and to the request,
and one that is cut ends no worse than there.
"""

from __future__ import annotations

import ast
import contextlib
import dataclasses
import itertools
import os
import re
import shutil
import zipfile
from pathlib import Path
from typing import Callable, Iterable, Iterator, Mapping, NamedTuple, Sequence, Tuple

import pytest

from tests.support import supplies
from tests.support.directories import scratch
from tests.support.downloads import OK, command, end_of
from tests.support.environments import Environment, copy_of
from tests.support.forked import Forked
from tests.support.lab.faults import Busy, Cut, Fault
from tests.support.lab.packages import Package
from tests.support.lab.server import Lab
from tests.support.matrix import NEWEST, old_middle_new
from tests.support.programs import Argument, Outcome

SIZE = 3_000_000  # of which a half is worth being kept
HALF = 1_500_000
CUT = Cut(HALF)
FAILED = "WARNING: pip-retry-patch failed "  # the last line of a run in which one of ours did
# So that what is broken in healing itself ends soon.
IMPATIENT = {"PIP_RETRY_PATCH_PATIENCE": "1", "PIP_RETRY_PATCH_ATTEMPTS": "2"}
NTH = {"20.3.4": 0, "24.0": 1, NEWEST: 2}
RAISES, SYNTAX, MISSING = "raise RuntimeError('broken')\n", "def arm(:\n", None
KINDS = (RAISES, SYNTAX, MISSING)


class Got(NamedTuple):
    """What one `pip download demo` came to."""

    run: Outcome
    said: list[str]  # without what differs from run to run
    right: bool  # whether the file is the index's
    asked: list[str]  # the kinds of its requests

    @property
    def end(self) -> str:
        return end_of(self.run) if self.run.returncode or self.right else "another file"


def get(
    pip: Callable[..., Outcome], lab: Lab, *options: Argument, cache: Path | None = None
) -> Got:
    folder = scratch()
    before = len(lab.log)
    store = () if cache else ("--no-cache-dir",)
    run = pip(*command(lab, folder, cache), "--progress-bar", "off", *store, *options, "demo")
    lab.wait_idle()
    file = folder / lab.filename("demo")
    text = run.output.replace(lab.url, "URL").replace(str(folder), "DIR")
    differs = ("Saved", FAILED)
    said = [line for line in text.splitlines() if not any(each in line for each in differs)]
    right = file.exists() and file.read_bytes() == lab.wheel("demo")
    return Got(run, said, right, [request.kind for request in lab.log[before:]])


def get_from(pip: Callable[..., Outcome], *faults: Fault, cached: bool = True) -> Got:
    with Lab([Package("demo", SIZE, faults)]) as lab:
        return get(pip, lab, cache=scratch() if cached else None)


class Breakage:
    """A copy of an armed environment that is spoiled and mended, and what plain pip does."""

    def __init__(self, armed: Environment, bare: Environment) -> None:
        self.environment = dataclasses.replace(copy_of(armed), strict=False)
        self.site_packages = self.environment.site_packages
        self.package = self.site_packages / "pip_retry_patch"
        self._seconds = itertools.count(1)
        self.plain, self.plain_cut = get_from(bare.run), get_from(bare.run, CUT)
        assert self.plain.right and not self.plain.run.stderr

    def name_of(self, module: Path) -> str:
        """A module of ours by its path in the package, as `hooks/session.py`."""
        return module.relative_to(self.package).as_posix()

    @contextlib.contextmanager
    def changed(self, texts: Mapping[Path, str | None]) -> Iterator[None]:
        """Give files another text, or none, while this lasts."""
        with contextlib.ExitStack() as stack:
            for path, text in texts.items():
                if path.exists():  # put back with its times, so that what is compiled stays valid
                    times = path.stat()
                    stack.callback(os.utime, path, ns=(times.st_atime_ns, times.st_mtime_ns))
                    stack.callback(path.write_bytes, path.read_bytes())
                else:
                    stack.callback(path.unlink)
                if text is None:
                    path.unlink()
                else:
                    path.write_text(text, encoding="utf-8")
                    # Python takes what it compiled of a file of the same size and second.
                    os.utime(path, (0, next(self._seconds)))
            yield

    def assert_starts_silently(self) -> None:
        assert self.environment.run_python("-c", "pass")[:3] == (0, "", "")

    def assert_clean_download(self, pip: Callable[..., Outcome] | None = None) -> None:
        """A download that nothing interrupts is what it is without us."""
        got = get_from(pip or self.environment.run)
        assert got.right, got.run.output
        said = self.plain.said
        assert (got.run.returncode, got.said) == (0, said), got.run.output
        assert got.asked == self.plain.asked == ["page", "artifact"]

    def assert_cut_ends_no_worse(self, pip: Callable[..., Outcome] | None = None) -> None:
        """A download that is cut is healed, or ends as it ends without us; and soon."""
        got = get_from(pip or self.environment.run, CUT)
        assert got.end in (OK, self.plain_cut.end), got.run.output
        assert len(got.asked) <= 5

    def assert_heals(self) -> None:
        got = get_from(self.environment.run, CUT)
        assert got.end == OK, got.run.output
        assert len(got.run.interruptions) == 1, got.run.output
        assert got.asked == ["page", "artifact", "artifact"]

    def assert_tells_at_the_end(self) -> None:
        got = get_from(self.environment.run, cached=False)
        assert got.right
        ours = [line for line in got.run.output.splitlines() if "pip-retry-patch" in line]
        assert len(ours) == 1, got.run.output
        assert FAILED in ours[0]
        assert ours[0] == got.run.output.rstrip().splitlines()[-1]
        assert "Traceback" not in got.run.output

    def assert_works_offline(self) -> None:
        for offline in ("--version", "list"):
            outcome = self.environment.run(offline)
            assert (outcome.returncode, outcome.stderr) == (0, ""), outcome.output


@pytest.fixture
def broken(armed: Environment, bare: Environment) -> Breakage:
    return Breakage(armed, bare)


def functions_of(source: str) -> dict[str, ast.FunctionDef]:
    """Every function in a module, by its qualified name; nested ones, too."""
    found: dict[str, ast.FunctionDef] = {}

    def look(node: ast.AST, prefix: str) -> None:
        for child in ast.iter_child_nodes(node):
            name = prefix
            if isinstance(child, (ast.FunctionDef, ast.ClassDef)):
                name = f"{prefix}{child.name}."
                if isinstance(child, ast.FunctionDef):
                    found[name[:-1]] = child
            look(child, name)

    look(ast.parse(source), "")
    return found


def raising(source: str, function: ast.FunctionDef) -> str:
    """Return the module with this function raising as soon as it is called."""
    first = function.body[0]
    decorators = getattr(first, "decorator_list", [])
    number = min([first.lineno, *(d.lineno for d in decorators)])
    lines = source.splitlines(keepends=True)
    lines.insert(number - 1, " " * first.col_offset + "raise RuntimeError('broken')\n")
    return "".join(lines)


def broken_functions(
    broken: Breakage, modules: Iterable[Path], number: int, of: int
) -> Iterator[tuple[Path, str]]:
    """Break one function after the other: of so many, the one with this number."""
    counter = itertools.count(1)
    for path in modules:
        source = path.read_text()
        for name, function in functions_of(source).items():
            if next(counter) % of == number and name not in WAY:
                with broken.changed({path: raising(source, function)}):
                    yield path, name
    assert next(counter) > 5 * of


@old_middle_new
def test_any_module_of_ours_may_be_broken(pip: str, broken: Breakage) -> None:
    modules = sorted(broken.package.rglob("*.py"))
    assert len(modules) > 30
    with Forked(broken.environment, IMPATIENT) as forked:
        for number, path in enumerate(modules):
            # Each module is broken in each way, but in each pip in another one.
            with broken.changed({path: KINDS[(number + NTH[pip]) % len(KINDS)]}):
                broken.assert_starts_silently()
                before_any_fork = broken.name_of(path) in ("__init__.py", "trigger.py")
                broken.assert_clean_download(None if before_any_fork else forked)
    broken.assert_heals()  # all is as it was
    for kind in KINDS:
        with broken.changed(dict.fromkeys(modules, kind)):
            broken.assert_starts_silently()
            broken.assert_works_offline()
    with broken.changed({broken.package / "hooks" / "session.py": RAISES}):
        broken.assert_tells_at_the_end()
        broken.assert_cut_ends_no_worse()
    shutil.rmtree(broken.package)
    assert (broken.site_packages / "pip_retry_patch.pth").exists()
    broken.assert_starts_silently()
    broken.assert_works_offline()
    broken.assert_clean_download()
    broken.assert_cut_ends_no_worse()


# They are the way that calls and bytes take. Where one of these is broken, nothing goes through.
WAY = frozenset(
    [
        *("fail_open.guarded", "Calls.__init__", "Calls.end"),
        *("Below.__getattr__", "Below.isclosed", "Body.closed", "Body.close", "Body.read1"),
        *("Body.read", "Body._fill", "Body._receive", "Body._take", "Body._wanted_stop"),
        *("harmless", "FileHooks.check", "check"),  # the hash check fails closed
        *("Body._has_ended", "Body._end", "Outcome.read", "Outcome._note_pace"),
        "Outcome.drop",  # of an answer that brought the end
        *("_Whole.closed", "_Whole.read"),
        *("_Copy.__getattr__", "_Copy.write", "Artifact.__fspath__"),
        *("repeat.get_adapter", "repeat.get_redirect_target"),
    ]
)
# Modules that have nothing to do with what an earlier run kept.
UNKEPT = frozenset(["settings.py", "fetch/patience.py", "fetch/exchange.py"])
# They are the way that an interruption takes, and an interrupted download ends with theirs.
AFTER_A_CUT = frozenset(["Body._continue", "EarlyEnd.__init__"])


WITH_MIRRORS = ("hooks/mirrors.py", "hooks/stale.py")
# What a pip that is about to talk to a network does not load.
NOT_LOADED = ("commands/", "hooks/program.py", "hooks/report.py", "store/journal.py", *WITH_MIRRORS)


@old_middle_new
@pytest.mark.parametrize("half", [0, 1])
def test_any_function_of_ours_may_raise(half: int, pip: str, broken: Breakage) -> None:
    """Each function, in one of the pips."""
    environment = broken.environment
    with Forked(environment, IMPATIENT) as forked, Lab(
        [Package("demo", SIZE, [CUT, *[Busy(410)] * 4])]
    ) as lab:
        template = environment.fresh_dir()
        got = get(forked, lab, cache=template)
        assert not got.right and list((template / "retry-patch").iterdir())
        loaded = [
            path
            for path in sorted(broken.package.rglob("[!_]*.py"))
            if not broken.name_of(path).startswith(NOT_LOADED)
        ]
        for path, name in broken_functions(broken, loaded, NTH[pip] + 3 * half, 6):
            where = f"{broken.name_of(path)}: {name}"
            try:
                broken.assert_clean_download(forked)
                if name in AFTER_A_CUT:
                    continue
                broken.assert_cut_ends_no_worse(forked)
            except AssertionError as error:
                raise AssertionError(where) from error
            if broken.name_of(path) not in UNKEPT:
                cache = environment.fresh_dir() / "cache"
                shutil.copytree(template, cache)
                kept = get(forked, lab, cache=cache)
                assert kept.right, f"{where}\n{kept.run.output}"
                assert len(kept.asked) <= 4, where


@old_middle_new
def test_any_module_or_function_that_mirrors_need_may_be_broken(pip: str, broken: Breakage) -> None:
    """Who needs no mirror is spared; who needs one gets the right file, or an error."""
    dying = Package("demo", SIZE, [CUT], forever=Busy(503))
    with Lab([Package("demo", SIZE)]) as mirror:
        env = {**IMPATIENT, "PIP_RETRIES": "1", "PIP_RETRY_PATCH_MIRRORS": mirror.index_url}
        with Forked(broken.environment, {**env, "PIP_RETRY_PATCH_STALE": "on"}) as forked:
            modules = [broken.package / name for name in WITH_MIRRORS]
            for path, kind in itertools.product(modules, KINDS):
                with broken.changed({path: kind}):
                    broken.assert_clean_download(forked)
            for _, name in broken_functions(broken, modules, NTH[pip], 3):
                broken.assert_clean_download(forked)
                broken.assert_cut_ends_no_worse(forked)
                with Lab([dying]) as lab:
                    got = get(forked, lab)
                assert got.right or got.run.returncode, name


def replace_wrapt(environment: Environment, wheel: Path | None) -> None:
    for old in environment.site_packages.glob("wrapt*"):
        shutil.rmtree(old)
    if wheel:
        with zipfile.ZipFile(wheel) as archive:
            archive.extractall(environment.site_packages)


@old_middle_new
def test_wrapt_may_be_missing_or_broken(broken: Breakage) -> None:
    init = broken.site_packages / "wrapt" / "__init__.py"
    with broken.changed({init: RAISES}):
        broken.assert_heals()  # its extension module is all that is needed
    for extension in init.parent.glob("_wrappers.*.*"):
        extension.unlink()
    broken.assert_heals()
    for text in (RAISES, SYNTAX, ""):
        with broken.changed({init: text}):
            broken.assert_heals()  # the package itself is not run
        both = [path for path in init.parent.glob("*wrap*.py") if path.stem != "_wrappers"]
        with broken.changed(dict.fromkeys(both, text)):
            broken.assert_clean_download()
            broken.assert_tells_at_the_end()
    replace_wrapt(broken.environment, None)
    broken.assert_starts_silently()
    broken.assert_works_offline()
    broken.assert_clean_download()
    broken.assert_tells_at_the_end()
    broken.assert_cut_ends_no_worse()


@pytest.mark.parametrize(
    ("pip", "python", "version"),
    [
        ("20.3.4", "3.8", "1.14.0"),  # the oldest that is required
        ("20.3.4", "3.8", "1.17.3"),
        ("24.0", "3.12", "1.14.2"),  # where it has no C extension
        ("24.0", "3.12", "1.17.3"),
        (NEWEST, "3.13", "1.17.3"),
        (NEWEST, "3.13", ""),
    ],
)
def test_each_wrapt_heals(python: str, version: str, broken: Breakage) -> None:
    replace_wrapt(broken.environment, supplies.wrapt_wheel(python, version))
    broken.assert_clean_download()
    broken.assert_heals()


# Pips that nobody has seen yet: they work, and they heal where they can.

EVERYWHERE = "_internal/**/*.py"
SESSION, PREPARE = "_internal/network/session.py", "_internal/operations/prepare.py"
DOWNLOAD, TEE = "_internal/network/download.py", "_vendor/cachecontrol/filewrapper.py"
FROZEN = """class Frozen(type):
    def __setattr__(cls, name, value):
        raise TypeError('frozen')


class PipSession(requests.Session, metaclass=Frozen):"""
REQUEST = """def request(self, *given, **kwargs):
        method, url, *args = given
"""
MORE = """
plain = Downloader.__call__
Downloader.__call__ = lambda *given: (*plain(*given), None)
"""
BY_NAME = "download(location=temp_dir.path, link=link)"
# What is changed: files below pip, a pattern there, and what it becomes.
Changes = Sequence[Tuple[str, str, str]]


def renamed(*names: str) -> dict[str, Changes]:
    return {name: [(EVERYWHERE, rf"\b{name}\b", f"other_{name}")] for name in names}


HEALS: dict[str, Changes] = {
    **renamed("Downloader", "check_against_path", "DiagnosticPipError", "url_without_fragment"),
    "request takes other arguments": [(SESSION, r"def request\(self, method.*\n", REQUEST)],
    "Downloader called by name": [(PREPARE, r"\bdownload\(link, temp_dir\.path\)", BY_NAME)],
    "Downloader returns more": [
        (PREPARE, r"from_path, content_type = (?=download\()", "from_path, content_type, _ = "),
        (DOWNLOAD, r"\Z", MORE),
    ],
    "tee hides its source elsewhere": [(TEE, r"__fp\b", "__source")],
    "cache without directory": [
        ("_internal/network/cache.py", r"self\.directory\b", "self.folder")
    ],
}
ENDS_NO_WORSE: dict[str, Changes] = {
    **renamed("PipSession", "HashMismatch", "Configuration", "commands_dict"),
    "PipSession is frozen": [(SESSION, r"class PipSession\(requests\.Session\):", FROZEN)],
}


def edited(pip: Path, changes: Changes) -> dict[Path, str | None]:
    """Return what the changes make of the files of a pip."""
    texts: dict[Path, str | None] = {}
    for files, pattern, new in changes:
        for path in pip.glob(files):
            source = texts.get(path) or path.read_text(encoding="utf-8")
            text = re.sub(pattern, new, source, flags=re.MULTILINE)
            if text != source:
                texts[path] = text
    return texts


@old_middle_new
def test_pip_may_be_another_one(broken: Breakage) -> None:
    tried = 0
    for name, changes in {**HEALS, **ENDS_NO_WORSE}.items():
        texts = edited(broken.site_packages / "pip", changes)
        tried += bool(texts)  # else this pip has no such thing
        with broken.changed(texts):
            try:
                broken.assert_clean_download()
                if name in HEALS:
                    broken.assert_heals()
                else:
                    broken.assert_cut_ends_no_worse()
            except AssertionError as error:
                raise AssertionError(name) from error
    assert tried >= len(HEALS) + len(ENDS_NO_WORSE) - 1
