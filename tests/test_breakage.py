"""Never a broken pip: the guard broken in every way, in real environments, with real pips.

Whatever is missing, raises, or is not as we know it: a Python that starts says nothing, a download
with nothing wrong with it is what it is in a bare environment, to the letter and to the request,
and one that is cut ends no worse than there.
"""

from __future__ import annotations

import ast
import contextlib
import dataclasses
import json
import os
import re
import shutil
import subprocess
import zipfile
from pathlib import Path
from typing import Callable, Iterator, Mapping, NamedTuple, Sequence

import pytest

from pip_retry_patch.lab.faults import Busy, Cut
from pip_retry_patch.lab.packages import Package
from pip_retry_patch.lab.server import Lab
from pip_retry_patch.lab.stages import Fault
from tests import environments
from tests.conftest import Factory
from tests.environments import CHECKOUT, NEWEST, Argument, Environment, Outcome, pairs
from tests.test_faults import OK, outcome_of
from tests.test_partials import mounted

SIZE = 1_200_000  # worth being kept
HALF = 600_000

PIPS = (("20.3.4", "3.8"), ("24.0", "3.12"), (NEWEST, "3.13"))
each_pip = pairs(*PIPS)
NTH = {pip: n for n, (pip, _) in enumerate(PIPS)}

OPTIONS = ("download", "--no-deps", "--progress-bar", "off", "--trusted-host", "127.0.0.1")
# So that what is broken in healing itself ends soon.
IMPATIENT = {"PIP_RETRY_PATCH_PATIENCE": "1", "PIP_RETRY_PATCH_ATTEMPTS": "2"}


def copy_of(environment: Environment) -> Environment:
    """Copy an environment, to be spoiled by one test."""
    prefix = environments.scratch(environment.root) / "venv"
    # With its times, so that what is compiled stays valid.
    shutil.copytree(environment.prefix, prefix, symlinks=True)
    return dataclasses.replace(environment, prefix=prefix)


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


class Forked:
    """Many pips of one environment, from forked_pips.py."""

    def __init__(self, environment: Environment) -> None:
        self._environment = environment
        self._home = environment.fresh_dir()
        self._process = environments.launch(
            environment.root,
            [environment.python, CHECKOUT / "tests" / "forked_pips.py"],
            {**IMPATIENT, "HOME": self._home, "PYTHONDONTWRITEBYTECODE": "1"},
            self._home,
            subprocess.PIPE,
        )

    def __enter__(self) -> Forked:
        return self

    def __exit__(self, *_: object) -> None:
        outcome = environments.finish(self._process, 30)
        assert outcome.returncode == 0, outcome.output

    def __call__(self, *arguments: Argument) -> Outcome:
        """Run one pip; both of its streams are in `stdout`."""
        inside, process = self._environment.inside, self._process
        words = [inside(word) if isinstance(word, Path) else word for word in arguments]
        output = self._home / "output"
        order = {"arguments": words, "output": inside(output)}
        assert process.stdin is not None and process.stdout is not None
        process.stdin.write(json.dumps(order) + "\n")
        process.stdin.flush()
        code = int(process.stdout.readline())
        return Outcome(code, output.read_text(errors="replace"), "", 0.0)


class Got(NamedTuple):
    """What one `pip download demo` came to."""

    run: Outcome
    said: list[str]  # without what differs from run to run
    right: bool  # whether the file is the index's
    asked: list[str]  # the kinds of its requests

    @property
    def end(self) -> str:
        """How it ended, in the words of test_faults."""
        return outcome_of(self.run) if self.run.returncode or self.right else "another file"


def get(
    pip: Callable[..., Outcome],
    environment: Environment,
    lab: Lab,
    *options: Argument,
    cache: Path | None = None,
) -> Got:
    """Let `pip`, one of this environment, download demo from the lab."""
    folder = environment.fresh_dir()
    before = len(lab.log)
    store = ("--cache-dir", cache) if cache else ("--no-cache-dir",)
    run = pip(*OPTIONS, "--index-url", lab.index_url, *store, "--dest", folder, *options, "demo")
    lab.wait_idle()
    file = folder / lab.filename("demo")
    text = run.output.replace(lab.url, "URL").replace(environment.inside(folder), "DIR")
    said = [line for line in text.splitlines() if "Saved" not in line]
    right = file.exists() and file.read_bytes() == lab.wheel("demo")
    return Got(run, said, right, [request.kind for request in lab.log[before:]])


class Plain(NamedTuple):
    """What a bare environment makes of the same downloads."""

    clean: Got
    cut: Got


