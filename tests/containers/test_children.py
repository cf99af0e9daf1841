"""What images do with a base image that has the product: upgrade pip, and take the product out."""

from __future__ import annotations

from tests.containers.outcomes import assert_healed, assert_plain
from tests.support import supplies
from tests.support.fatal import fatal
from tests.support.images import Engine, having
from tests.support.lab.server import Lab
from tests.support.programs import Outcome

INSTALL = """FROM your-base
COPY requirements.txt .
RUN pip install --no-cache-dir -r requirements.txt
"""


def test_an_upgraded_pip_is_guarded(base: str, engine: Engine) -> None:
    engine.make(f"FROM {base}\nRUN pip install --no-cache-dir --upgrade pip\n", "upgraded")
    newest = supplies.newest_pip()
    assert f"pip {newest} from" in engine.run("upgraded", "pip", "--version").stdout
    assert_healed(*installed_on("upgraded", engine))


def test_uninstalled_it_leaves_plain_pip(base: str, engine: Engine) -> None:
    remove = "RUN pip uninstall --yes pip-retry-patch wrapt && python -m venv /venv"
    done = engine.make(f"FROM {base}\n{remove}\n", "removed")
    assert "Successfully uninstalled pip-retry-patch" in done.output
    # Nothing of ours is in the layer but what marks files of the layer below as removed.
    left = having(engine.added("removed", base), "retry_patch", "retry-patch")
    assert not any(left.values())
    for python in ("python", "/venv/bin/python"):
        find = "import importlib.util as u; print(u.find_spec('pip_retry_patch'))"
        assert engine.run("removed", python, "-c", find)[:3] == (0, "None\n", "")
    assert_plain(*installed_on("removed", engine))


def test_a_venv_of_the_base_is_silent_once_the_base_has_been_cleaned(
    base: str, engine: Engine
) -> None:
    lines = "RUN python -m venv /venv", "RUN pip uninstall --yes pip-retry-patch wrapt"
    engine.make("\n".join([f"FROM {base}", *lines, ""]), "cleaned")
    assert engine.run("cleaned", "/venv/bin/python", "-c", "pass")[:3] == (0, "", "")
    listed = engine.run("cleaned", "/venv/bin/pip", "list")
    assert (listed.returncode, listed.stderr) == (0, "")


def installed_on(image: str, engine: Engine) -> tuple[Outcome, Lab]:
    with Lab([fatal()]) as lab:
        engine.offer("your-base", image, lab.index_url)
        return engine.build(INSTALL, "built"), lab
