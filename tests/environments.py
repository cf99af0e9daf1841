"""Real environments: every supported pip on a real Python, with and without pip-retry-patch.

An environment is a venv that holds one pip and nothing else (*bare*), or that pip, wrapt and the
wheel which is built from this tree (*armed*). Pythons come from pyenv or PATH; those that are not
there come from a Debian sid chroot (`.ci/chroot` makes it), and tests need not know which is which:
`Environment.fresh_dir()` gives directories that both sides see, and a `Path` handed to
`Environment.run` is translated.

Everything made here is kept in one directory, shared by the workers of a run and by later runs:
`.test-environments/`, or what `PIP_RETRY_PATCH_TEST_DIR` names.
"""

from __future__ import annotations

import atexit
import contextlib
import functools
import hashlib
import json
import os
import platform
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Iterable, Iterator, Mapping, NamedTuple, Union

import pytest
from filelock import FileLock
from packaging.version import Version

Argument = Union[str, Path]

CHECKOUT = Path(__file__).resolve().parent.parent
STORE = Path(os.environ.get("PIP_RETRY_PATCH_TEST_DIR") or CHECKOUT / ".test-environments")
CHROOT = Path(os.environ.get("PIP_RETRY_PATCH_TEST_CHROOT") or "/opt/sid")
RUN = "PIP_RETRY_PATCH_TEST_RUN"  # set by the first process of a run, inherited by its workers
SOURCE = "PIP_RETRY_PATCH_TEST_SOURCE"  # likewise: the tree that this run began with
KEPT_SECONDS = 3600  # how long what no run uses any more is kept

NEWEST = "newest"
MATRIX: tuple[tuple[str, str], ...] = (
    ("20.3.4", "3.8"),
    ("20.3.4", "3.9"),
    ("21.3.1", "3.9"),
    ("22.3.1", "3.10"),
    ("23.0.1", "3.11"),
    ("24.0", "3.12"),
    ("25.0.1", "3.8"),
    ("25.3", "3.9"),
    ("26.1.2", "3.10"),
    ("26.1.2", "3.12"),
    (NEWEST, "3.11"),
    (NEWEST, "3.13"),
    (NEWEST, "3.14"),
    (NEWEST, "3.15"),
)


# The newest patch release of every minor since 20.0, each on one Python that it declares to support
# (docs/matrix.md). Where MATRIX has the minor, a pair of MATRIX, so that environments are shared.
# A test compares this with the index, so a new minor cannot be forgotten.
MINORS: tuple[tuple[str, str], ...] = (
    ("20.0.2", "3.8"),
    ("20.1.1", "3.8"),
    ("20.2.4", "3.8"),
    ("20.3.4", "3.9"),
    ("21.0.1", "3.9"),
    ("21.1.3", "3.9"),
    ("21.2.4", "3.9"),
    ("21.3.1", "3.9"),
    ("22.0.4", "3.10"),
    ("22.1.2", "3.10"),
    ("22.2.2", "3.11"),
    ("22.3.1", "3.10"),
    ("23.0.1", "3.11"),
    ("23.1.2", "3.11"),
    ("23.2.1", "3.12"),
    ("23.3.2", "3.12"),
    ("24.0", "3.12"),
    ("24.1.2", "3.10"),
    ("24.2", "3.8"),
    ("24.3.1", "3.13"),
    ("25.0.1", "3.8"),
    ("25.1.1", "3.13"),
    ("25.2", "3.14"),
    ("25.3", "3.9"),
    ("26.0.1", "3.14"),
    ("26.1.2", "3.12"),
    ("26.2.1", "3.15"),
    (NEWEST, "3.13"),
)


def label(pip: str, python: str) -> str:
    """Name a pair as test ids and the record of a run do."""
    return f"pip{pip}-py{python}"


def parametrized(chosen: Iterable[tuple[str, str]]) -> pytest.MarkDecorator:
    parameters = [pytest.param(*pair, id=label(*pair)) for pair in chosen]
    return pytest.mark.parametrize(("pip", "python"), parameters)


