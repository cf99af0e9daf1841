"""Every recipe of docs/fleets.md, as it stands there, from an index that breaks what it serves.

Where a recipe heals, the same recipe on an image without the product shows what plain pip does.
"""

from __future__ import annotations

import hashlib
import re
import shutil
import zipfile
import zlib
from io import BytesIO

import pytest

from tests.containers.conftest import PYTHON, STANDARD
from tests.support import partials, supplies
from tests.support.directories import scratch
from tests.support.fatal import assert_healed, fatal
from tests.support.images import Engine, Files, having, without
from tests.support.lab.packages import Package
from tests.support.lab.server import Lab
from tests.support.partials import RATE, SIZE, SLACK
from tests.support.programs import Argument, Outcome
from tests.support.recipes import RECIPES, recipe, taken

DEBIAN = recipe("A base image", number=1)
PINNED = recipe("Pinned, with hashes")
PINS = recipe("Pinned, with hashes", "text")
CANARY = recipe("Canary, upgrade, rollback")
STAGES = recipe("Several stages, with a virtual environment")
UNPATCHED = recipe("Several stages, with a virtual environment", number=1)
CACHE = recipe("A build cache that keeps unfinished downloads")
PARTIALS = recipe("A build cache that keeps unfinished downloads", number=1)
USER = recipe("A build cache that keeps unfinished downloads", number=2)
SECRET = recipe("A private index")
SECRET_LINE = recipe("A private index", "console")
NOT_ROOT = recipe("Not root, and read-only")
READ_ONLY = recipe("Not root, and read-only", "console")
BUILDS = recipe("Settings for builds")

SELFTEST = "faults were healed; every file is what the index has."


def payload(lab: Lab) -> bytes:
    with zipfile.ZipFile(BytesIO(lab.wheel("demo"))) as wheel:
        return wheel.read("demo/payload.bin")


def assert_added(files: Files, lab: Lab, *others: str) -> None:
    """Assert that a layer has demo, with the right bytes, what Python compiles, and `others`."""
    (found,) = having(files, "demo/payload.bin").values()
    assert found == payload(lab)
    more = without(files, "-packages/demo", "requirements.txt", *others)
    assert not without(more, ".pyc")
    assert not having(more, "retry_patch", "retry-patch", "wrapt")


def build_broken(engine: Engine, recipe: str, origin: str) -> tuple[Outcome, Lab]:
    """Build a recipe on `origin`, from an index whose first two answers break off."""
    with Lab([fatal()]) as lab:
        engine.offer("your-base", origin, lab.index_url)
        return engine.build(recipe, "built"), lab


def assert_plain(done: Outcome, lab: Lab) -> None:
    """Assert that pip ended as it does without us, at the first break."""
    assert done.returncode != 0
    assert "resumed at" not in done.output
    assert "Traceback" in done.output
    assert len(lab.requests("demo", "artifact")) == 1