class Breakage:
    """A copy of an armed environment that is spoiled and mended, and what plain pip does."""

    def __init__(self, armed: Environment, bare: Environment) -> None:
        self.environment = copy_of(armed)
        self.site_packages = self.environment.site_packages
        self.package = self.site_packages / "pip_retry_patch"
        self.plain = Plain(*(self._get(bare.run, bare, faults) for faults in ((), (Cut(HALF),))))
        assert self.plain.clean.right and not self.plain.clean.run.stderr

    @staticmethod
    def _get(
        pip: Callable[..., Outcome],
        environment: Environment,
        faults: Sequence[Fault],
        *options: Argument,
        cached: bool = True,
    ) -> Got:
        cache = environment.fresh_dir() if cached else None
        with Lab([Package("demo", SIZE, faults)]) as lab:
            return get(pip, environment, lab, *options, cache=cache)

    @classmethod
    def get_cut(cls, pip: Callable[..., Outcome], environment: Environment) -> Got:
        """A download that is cut once."""
        return cls._get(pip, environment, [Cut(HALF)], cached=False)

    @contextlib.contextmanager
    def changed(self, texts: Mapping[Path, str | None]) -> Iterator[None]:
        """Give files another text, or none, while this lasts."""
        with contextlib.ExitStack() as stack:
            for path, text in texts.items():
                if path.exists():
                    stack.callback(restore, path, path.read_bytes(), path.stat())
                else:
                    stack.callback(path.unlink)
                if text is None:
                    path.unlink()
                else:
                    path.write_text(text, encoding="utf-8")
            yield

    def assert_starts_silently(self) -> None:
        assert self.environment.run_python("-c", "pass")[:3] == (0, "", "")

    def assert_clean_download(self, pip: Callable[..., Outcome] | None = None) -> None:
        """A download that nothing interrupts is what it is without us."""
        got = self._get(pip or self.environment.run, self.environment, ())
        assert got.right, got.run.output
        assert (got.run.returncode, got.said) == (0, self.plain.clean.said)
        assert got.asked == self.plain.clean.asked == ["page", "artifact"]

    def assert_cut_ends_no_worse(self, pip: Callable[..., Outcome] | None = None) -> None:
        """A download that is cut is healed, or ends as it ends without us; and soon."""
        got = self._get(pip or self.environment.run, self.environment, [Cut(HALF)])
        assert got.end in (OK, self.plain.cut.end), got.run.output
        assert len(got.asked) <= 5

    def assert_heals(self) -> None:
        got = self._get(self.environment.run, self.environment, [Cut(HALF)])
        assert got.end == OK, got.run.output
        assert len(got.run.warnings("was interrupted at")) == 1, got.run.output
        assert got.asked == ["page", "artifact", "artifact"]

    def assert_one_debug_line(self) -> None:
        """What failed is told to those who ask, once and in one line."""
        got = self._get(self.environment.run, self.environment, (), "-vv", cached=False)
        assert got.right
        ours = [line for line in got.said if "pip-retry-patch" in line]
        assert len(ours) == 1 and " could not " in ours[0], got.run.output
        assert "Traceback" not in got.run.output

    def assert_works_offline(self) -> None:
        for command in ("--version", "list"):
            outcome = self.environment.run(command)
            assert (outcome.returncode, outcome.stderr) == (0, ""), outcome.output


def restore(path: Path, data: bytes, status: os.stat_result) -> None:
    """Put a file back, with its times, so that what is compiled stays valid."""
    path.write_bytes(data)
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))


@pytest.fixture
def broken(pip: str, python: str, armed: Factory, bare: Factory) -> Breakage:
    """An environment to be broken."""
    return Breakage(armed(pip, python), bare(pip, python))


# Our own modules.

RAISES = "raise RuntimeError('broken')\n"
SYNTAX = "def arm(:\n"
MISSING = None
KINDS = (RAISES, SYNTAX, MISSING)


@each_pip
def test_any_module_of_ours_may_be_broken(pip: str, python: str, broken: Breakage) -> None:
    modules = sorted(broken.package.glob("*.py"))
    assert len(modules) > 20
    with Forked(broken.environment) as forked:
        for number, path in enumerate(modules):
            # Each module is broken in each way, but in each pip in another one.
            with broken.changed({path: KINDS[(number + NTH[pip]) % len(KINDS)]}):
                broken.assert_starts_silently()
                early = path.name in ("__init__.py", "trigger.py")  # loaded before any fork
                broken.assert_clean_download(None if early else forked)
    broken.assert_heals()  # all is as it was
    for kind in KINDS:
        with broken.changed(dict.fromkeys(modules, kind)):
            broken.assert_starts_silently()
            broken.assert_works_offline()
    with broken.changed(dict.fromkeys([broken.package / "hooks.py"], RAISES)):
        broken.assert_one_debug_line()
        broken.assert_cut_ends_no_worse()
    shutil.rmtree(broken.package)
    assert (broken.site_packages / "pip_retry_patch.pth").exists()
    broken.assert_starts_silently()
    broken.assert_works_offline()
    broken.assert_clean_download()
    broken.assert_cut_ends_no_worse()