def pairs(*chosen: tuple[str, str]) -> pytest.MarkDecorator:
    """Run a test once for each (pip, python), with readable ids."""
    for pair in chosen:
        assert pair in MATRIX, pair
    return parametrized(chosen)


each_pair = pairs(*MATRIX)
each_minor = parametrized(MINORS)


class MissingError(Exception):
    """Something that the tests need is not on this machine."""


class Product(NamedTuple):
    """What is built from the tree: the sdist, and the wheel made from that sdist."""

    sdist: Path
    wheel: Path


class Outcome(NamedTuple):
    """What a finished process left."""

    returncode: int
    stdout: str
    stderr: str
    seconds: float

    @property
    def output(self) -> str:
        """Both streams, standard output first."""
        return self.stdout + self.stderr

    def warnings(self, containing: str = "") -> list[str]:
        """The WARNING lines of pip's log that contain a text."""
        lines = map(str.strip, self.output.splitlines())  # pip indents them
        return [line for line in lines if line.startswith("WARNING:") and containing in line]


@dataclass(frozen=True)
class Environment:
    """One venv, on this machine or in the chroot."""

    prefix: Path
    root: Path
    pip_version: str
    python_version: str
    armed: bool
    label: str

    @property
    def python(self) -> Path:
        """The venv's interpreter, as this machine sees it."""
        return self.prefix / "bin" / "python"

    @property
    def site_packages(self) -> Path:
        """The directory that pip installs to."""
        minor = ".".join(self.python_version.split(".")[:2])
        return self.prefix / "lib" / f"python{minor}" / "site-packages"

    def fresh_dir(self) -> Path:
        """Make an empty directory that this environment can use; it lives as long as the test."""
        return scratch(self.root)

    def inside(self, path: Path) -> str:
        """Say how this environment calls a path. A file outside of the chroot is copied in."""
        return inside(self.root, path)

    def run(
        self,
        *arguments: Argument,
        env: Mapping[str, Argument] | None = None,
        cwd: Path | None = None,
        timeout: float = 120,
        machine: bool = False,
    ) -> Outcome:
        """Run `python -m pip` with these arguments and wait for it.

        See `start` for `env`, `cwd` and `machine`. After `timeout` seconds the process and its
        children are killed, and the test fails with what they had printed.
        """
        process = self.start("-m", "pip", *arguments, env=env, cwd=cwd, machine=machine)
        outcome = finish(process, timeout)
        if self.label and {"download", "install", "wheel"} & set(map(str, arguments)):
            note_run(self)
        return outcome

    def run_python(
        self,
        *arguments: Argument,
        env: Mapping[str, Argument] | None = None,
        cwd: Path | None = None,
        timeout: float = 120,
        machine: bool = False,
    ) -> Outcome:
        """Run the interpreter itself; the rest is as in `run`."""
        return finish(self.start(*arguments, env=env, cwd=cwd, machine=machine), timeout)

    def start(
        self,
        *arguments: Argument,
        env: Mapping[str, Argument] | None = None,
        cwd: Path | None = None,
        machine: bool = False,
    ) -> subprocess.Popen[str]:
        """Start the interpreter in a session of its own, with pipes for its output.

        Its environment is clean: nothing of this machine's pip configuration, certificates and
        proxies, an empty HOME and an empty cache. `machine=True` keeps the default index and the
        certificate settings of this machine. `env` is added to that. `cwd` is a fresh directory
        unless given.
        """
        home = self.fresh_dir()
        variables: dict[str, Argument] = {"HOME": home, "XDG_CACHE_HOME": home / "cache"}
        if machine:
            variables.update(machine_settings())
        variables.update(env or {})
        return launch(self.root, [self.python, *arguments], variables, cwd or self.fresh_dir())


# --- processes -------------------------------------------------------------------------------


