"""What a start, and a small download, may cost: counts of instructions, beside kept ones.

Such counts do not depend on the machine's load. They do depend on the Python, on how it was built,
and on the pip, so the kept ones name theirs.
"""

from __future__ import annotations

import pytest

from tests.support import costs, environments, runs
from tests.support.environments import Environment
from tests.support.lab.packages import Package
from tests.support.lab.server import Lab

PIP, PYTHON = "24.0", "3.12.1"
# The instructions of an armed process by those of one without us. Where a change makes them fewer,
# or is worth more, its figures belong here, and in docs/benchmarks.md.
KEPT = {"python -c pass": 1.0292, "pip --version": 1.0070, "one small wheel": 1.0344}
SLACK = 0.003


def count(environment: Environment, what: str, index_url: str) -> int:
    """Count one process, whose files were compiled by another one before."""
    arguments = {
        "python -c pass": ["-c", "pass"],
        "pip --version": ["-m", "pip", "--version"],
        "one small wheel": ["-m", "pip", "download", "--quiet", "--index-url", index_url, "small"],
    }[what]
    environment.run_python(*arguments)
    return costs.instructions(environment, arguments, environment.fresh_dir())


@pytest.mark.parametrize("what", KEPT)
def test_nothing_has_become_dearer(what: str) -> None:
    python = PYTHON.rpartition(".")[0]
    pair = [environments.environment(PIP, python, armed) for armed in (True, False)]
    for environment in pair:
        found = environment.python_version
        assert found == PYTHON, f"the kept counts are of Python {PYTHON}: count anew on {found}"
    with Lab([Package("small", 20_000)]) as lab:
        ours, theirs = (count(environment, what, lab.index_url) for environment in pair)
    share = ours / theirs
    runs.note_figure(f"{what}, pip {PIP}: {ours:,} of {theirs:,} instructions, {share:.4f}")
    assert abs(share - KEPT[what]) <= SLACK, f"{share:.4f} instead of {KEPT[what]:.4f}"