# Our own functions.

# They are the way that calls and bytes take. Where one of these is broken, nothing goes through.
WAY = frozenset(
    [
        *("Body.__getattr__", "Body.closed", "Body.isclosed", "Body.close", "Body.read"),
        *("Body._read", "Body._take", "Body._hand_on", "Body._end", "Body._close", "Body._leave"),
        *("Part.read", "Part.length", "Part._trap_errors.trapped", "Continued.read"),
        *("Guard.urlopen", "careful.guarded", "Calls.__init__", "Calls.end"),
    ]
)
# Modules that have nothing to do with what an earlier run kept.
UNKEPT = frozenset(["announcer.py", "hosts.py", "patience.py", "resume.py", "settings.py"])
# They are the way that an interruption takes, and an interrupted download ends with theirs.
AFTER_A_CUT = frozenset(["Body._heal", "EarlyEnd.__init__"])


def loaded_modules(package: Path) -> Iterator[Path]:
    """The modules that a pip loads when it is about to talk to a network."""
    for path in sorted(package.glob("*.py")):
        if not path.name.startswith(("__init__", "__main__", "_lab", "lab", "cli")):
            yield path


@each_pip
@pytest.mark.parametrize("half", [0, 1])
def test_any_function_of_ours_may_raise(half: int, pip: str, python: str, broken: Breakage) -> None:
    """Each function, in one of the pips."""
    environment = broken.environment
    number = 0
    with Forked(environment) as forked, Lab([Package("demo", SIZE, [Cut(HALF), Busy(404)])]) as lab:
        template = environment.fresh_dir()
        got = get(forked, environment, lab, cache=template)
        assert not got.right and list((template / "retry-patch").iterdir())
        for path in loaded_modules(broken.package):
            source = path.read_text()
            for name, function in functions_of(source).items():
                number += 1
                if name in WAY or number % 6 != NTH[pip] + 3 * half:
                    continue
                with broken.changed({path: raising(source, function)}):
                    where = f"{path.name}: {name}"
                    broken.assert_clean_download(forked)
                    if path.name not in UNKEPT:
                        cache = environment.fresh_dir() / "cache"
                        shutil.copytree(template, cache)
                        kept = get(forked, environment, lab, cache=cache)
                        assert kept.right, f"{where}\n{kept.run.output}"
                        assert len(kept.asked) <= 3, where
                    if name not in AFTER_A_CUT:
                        broken.assert_cut_ends_no_worse(forked)
    assert number > 200


# wrapt.


def replace_wrapt(environment: Environment, wheel: Path | None) -> None:
    for old in environment.site_packages.glob("wrapt*"):
        shutil.rmtree(old)
    if wheel:
        with zipfile.ZipFile(wheel) as archive:
            archive.extractall(environment.site_packages)


@each_pip
def test_wrapt_may_be_missing_or_broken(pip: str, python: str, broken: Breakage) -> None:
    init = broken.site_packages / "wrapt" / "__init__.py"
    for text in (RAISES, SYNTAX, ""):
        with broken.changed({init: text}):
            broken.assert_clean_download()
            broken.assert_one_debug_line()
    replace_wrapt(broken.environment, None)
    broken.assert_starts_silently()
    broken.assert_works_offline()
    broken.assert_clean_download()
    broken.assert_one_debug_line()
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
def test_each_wrapt_heals(pip: str, python: str, version: str, broken: Breakage) -> None:
    wheel = environments.wrapt_wheel(python, version)
    replace_wrapt(broken.environment, wheel)
    broken.assert_clean_download()
    broken.assert_heals()


# pips that we have never seen.


class Edit(NamedTuple):
    """A change to pip: in each of these files a pattern becomes another text."""

    name: str
    changes: Sequence[tuple[str, str, str]]  # a glob below pip, a pattern, a text
    heals: bool = False  # whether a cut download must still heal
    moved: tuple[str, str] | None = None


def renamed(name: str, new: str, heals: bool = False) -> Edit:
    return Edit(f"{name}-renamed", [("_internal/**/*.py", rf"\b{name}\b", new)], heals)