def inside(root: Path, path: Path) -> str:
    """Translate a path of this machine to one below `root`."""
    path = Path.cwd() / path  # not resolved: a venv's python is a symlink
    if root in (path, *path.parents):
        return "/" + str(path.relative_to(root))
    if path == Path(os.devnull):
        return os.devnull
    if not path.is_file():
        raise MissingError(f"{path} is outside of {root}; take a directory from fresh_dir()")
    copy = scratch(root) / path.name
    shutil.copyfile(path, copy)
    return inside(root, copy)


def launch(
    root: Path,
    command: list[Argument],
    env: Mapping[str, Argument],
    cwd: Path,
    stdin: int = subprocess.DEVNULL,
) -> subprocess.Popen[str]:
    """Start a command below `root`, with few variables but those of `env`."""
    variables: dict[str, Argument] = {
        "PATH": "/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin",
        "LANG": "C.UTF-8",
        "PIP_CONFIG_FILE": os.devnull,
        "PIP_DISABLE_PIP_VERSION_CHECK": "1",
        **{name: os.environ[name] for name in ("PYTHONWARNINGS", "TZ") if name in os.environ},
        **env,
    }

    def seen(value: Argument) -> str:
        return inside(root, value) if isinstance(value, Path) else value

    line = [seen(word) for word in command]
    if root != Path("/"):
        line = ["chroot", str(root), "/usr/bin/env", "-C", seen(cwd), *line]
    return subprocess.Popen(
        line,
        env={name: seen(value) for name, value in variables.items()},
        cwd=cwd if root == Path("/") else None,
        stdin=stdin,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        errors="replace",
        start_new_session=True,
    )


def finish(process: subprocess.Popen[str], timeout: float) -> Outcome:
    """Wait for a process from `launch`; kill its whole session when time is up."""
    began = time.monotonic()
    try:
        stdout, stderr = process.communicate(timeout=timeout)
    except subprocess.TimeoutExpired:
        kill(process)
        stdout, stderr = process.communicate()
        pytest.fail(f"no end after {timeout} s: {process.args!r}\n{stdout}\n{stderr}")
    except BaseException:
        kill(process)
        raise
    return Outcome(process.returncode, stdout, stderr, time.monotonic() - began)


def kill(process: subprocess.Popen[str]) -> None:
    """Kill a process from `launch` and its children."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)


def checked(root: Path, *command: Argument, timeout: float = 300) -> str:
    """Run a command that has to succeed, and return its standard output."""
    home = scratch(root)
    outcome = finish(launch(root, list(command), {"HOME": home}, home), timeout)
    if outcome.returncode:
        raise MissingError(f"{' '.join(map(str, command))} failed:\n{outcome.output}")
    return outcome.stdout


def ours(*arguments: Argument) -> str:
    """Run a module with this interpreter and this machine's settings, but never armed."""
    result = subprocess.run(
        [sys.executable, "-m", *map(str, arguments)],
        check=False,
        env={**os.environ, "PIP_RETRY_PATCH": "0", "PIP_DISABLE_PIP_VERSION_CHECK": "1"},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=600,
    )
    if result.returncode:
        raise MissingError(
            f"{' '.join(map(str, arguments))} failed:\n{result.stdout}{result.stderr}"
        )
    return result.stdout


@functools.lru_cache(maxsize=None)
def machine_settings() -> Mapping[str, str]:
    """Find how this machine reaches its default index, as environment variables.

    Local extras (find-links, other indexes) are left out: what they hold crosses no network.
    """
    found = {name: value for name, value in os.environ.items() if name in CERTIFICATE_VARIABLES}
    wanted = ("index-url", "cert", "client-cert", "trusted-host")
    sections = ("global", "install", "download", ":env:")
    lines = ours("pip", "config", "list").splitlines()
    for section in sections:
        for line in lines:
            key, _, value = line.partition("=")
            if key in {f"{section}.{name}" for name in wanted}:
                name = key.rpartition(".")[2].upper().replace("-", "_")
                found[f"PIP_{name}"] = value.strip("'\"")
    return found


