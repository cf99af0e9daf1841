"""Pythons that start: environments without pip, and what a start executes."""

from __future__ import annotations

from pathlib import Path

from tests.support import costs, environments, programs
from tests.support.environments import Environment

# How many finders of ours wait once pip is imported.
ARMED = "import pip, sys; print(sys.meta_path.count(sys.modules.get('pip_retry_patch')))"


def new_venv(directory: Path, python: str) -> Environment:
    root, base = environments.interpreter(python)
    programs.checked(root, base, "-m", "venv", "--without-pip", directory)
    return Environment(directory, root, "none", python, armed=False, label="")


def instructions(environment: Environment) -> int:
    """Count what `python -c pass` executes; the less of two runs, files compiled before."""
    environment.run_python("-c", ARMED)
    counts = []
    for _ in range(2):
        directory = environment.fresh_dir()
        command: list[str | Path] = [environment.python, "-c", "pass"]
        env = {"HOME": directory}
        counts.append(costs.instructions(environment.root, command, env, directory, limit=120))
    return min(counts)