SESSION = "_internal/network/session.py"
PREPARE = "_internal/operations/prepare.py"
EDITS = [
    renamed("PipSession", "Session"),
    renamed("Downloader", "Fetcher", heals=True),
    renamed("check_against_path", "check_against_disk", heals=True),
    renamed("HashMismatch", "WrongHash"),
    renamed("DiagnosticPipError", "PrettyPipError", heals=True),
    renamed("Configuration", "Configs"),
    renamed("commands_dict", "all_commands"),
    renamed("url_without_fragment", "bare_url", heals=True),
    Edit(
        "session-moved",
        [("_internal/**/*.py", r"network\.session\b", "network.talk")],
        moved=(SESSION, "_internal/network/talk.py"),
    ),
    Edit(
        "session-without-urllib3",
        [
            (SESSION, r"^(from pip\._vendor import .*urllib3)$", r"\1 as lib"),
            (SESSION, r"(?<![\w.])urllib3\.(?=[A-Z])", "lib."),
        ],
    ),
    Edit(
        "session-class-frozen",
        [
            (
                SESSION,
                r"class PipSession\(requests\.Session\):",
                "class Frozen(type):\n"
                "    def __setattr__(cls, name, value):\n"
                "        raise TypeError('frozen')\n\n\n"
                "class PipSession(requests.Session, metaclass=Frozen):",
            )
        ],
    ),
    Edit(
        "request-takes-other-arguments",
        [
            (
                SESSION,
                r"def request\(self, method.*\n",
                "def request(self, *given, **kwargs):\n        method, url, *args = given\n",
            )
        ],
        heals=True,
    ),
    Edit(
        "downloader-called-by-name",
        [
            (
                PREPARE,
                r"\bdownload\(link, temp_dir\.path\)",
                "download(location=temp_dir.path, link=link)",
            )
        ],
        heals=True,
    ),
    Edit(
        "downloader-returns-more",
        [
            (PREPARE, r"from_path, content_type = (?=download\()", "from_path, content_type, _ = "),
            (
                "_internal/network/download.py",
                r"\Z",
                "\nplain = Downloader.__call__\n"
                "Downloader.__call__ = lambda *given: (*plain(*given), None)\n",
            ),
        ],
        heals=True,
    ),
    Edit(
        "urlopen-delegates",
        [
            (
                "_vendor/urllib3/connectionpool.py",
                r"def urlopen\(",
                "def urlopen(self, *args, **kwargs):\n"
                "        return self.open_url(*args, **kwargs)\n\n"
                "    def open_url(",
            )
        ],
        heals=True,
    ),
    Edit(
        "urlopen-renamed",
        [
            ("_vendor/urllib3/connectionpool.py", r"\burlopen(?=\()", "open_url"),
            ("_vendor/requests/adapters.py", r"\bconn\.urlopen\b", "conn.open_url"),
        ],
    ),
    Edit(
        "cache-without-directory",
        [("_internal/network/cache.py", r"self\.directory\b", "self.folder")],
        heals=True,
    ),
]


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
def test_pip_may_be_another_one(pip: str, python: str, broken: Breakage) -> None:
    tried = 0
    for edit in EDITS:
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
                raise AssertionError(edit.name) from error
    assert tried >= len(EDITS) - 1


# Where nothing can be written.


@contextlib.contextmanager
def read_only(path: Path) -> Iterator[None]:
    """Let nobody write below a directory, root included."""
    subprocess.run(["mount", "--bind", str(path), str(path)], check=True)
    try:
        subprocess.run(["mount", "-o", "remount,bind,ro", str(path)], check=True)
        yield
    finally:
        subprocess.run(["umount", "--lazy", str(path)], check=True)


def fill(disk: Path) -> None:
    with contextlib.suppress(OSError), (disk / "ballast").open("wb", 0) as ballast:
        while True:
            ballast.write(bytes(4096))


@each_pip
def test_a_full_disk_or_a_read_only_one_is_no_reason_to_fail(
    pip: str, python: str, broken: Breakage
) -> None:
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
            return run(*arguments, PIP_RETRY_PATCH_PARTIALS_DIR=disk, PYTHONDONTWRITEBYTECODE="1")

        broken.assert_starts_silently()
        for pip_there in (run, undecided):
            broken.assert_clean_download(pip_there)
            assert Breakage.get_cut(pip_there, environment).end == OK
        subprocess.run(["mount", "-o", "remount,ro", str(disk)], check=True)
        broken.assert_clean_download(run)
        assert Breakage.get_cut(run, environment).end == OK


# What pip says of itself.


@each_pip
def test_pip_sees_one_more_package_and_wrapt(
    pip: str, python: str, armed: Factory, bare: Factory
) -> None:
    def listed(environment: Environment) -> set[str]:
        outcome = environment.run("list", "--format=json")
        assert (outcome.returncode, outcome.stderr) == (0, "")
        return {entry["name"] for entry in json.loads(outcome.stdout)}

    environment = armed(pip, python)
    assert listed(environment) - listed(bare(pip, python)) == {"pip-retry-patch", "wrapt"}
    outcome = environment.run("check")
    assert outcome[:3] == (0, "No broken requirements found.\n", "")
