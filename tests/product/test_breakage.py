"""Never a broken pip: the guard broken in every way, in real environments, with real pips.

Whatever is missing, raises, or is not as we know it: a Python that starts says nothing, a download
with nothing wrong with it is what it is in a bare environment, to the letter and to the request,
and one that is cut ends no worse than there.
"""

from __future__ import annotations

import ast
import contextlib
import json
import re
import shutil
import subprocess
import zipfile
from pathlib import Path
from typing import Iterator, NamedTuple, Sequence

import pytest

from tests.support import supplies
from tests.support.breakage import (
    HALF,
    IMPATIENT,
    KINDS,
    NTH,
    RAISES,
    SIZE,
    SYNTAX,
    Breakage,
    each_pip,
    get,
)
from tests.support.downloads import OK
from tests.support.environments import Environment
from tests.support.forked import Forked
from tests.support.lab.faults import Busy, Cut
from tests.support.lab.packages import Package
from tests.support.lab.server import Lab
from tests.support.matrix import NEWEST
from tests.support.mounts import fill, mounted
from tests.support.programs import Argument, Outcome


@pytest.fixture
def broken(armed: Environment, bare: Environment) -> Breakage:
    """An environment to be broken."""
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


LOADED_BEFORE_ANY_FORK = ("__init__.py", "trigger.py")


@each_pip
def test_any_module_of_ours_may_be_broken(pip: str, broken: Breakage) -> None:
    modules = sorted(broken.package.rglob("*.py"))
    assert len(modules) > 30
    with Forked(broken.environment, IMPATIENT) as forked:
        for number, path in enumerate(modules):
            # Each module is broken in each way, but in each pip in another one.
            with broken.changed({path: KINDS[(number + NTH[pip]) % len(KINDS)]}):
                broken.assert_starts_silently()
                early = broken.name_of(path) in LOADED_BEFORE_ANY_FORK
                broken.assert_clean_download(None if early else forked)
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
        *("Body.__getattr__", "Body.closed", "Body.isclosed", "Body.close", "Body.read1"),
        *("Body.read", "Body._fill", "Body._receive", "Body._take", "Body._wanted_stop"),
        *("_harmless.told", "FileHooks.check", "check"),  # the hash check fails closed
        *("Body._has_ended", "Body._end", "Outcome.read", "Outcome._note_pace"),
        "Outcome.release",  # of an answer that brought the end
        *("_Copy.__getattr__", "_Copy.write", "repeat.get_redirect_target", "Artifact.__fspath__"),
    ]
)
# Modules that have nothing to do with what an earlier run kept.
UNKEPT = frozenset(["settings.py", "fetch/hosts.py", "fetch/patience.py", "fetch/exchange.py"])
# They are the way that an interruption takes, and an interrupted download ends with theirs.
AFTER_A_CUT = frozenset(["Body._continue", "EarlyEnd.__init__"])


def loaded_modules(broken: Breakage) -> Iterator[Path]:
    """The modules that a pip loads when it is about to talk to a network."""
    for path in sorted(broken.package.rglob("*.py")):
        if not path.name.startswith("__") and not broken.name_of(path).startswith(NEVER_LOADED):
            yield path


WITH_MIRRORS = ("hooks/mirrors.py", "hooks/stale.py")
NEVER_LOADED = (
    *("commands/", "hooks/program.py", "hooks/report.py", "store/journal.py"),
    *WITH_MIRRORS,
)


@each_pip
@pytest.mark.parametrize("half", [0, 1])
def test_any_function_of_ours_may_raise(half: int, pip: str, broken: Breakage) -> None:
    """Each function, in one of the pips."""
    environment = broken.environment
    number = 0
    with Forked(environment, IMPATIENT) as forked, Lab(
        [Package("demo", SIZE, [Cut(HALF), *[Busy(404)] * 2])]
    ) as lab:
        template = environment.fresh_dir()
        got = get(forked, environment, lab, cache=template)
        assert not got.right and list((template / "retry-patch").iterdir())
        for path in loaded_modules(broken):
            source = path.read_text()
            for name, function in functions_of(source).items():
                number += 1
                if name in WAY or number % 6 != NTH[pip] + 3 * half:
                    continue
                with broken.changed({path: raising(source, function)}):
                    where = f"{broken.name_of(path)}: {name}"
                    try:
                        broken.assert_clean_download(forked)
                    except AssertionError as error:
                        raise AssertionError(where) from error
                    if broken.name_of(path) not in UNKEPT and name not in AFTER_A_CUT:
                        cache = environment.fresh_dir() / "cache"
                        shutil.copytree(template, cache)
                        kept = get(forked, environment, lab, cache=cache)
                        assert kept.right, f"{where}\n{kept.run.output}"
                        assert len(kept.asked) <= 4, where
                    if name not in AFTER_A_CUT:
                        broken.assert_cut_ends_no_worse(forked)
    assert number > 200