CERTIFICATE_VARIABLES = ("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE", "SSL_CERT_FILE", "SSL_CERT_DIR")


# --- directories -----------------------------------------------------------------------------

_scratch: list[Path] = []


def store(root: Path) -> Path:
    """Where environments below this root are kept."""
    if root == Path("/"):
        return STORE
    key = hashlib.sha256(str(STORE.resolve()).encode()).hexdigest()[:8]
    return root / "var" / "tmp" / f"pip-retry-patch-{key}"


def scratch(root: Path) -> Path:
    """Make an empty directory below `root`, removed by `sweep`."""
    parent = store(root) / "scratch"
    parent.mkdir(parents=True, exist_ok=True)
    made = Path(tempfile.mkdtemp(dir=parent))
    _scratch.append(made)
    return made


@atexit.register
def sweep() -> None:
    """Remove what `scratch` made."""
    while _scratch:
        shutil.rmtree(_scratch.pop(), ignore_errors=True)


def begin_run() -> None:
    """Fix what the workers of this run share; called once, by the run's first process."""
    os.environ[RUN] = f"{time.time_ns()}-{os.getpid()}"
    os.environ[SOURCE] = source_key()
    run_dir().mkdir(parents=True)
    prune()


def run_dir() -> Path:
    """The directory of this run: what it resolved, and what ran."""
    return STORE / "runs" / os.environ[RUN]


def prune() -> None:
    """Remove what was made from older trees, once no run has used it for a while."""
    horizon = time.time() - KEPT_SECONDS
    for base in (STORE, store(CHROOT)):
        for parent in ("armed", "built", "runs", "scratch"):
            for old in (base / parent).glob("*"):
                with contextlib.suppress(OSError):
                    if old.stat().st_mtime < horizon and old.name != os.environ[SOURCE]:
                        shutil.rmtree(old, ignore_errors=True)


@contextlib.contextmanager
def made_once(target: Path) -> Iterator[Path | None]:
    """Give a directory to fill, or None if it has been filled before; one process at a time.

    The directory only counts as filled when the block has ended without an error.
    """
    target.parent.mkdir(parents=True, exist_ok=True)
    done = target / ".done"
    with FileLock(f"{target}.lock"):
        if done.exists():
            yield None
            return
        shutil.rmtree(target, ignore_errors=True)
        target.mkdir()
        yield target
        done.touch()


# --- what goes in ----------------------------------------------------------------------------


SOURCE_FILES = (
    "CHANGELOG.md",
    "LICENSE",
    "MANIFEST.in",
    "README.md",
    "pip_retry_patch.pth",
    "pyproject.toml",
    "setup.cfg",
    "setup.py",
)


def copy_source(target: Path) -> Path:
    """Copy what the product is built from, so that no build writes into the tree."""
    target.mkdir(parents=True, exist_ok=True)
    for name in SOURCE_FILES:
        if (CHECKOUT / name).exists():
            shutil.copy2(CHECKOUT / name, target / name)
    shutil.copytree(
        CHECKOUT / "pip_retry_patch",
        target / "pip_retry_patch",
        ignore=shutil.ignore_patterns("__pycache__"),
    )
    return target


def source_key() -> str:
    """Hash what the product is built from."""
    digest = hashlib.sha256()
    copy = copy_source(scratch(Path("/")) / "source")
    for path in sorted(copy.rglob("*")):
        if path.is_file():
            digest.update(f"{path.relative_to(copy)}\0".encode() + path.read_bytes())
    return digest.hexdigest()[:12]


