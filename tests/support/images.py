"""Container images: how they are built, run and taken apart, by buildah and podman, as root.

Everything uses the network of this machine, so that an index on loopback can be reached.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import tempfile
from pathlib import Path
from typing import Any, Dict

from tests.support import programs
from tests.support.directories import scratch
from tests.support.programs import Argument, MissingError, Outcome

# What a build adds to the image that it begins with: files by their paths, which begin without `/`.
Files = Dict[str, bytes]


def having(files: Files, *words: str) -> Files:
    """The files whose path has one of these words in it."""
    return {path: data for path, data in files.items() if any(word in path for word in words)}


def without(files: Files, *words: str) -> Files:
    """The files whose path has none of these words in it."""
    return {path: files[path] for path in files.keys() - having(files, *words)}


class Engine:
    """Builds and runs images, which are kept in a directory of its own.

    Raises MissingError where a program is missing.
    """

    def __init__(self) -> None:
        path = f"{os.environ.get('PATH', os.defpath)}:/usr/sbin:/sbin"
        needed = ("buildah", "podman", "runc", "debootstrap")
        if os.geteuid() != 0 or not all(shutil.which(program, path=path) for program in needed):
            raise MissingError(f"images need root and {', '.join(needed)}; .ci/run installs them")
        # Not among the test environments: podman refuses a path of more than 50 characters.
        self.folder = Path(tempfile.mkdtemp(prefix="images-", dir="/var/tmp"))
        (self.folder / "tmp").mkdir()
        kept = ("--root", str(self.folder / "root"), "--runroot", str(self.folder / "run"))
        # crun, the default, refuses where cgroups are not delegated.
        self.podman = ("podman", *kept, "--runtime", "runc", "--cgroup-manager", "cgroupfs")
        self.buildah = ("buildah", *kept)

    def start(
        self, dockerfile: str, tag: str, *options: Argument, context: Path | None = None
    ) -> subprocess.Popen[str]:
        """Begin to build an image in `context`, or in a directory whose requirements name demo."""
        if context is None:
            context = scratch()
            (context / "requirements.txt").write_text("demo\n")
        (context / "Dockerfile").write_text(dockerfile)
        build = ("bud", "--isolation=chroot", "--network=host", "--pull-never", "--tag", tag)
        return self._launch(*self.buildah, *build, *options, context)

    def build(self, *what: Any, **more: Any) -> Outcome:
        """Do that, and wait for it."""
        return programs.finish(self.start(*what, **more), 180)

    def make(self, *what: Any, **more: Any) -> Outcome:
        """Do that, and it has to succeed."""
        return self.build(*what, **more).assert_success()

    def offer(self, tag: str, origin: str, index_url: str) -> str:
        """Have `tag` name an image whose pip asks an index on this machine; return the tag."""
        variables = f"PIP_INDEX_URL={index_url} PIP_TRUSTED_HOST=127.0.0.1"
        self.make(f"FROM {origin}\nENV {variables}\n", tag)
        return tag

    def run(self, *words: Argument) -> Outcome:
        """Run what stands behind `docker run`; the container is removed then."""
        # podman's own limits are higher than what a container may be given in a container.
        limits = ("--ulimit=nofile=1024:1024", "--ulimit=nproc=1024:1024")
        return self._tool(*self.podman, "run", "--network=host", *limits, "--rm", *words)

    def ask(self, *words: Argument) -> str:
        done = self._tool(*self.podman, *words)
        if done.returncode:
            raise MissingError(f"{' '.join(map(str, words))} failed:\n{done.output}")
        return done.stdout

    def added(self, image: str, base: str) -> Files:
        """What an image has that its base has not. Of a file that two layers have, the upper."""
        (lower,), (upper,) = (json.loads(self.ask("inspect", each)) for each in (base, image))
        count = len(upper["RootFS"]["Layers"]) - len(lower["RootFS"]["Layers"])
        data = upper["GraphDriver"]["Data"]
        folders = [data["UpperDir"], *data["LowerDir"].split(":")][:count]
        return {
            str(path.relative_to(folder)): path.read_bytes()
            if path.is_file() and not path.is_symlink()
            else b""
            for folder in map(Path, reversed(folders))
            for path in folder.rglob("*")
            if path.is_symlink() or not path.is_dir()
        }

    def kill(self, build: subprocess.Popen[str]) -> str:
        """End a build as a runner does that is out of time; return what it had printed."""
        programs.kill(build)
        printed, errors = build.communicate(timeout=30)
        self._tool(*self.buildah, "rm", "--all")
        return printed + errors

    def close(self) -> None:
        self._tool(*self.buildah, "rm", "--all")
        for mount in sorted(_mounts_below(self.folder), reverse=True):
            self._tool("umount", "--lazy", mount)
        if not _mounts_below(self.folder):  # else what is mounted there would be emptied
            shutil.rmtree(self.folder, ignore_errors=True)

    def _launch(self, *command: Argument) -> subprocess.Popen[str]:
        env = {"TMPDIR": self.folder / "tmp", "HOME": self.folder}
        return programs.launch(command, env, self.folder)

    def _tool(self, *command: Argument) -> Outcome:
        return programs.finish(self._launch(*command), 180)


def _mounts_below(folder: Path) -> list[str]:
    lines = Path("/proc/self/mounts").read_text().splitlines()
    return [path for path in (line.split()[1] for line in lines) if path.startswith(f"{folder}/")]