@each_pip
def test_any_module_or_function_that_mirrors_need_may_be_broken(pip: str, broken: Breakage) -> None:
    """Who needs no mirror is spared; who needs one gets the right file, or an error."""
    environment, number = broken.environment, 0
    dying = Package("demo", SIZE, [Cut(HALF)], forever=Busy(503))
    with Lab([Package("demo", SIZE)]) as mirror:
        env = {**IMPATIENT, "PIP_RETRY_PATCH_MIRRORS": mirror.index_url}
        with Forked(environment, {**env, "PIP_RETRY_PATCH_STALE": "on"}) as forked:
            for name in WITH_MIRRORS:
                path = broken.package / name
                source = path.read_text()
                for kind in KINDS:
                    with broken.changed({path: kind}):
                        broken.assert_clean_download(forked)
                for where, function in functions_of(source).items():
                    number += 1
                    if number % 3 != NTH[pip]:
                        continue
                    with broken.changed({path: raising(source, function)}):
                        broken.assert_clean_download(forked)
                        broken.assert_cut_ends_no_worse(forked)
                        with Lab([dying]) as lab:
                            got = get(forked, environment, lab)
                        assert got.right or got.run.returncode, f"{name}: {where}"
    assert number > 15


def replace_wrapt(environment: Environment, wheel: Path | None) -> None:
    for old in environment.site_packages.glob("wrapt*"):
        shutil.rmtree(old)
    if wheel:
        with zipfile.ZipFile(wheel) as archive:
            archive.extractall(environment.site_packages)


@each_pip
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
    wheel = supplies.wrapt_wheel(python, version)
    replace_wrapt(broken.environment, wheel)
    broken.assert_clean_download()
    broken.assert_heals()


@contextlib.contextmanager
def read_only(path: Path) -> Iterator[None]:
    """Let nobody write below a directory, root included."""
    subprocess.run(["mount", "--bind", str(path), str(path)], check=True)
    try:
        subprocess.run(["mount", "-o", "remount,bind,ro", str(path)], check=True)
        yield
    finally:
        subprocess.run(["umount", "--lazy", str(path)], check=True)


@each_pip
def test_a_full_disk_or_a_read_only_one_is_no_reason_to_fail(broken: Breakage) -> None:
    """HOME, the cache and the environment; a pip that can write nowhere can do nothing."""
    environment = broken.environment
    for old in [*broken.package.rglob("*.pyc"), *broken.site_packages.glob("wrapt/**/*.pyc")]:
        old.unlink()
    with contextlib.ExitStack() as stack:
        # Owned by a user without a home, on a disk without room, in a venv without compiled files.
        disk = stack.enter_context(mounted(environment.fresh_dir() / "disk", "size=1m"))
        fill(disk)
        stack.enter_context(read_only(environment.prefix))

        def run(*arguments: Argument, **env: Argument) -> Outcome:
            env = {"HOME": disk, "XDG_CACHE_HOME": disk / "cache", **env}
            return environment.run(*arguments, "--cache-dir", disk / "cache", env=env)

        def undecided(*arguments: Argument) -> Outcome:
            return run(*arguments, PIP_RETRY_PATCH_PARTIALS=disk, PYTHONDONTWRITEBYTECODE="1")

        broken.assert_starts_silently()
        for pip_there in (run, undecided):  # both go on in pip's own directory
            with Lab([Package("demo", SIZE)]) as lab:
                assert get(pip_there, environment, lab).right
            assert Breakage.get_cut(pip_there, environment).end == OK
        subprocess.run(["mount", "-o", "remount,ro", str(disk)], check=True)
        broken.assert_clean_download(run)
        assert Breakage.get_cut(run, environment).end == OK