@functools.lru_cache(maxsize=None)
def product() -> Product:
    """Build the sdist, and the wheel from the sdist, once for each state of the tree."""
    target = STORE / "built" / os.environ[SOURCE]
    with made_once(target) as directory:
        if directory:
            copy = copy_source(scratch(Path("/")) / "source")
            ours("build", "--outdir", directory, copy)
    (sdist,), (wheel,) = target.glob("*.tar.gz"), target.glob("*.whl")
    target.touch()
    return Product(sdist, wheel)


@functools.lru_cache(maxsize=None)
def newest_pip() -> str:
    """Ask the configured index, once in a run, which pip is the newest."""
    target = run_dir() / "newest"
    with made_once(target) as directory:
        if directory:
            fetch(directory, "pip", "3.13")
    (wheel,) = target.glob("pip-*.whl")
    return wheel.name.split("-")[1]


def newest_patches() -> dict[str, str]:
    """Ask the configured index for every pip since 20.0: minor to its newest final release."""
    said = ours("pip", "index", "versions", "--ignore-requires-python", "pip")
    listed = re.search(r"^Available versions: (.*)$", said, re.MULTILINE)
    if not listed:
        raise MissingError(f"pip index versions did not list any: {said}")
    versions = sorted(map(Version, listed[1].split(", ")))
    return {f"{v.major}.{v.minor}": str(v) for v in versions if v >= Version("20.0")}


def pip_wheel(version: str) -> Path:
    """Download a pip, once for all runs."""
    target = STORE / "wheelhouse" / f"pip-{version}"
    with made_once(target) as directory:
        if directory:
            fetch(directory, f"pip=={version}", "3.13")
    (wheel,) = target.glob("*.whl")
    return wheel


def wrapt_wheel(python: str, version: str = "") -> Path:
    """Download a wrapt for a Python, the newest unless a version is given, once for all runs."""
    target = STORE / "wheelhouse" / f"wrapt{version and '-'}{version}-py{python}"
    with made_once(target) as directory:
        if directory:
            fetch(directory, f"wrapt=={version}" if version else "wrapt", python)
    (wheel,) = target.glob("*.whl")
    return wheel


def wheelhouse(python: str, *requirements: str) -> Path:
    """Download the wheels of some tools and of all that they need, once for all runs."""
    key = re.sub(r"[^\w.-]+", "_", "-".join((*requirements, f"py{python}")))
    target = STORE / "wheelhouse" / f"tools-{key}"
    with made_once(target) as directory:
        if directory:
            download(directory, python, *requirements)
    return target


def fetch(directory: Path, requirement: str, python: str) -> None:
    """Download one wheel for a Python that need not be the one that runs."""
    options = ["--ignore-requires-python"] if requirement.startswith("pip") else []
    download(directory, python, "--no-deps", *options, requirement)


def download(directory: Path, python: str, *arguments: str) -> None:
    """Run `pip download` for a Python that need not be the one that runs."""
    machine, platforms = platform.machine(), []
    if sys.platform == "linux":  # elsewhere pip's own idea of the platform fits every Python here
        platforms += [f"manylinux_2_{minor}_{machine}" for minor in (28, 17, 5)]
        platforms += [f"manylinux{name}_{machine}" for name in ("2014", "2010", "1")]
    options = ["--only-binary=:all:", "--python-version", python]
    options += [word for name in platforms for word in ("--platform", name)]
    ours("pip", "download", "--quiet", "--dest", directory, *options, *arguments)


@functools.lru_cache(maxsize=None)
def interpreter(python: str) -> tuple[Path, Path]:
    """Find a Python: the root of its file system, and the interpreter as this machine sees it."""
    pyenv = Path(os.environ.get("PYENV_ROOT") or Path.home() / ".pyenv")
    candidates = sorted((pyenv / "versions").glob(f"{python}.*/bin/python{python}"))
    on_path = shutil.which(f"python{python}")
    candidates += [Path(on_path)] if on_path else []
    for candidate in candidates:
        tried = subprocess.run([str(candidate), "-c", ""], check=False, capture_output=True)
        if tried.returncode == 0:
            return Path("/"), candidate
    if (CHROOT / f"usr/bin/python{python}").exists():
        return CHROOT, CHROOT / f"usr/bin/python{python}"
    raise MissingError(f"no Python {python}: neither in {pyenv}, nor on PATH, nor in {CHROOT}")