def kill_in_the_middle(engine: Engine, lab: Lab, recipe: str, *options: Argument) -> str:
    """Kill a build when half of its download has come; return what it had printed."""
    shutil.rmtree(engine.folder / "tmp" / "buildah-cache", ignore_errors=True)  # cache mounts
    build = engine.start(recipe, "built", *options)
    partials.wait_for_bytes(build, lab, SIZE // 2)
    printed = engine.kill(build)
    lab.wait_idle()
    return printed


def assert_continued(done: Outcome, lab: Lab, guarded: bool = True) -> None:
    assert ("Continuing demo-1.0 from" in done.output) == guarded
    sent = lab.sent("demo")
    assert sent < SIZE + SLACK if guarded else sent > SIZE + SIZE // 2


def test_every_recipe_of_the_page_is_run() -> None:
    base = recipe("A base image")  # by the fixture
    assert {each.text for each in RECIPES} == {base, *(each.text for each in taken)}


def test_base_image(first_build: Outcome, base: str, engine: Engine) -> None:
    assert SELFTEST in first_build.output
    assert '"PIP_RETRY_PATCH_VENVS=1"' in engine.ask("inspect", base)
    files = engine.added(base, STANDARD)
    ours = having(files, "pip_retry_patch", "wrapt", "bin/pip-retry-patch")
    assert not without(files, *ours, ".pyc")
    assert not having(files, "cache/", "tmp/", "root/", "home/")
    assert sum(len(zlib.compress(data)) for data in ours.values()) < 900_000
    assert engine.run(base, "python", "-c", "pass")[:3] == (0, "", "")
    status = engine.run(base, "pip-retry-patch", "status")
    assert status.returncode == 0 and " guards pip " in status.stdout


def test_debians_python(debian: str, engine: Engine) -> None:
    done = engine.make(DEBIAN, "debian-base")
    assert SELFTEST in done.output
    assert not having(engine.added("debian-base", debian), "root/", "home/", "tmp/")
    install = "RUN pip install --break-system-packages --no-cache-dir -r requirements.txt"
    with Lab([fatal()]) as lab:
        engine.offer("your-base", "debian-base", lab.index_url)
        child = f"FROM your-base\nCOPY requirements.txt .\n{install}\n"
        assert_healed(engine.build(child, "built"), lab)
        assert_added(engine.added("built", "your-base"), lab)
    with Lab([fatal()]) as lab:
        engine.offer("your-base", "debian-base", lab.index_url)
        remove = "RUN pip uninstall --yes --break-system-packages pip-retry-patch wrapt"
        assert_plain(engine.build(child.replace("COPY", f"{remove}\nCOPY"), "built"), lab)
        refused = engine.build(child.replace(" --break-system-packages", ""), "built")
        assert refused.returncode != 0
        assert "externally-managed-environment" in refused.output


def test_pinned_with_hashes(python_image: str, engine: Engine) -> None:
    lines, context = [], scratch()
    wheels = supplies.product().wheel, supplies.wrapt_wheel(PYTHON)
    for line, wheel in zip(PINS.splitlines(), wheels):
        version, digest = wheel.name.split("-")[1], hashlib.sha256(wheel.read_bytes()).hexdigest()
        lines.append(re.sub("==[^ ]+ (.*)…", rf"=={version} \g<1>{digest}", line))
    pins = context / "pip-retry-patch.txt"
    pins.write_text("\n".join(lines))
    assert SELFTEST in engine.make(PINNED, "pinned", context=context).output
    pins.write_text("\n".join(lines).replace(digest, "0" * 64))
    assert "DO NOT MATCH" in engine.build(PINNED, "spoiled", context=context).output


def test_a_canary_is_guarded_and_the_others_have_plain_pip(base: str, engine: Engine) -> None:
    engine.offer("your-base", base, "")
    engine.make(CANARY, "canary")
    for code, options in ((1, ()), (0, ("--env=PIP_RETRY_PATCH=1",))):
        assert engine.run(*options, "canary", "pip-retry-patch", "status").returncode == code


def test_several_stages(base: str, engine: Engine) -> None:
    done, lab = build_broken(engine, STAGES, base)
    assert_healed(done, lab)
    files = engine.added("built", "your-base")
    assert all(path.startswith("venv/") for path in files)
    link = "pip_retry_patch_link.pth"
    assert having(files, link)
    of_venv = "/pip/", "/pip-", "venv/bin/", "venv/lib64", "venv/pyvenv.cfg", "venv/.gitignore"
    assert_added(files, lab, link, *of_venv)
    assert_guards(engine, "built", True)


def test_stages_on_plain_python(python_image: str, engine: Engine) -> None:
    assert_plain(*build_broken(engine, STAGES, python_image))


def test_unpatched_last_stage(base: str, engine: Engine) -> None:
    done, lab = build_broken(engine, UNPATCHED, base)
    assert_healed(done, lab)
    files = engine.added("built", STANDARD)
    assert not having(files, "retry_patch", "retry-patch", "wrapt")
    assert_guards(engine, "built", False)


def assert_guards(engine: Engine, image: str, guards: bool) -> None:
    """Run the pip in /venv against broken answers, and its Python, which has to be silent."""
    assert engine.run(image, "/venv/bin/python", "-c", "pass")[:3] == (0, "", "")
    with Lab([fatal()]) as lab:
        pip: list[Argument] = ["/venv/bin/pip", "download", "--index-url", lab.index_url, "demo"]
        done = engine.run(image, *pip)
        (assert_healed if guards else assert_plain)(done, lab)


@pytest.mark.parametrize("guarded", [True, False])
@pytest.mark.parametrize("recipe", [CACHE, PARTIALS, USER], ids=["cache", "partials", "user"])
def test_a_build_that_was_killed_is_continued(
    recipe: str, guarded: bool, base: str, python_image: str, engine: Engine
) -> None:
    with Lab([Package("demo", SIZE)], rate=RATE) as lab:
        engine.offer("your-base", base if guarded else python_image, lab.index_url)
        kill_in_the_middle(engine, lab, recipe)
        assert_continued(engine.make(recipe, "built"), lab, guarded)
    assert_added(engine.added("built", "your-base"), lab, *WITH_USERADD)


# What `useradd --create-home` writes.
USERS = "etc/passwd", "etc/group", "etc/shadow", "etc/gshadow", "etc/subuid", "etc/subgid"
WITH_USERADD = (*USERS, "etc/.pwd.lock", "home/app/.bash", "home/app/.profile", "var/log/")


def test_a_password_gets_nowhere(base: str, engine: Engine) -> None:
    *_, source, _ = SECRET_LINE.split()
    assert source == "id=pip,src=pip.conf"
    configuration = scratch() / "pip.conf"
    option = "--secret", f"id=pip,src={configuration}"
    with Lab([Package("demo", SIZE)], rate=RATE) as lab:
        private = lab.index_url.replace("//", "//somebody:pass-word@")
        configuration.write_text(f"[global]\nindex-url = {private}\n")
        engine.offer("your-base", base, "")  # a variable would outrank the file
        printed = kill_in_the_middle(engine, lab, SECRET, *option)
        # The mount is there in the next build, and only there.
        engine.make(f"FROM your-base\n{LOOK} # {lab.url}\n", "looked")
        done = engine.make(SECRET, "built", *option)
        asked = [request.headers.get("authorization") for request in lab.requests("demo")]
    assert_continued(done, lab)
    assert len(asked) >= 4
    assert all(asked)
    files = engine.added("built", "your-base")
    assert_added(files, lab)
    for said in (printed, done.output, *map(repr, files.values())):
        assert "pass-word" not in said


LOOK = (
    "RUN --mount=type=cache,target=/root/.cache/pip cd /root/.cache/pip &&"
    " find retry-patch -name '*.whl' | grep . && ! grep -r pass-word ."
)


def test_not_root(base: str, engine: Engine) -> None:
    with Lab([]) as lab:
        engine.offer("your-base", base, lab.index_url)
    assert SELFTEST in engine.make(NOT_ROOT, "built").output
    assert not without(engine.added("built", "your-base"), ".pyc")


@pytest.mark.parametrize("guarded", [True, False])
def test_read_only(guarded: bool, base: str, python_image: str, engine: Engine) -> None:
    prompt, docker, run, *words = READ_ONLY.split()
    assert (prompt, docker, run) == ("$", "docker", "run")
    with Lab([fatal()]) as lab:
        engine.offer("image", base if guarded else python_image, lab.index_url)
        done = engine.run(*("image" if word == "IMAGE" else word for word in words))
        (assert_healed if guarded else assert_plain)(done, lab)


def test_settings_for_builds(base: str, engine: Engine) -> None:
    with Lab([]) as lab:
        engine.offer("your-base", base, lab.index_url)
    engine.make(BUILDS, "built")
    said = engine.run("built", "pip-retry-patch", "status").stdout
    for setting in ("patience +600 ", "attempts +20 ", "indexes +all "):
        assert re.search(f"retry-patch-{setting}", said), said