@each_pip
def test_pip_sees_one_more_package_and_wrapt(armed: Environment, bare: Environment) -> None:
    def listed(environment: Environment) -> set[str]:
        outcome = environment.run("list", "--format=json")
        assert (outcome.returncode, outcome.stderr) == (0, "")
        return {entry["name"] for entry in json.loads(outcome.stdout)}

    assert listed(armed) - listed(bare) == {"pip-retry-patch", "wrapt"}
    outcome = armed.run("check")
    assert outcome[:3] == (0, "No broken requirements found.\n", "")


# Pips that nobody has seen yet: they work, and they heal where they can.


class Edit(NamedTuple):
    """A change to pip: in each of these files a pattern becomes another text."""

    changes: Sequence[tuple[str, str, str]]  # a glob below pip, a pattern, a text
    heals: bool = True  # whether a cut download must still heal
    moved: tuple[str, str] | None = None


EVERYWHERE = "_internal/**/*.py"
SESSION, PREPARE = "_internal/network/session.py", "_internal/operations/prepare.py"
DOWNLOAD, TALK = "_internal/network/download.py", "_internal/network/talk.py"
POOL, ADAPTERS = "_vendor/urllib3/connectionpool.py", "_vendor/requests/adapters.py"
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
RENAMED = {  # and whether a cut download must still heal
    "PipSession": False,
    "Downloader": True,
    "check_against_path": True,
    "HashMismatch": False,
    "DiagnosticPipError": True,
    "Configuration": False,
    "commands_dict": False,
    "url_without_fragment": True,
}
EDITS = {
    **{
        f"{name}-renamed": Edit([(EVERYWHERE, rf"\b{name}\b", f"other_{name}")], heals)
        for name, heals in RENAMED.items()
    },
    "session-moved": Edit(
        [(EVERYWHERE, r"network\.session\b", "network.talk")], False, moved=(SESSION, TALK)
    ),
    "session-without-urllib3": Edit(
        [
            (SESSION, r"^(from pip\._vendor import .*urllib3)$", r"\1 as lib"),
            (SESSION, r"(?<![\w.])urllib3\.(?=[A-Z])", "lib."),
        ],
        False,
    ),
    "session-class-frozen": Edit(
        [(SESSION, r"class PipSession\(requests\.Session\):", FROZEN)], False
    ),
    "request-takes-other-arguments": Edit([(SESSION, r"def request\(self, method.*\n", REQUEST)]),
    "downloader-called-by-name": Edit(
        [
            (
                PREPARE,
                r"\bdownload\(link, temp_dir\.path\)",
                "download(location=temp_dir.path, link=link)",
            )
        ]
    ),
    "downloader-returns-more": Edit(
        [
            (PREPARE, r"from_path, content_type = (?=download\()", "from_path, content_type, _ = "),
            (DOWNLOAD, r"\Z", MORE),
        ]
    ),
    "urlopen-renamed": Edit(
        [
            (POOL, r"\burlopen(?=\()", "open_url"),
            (ADAPTERS, r"\bconn\.urlopen\b", "conn.open_url"),
        ]
    ),
    "tee-hides-its-source-elsewhere": Edit(
        [("_vendor/cachecontrol/filewrapper.py", r"__fp\b", "__source")]
    ),
    "cache-without-directory": Edit(
        [("_internal/network/cache.py", r"self\.directory\b", "self.folder")]
    ),
}


def edited(pip: Path, edit: Edit) -> dict[Path, str | None]:
    """Return what the edit makes of the files of a pip."""
    texts: dict[Path, str | None] = {}
    for files, pattern, new in edit.changes:
        for path in pip.glob(files):
            source = texts.get(path) or path.read_text(encoding="utf-8")
            text = re.sub(pattern, new, source, flags=re.MULTILINE)
            if text != source:
                texts[path] = text
    if edit.moved:
        old, to = (pip / name for name in edit.moved)
        texts[to] = texts.get(old) or old.read_text(encoding="utf-8")
        texts[old] = None
    return texts


@each_pip
def test_pip_may_be_another_one(broken: Breakage) -> None:
    tried = 0
    for name, edit in EDITS.items():
        texts = edited(broken.site_packages / "pip", edit)
        if not texts:
            continue  # this pip has no such thing
        tried += 1
        with broken.changed(texts):
            try:
                broken.assert_clean_download()
                if edit.heals:
                    broken.assert_heals()
                else:
                    broken.assert_cut_ends_no_worse()
            except AssertionError as error:
                raise AssertionError(name) from error
    assert tried >= len(EDITS) - 1