# --- environments ----------------------------------------------------------------------------


@functools.lru_cache(maxsize=None)
def environment(pip: str, python: str, armed: bool) -> Environment:
    """Give the shared environment of a pair. Tests leave it as they found it."""
    version = newest_pip() if pip == NEWEST else pip
    root, _ = interpreter(python)
    kind = f"armed/{os.environ[SOURCE]}" if armed else "bare"
    target = store(root) / kind / f"pip{version}-py{python}"
    with made_once(target) as directory:
        if directory:
            built = build(directory, pip, python, armed)
            facts = {"pip": built.pip_version, "python": built.python_version}
            (directory / "facts.json").write_text(json.dumps(facts))
    facts = json.loads((target / "facts.json").read_text())
    if armed:
        target.parent.touch()
    return Environment(target, root, facts["pip"], facts["python"], armed, label(pip, python))


def fresh_environment(pip: str, python: str, armed: bool) -> Environment:
    """Make an environment for one test alone, which may spoil it."""
    root, _ = interpreter(python)
    return build(scratch(root) / "venv", pip, python, armed)


def build(prefix: Path, pip: str, python: str, armed: bool) -> Environment:
    """Make a venv with one pip in it and, if armed, the product from its wheel."""
    root, base = interpreter(python)
    version = newest_pip() if pip == NEWEST else pip
    checked(root, base, "-m", "venv", "--without-pip", prefix)
    executable = prefix / "bin" / "python"
    wheel = inside(root, pip_wheel(version))
    checked(root, executable, f"{wheel}/pip", "install", "--quiet", "--no-index", wheel)
    if armed:
        wheels = wrapt_wheel(python), product().wheel
        checked(root, executable, "-m", "pip", "install", "--quiet", "--no-index", *wheels)
    full = checked(root, executable, "-c", "import platform; print(platform.python_version())")
    said = checked(root, executable, "-m", "pip", "--version")
    match = re.match(r"pip (\S+) from .* \(python (\S+)\)", said)
    if not match or match.groups() != (version, python):
        raise MissingError(f"pip {version} on Python {python} was wanted, but it says: {said}")
    return Environment(prefix, root, match[1], full.strip(), armed, label(pip, python))


# --- what ran --------------------------------------------------------------------------------


def note_run(environment: Environment) -> None:
    """Record that a pip did some work; appended in one write, for the workers share the file."""
    kind = "armed" if environment.armed else "bare"
    line = (environment.label, environment.pip_version, environment.python_version, kind)
    with (run_dir() / "ran").open("a") as file:
        file.write("\t".join(line) + "\n")


def note_figure(text: str) -> None:
    """Have a measured figure printed at the end of the run."""
    with (run_dir() / "figures").open("a") as file:
        file.write(text + "\n")


def figures() -> list[str]:
    """What `note_figure` was given in this run."""
    record = run_dir() / "figures"
    return record.read_text().splitlines() if record.exists() else []


def what_ran() -> dict[tuple[str, str, str], dict[str, int]]:
    """Count the runs of this test run: (label, pip, python) to armed and bare runs."""
    counts: dict[tuple[str, str, str], dict[str, int]] = {}
    record = run_dir() / "ran"
    for line in record.read_text().splitlines() if record.exists() else ():
        name, pip, python, kind = line.split("\t")
        counts.setdefault((name, pip, python), {"armed": 0, "bare": 0})[kind] += 1
    return counts


def missing_pairs() -> list[str]:
    """Name the pairs of the matrix of which no armed pip did any work."""
    ran = {name for (name, _, _), counts in what_ran().items() if counts["armed"]}
    return [name for name in (label(*pair) for pair in MATRIX) if name not in ran]
