"""Container images: how they are built, run and taken apart.

The engine is buildah with podman, as root, or Docker where `PIP_RETRY_PATCH_TEST_ENGINE=docker`.
Everything uses the network of this machine, so that an index on loopback can be reached.
"""

from __future__ import annotations

import gzip
import io
import json
import os
import shutil
import stat
import subprocess
import tarfile
import tempfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import Dict, Mapping

from tests.support import programs
from tests.support.directories import scratch
from tests.support.programs import Argument, MissingError, Outcome

HERE = Path("/")
LABEL = "pip-retry-patch-test"  # of every image that is made here


# What a build adds to the image that it begins with: files by their paths, which begin without `/`.
Files = Dict[str, bytes]


def having(files: Files, *words: str) -> Files:
    """The files whose path has one of these words in it."""
    return {path: data for path, data in files.items() if any(word in path for word in words)}


def without(files: Files, *words: str) -> Files:
    """The files whose path has none of these words in it."""
    left_out = having(files, *words)
    return {path: data for path, data in files.items() if path not in left_out}


def packed(files: Files) -> int:
    """The size of a layer with these files, as a registry keeps it: a tar file, by gzip."""
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as archive:
        for path, data in sorted(files.items()):
            member = tarfile.TarInfo(path)
            member.size = len(data)
            archive.addfile(member, io.BytesIO(data))
    return len(gzip.compress(out.getvalue(), 6, mtime=0))


@dataclass(frozen=True)
class Engine:
    """How images are built and run. What the programs need is kept in `folder`."""

    folder: Path
    client: tuple[Argument, ...]
    builder: tuple[Argument, ...]
    runner: tuple[Argument, ...]
    env: Mapping[str, Argument] = field(default_factory=dict)

    @property
    def is_docker(self) -> bool:
        """Whether it has the images of a registry, and a daemon that keeps what it builds."""
        return "bud" not in self.builder

    def start(
        self, dockerfile: str, tag: str, *options: Argument, context: Path | None = None
    ) -> subprocess.Popen[str]:
        """Begin to build an image in a directory: `context`, or one with a requirements.txt.

        That file names demo. No two are the same, so that Docker takes no step from another build.
        """
        if context is None:
            context = scratch()
            (context / "requirements.txt").write_text(f"demo  # {context.name}\n")
        (context / "Dockerfile").write_text(dockerfile)
        command = [*self.builder, "--label", f"{LABEL}=1", "--tag", tag, *options, context]
        return programs.launch(command, {**self.env, "HOME": self.folder}, context)

    def build(
        self, dockerfile: str, tag: str, *options: Argument, context: Path | None = None
    ) -> Outcome:
        return programs.finish(self.start(dockerfile, tag, *options, context=context), 180)

    def make(
        self, dockerfile: str, tag: str, *options: Argument, context: Path | None = None
    ) -> Outcome:
        done = self.build(dockerfile, tag, *options, context=context)
        assert done.returncode == 0, done.output
        return done

    def make_from(self, tree: Path, tag: str) -> None:
        self.ask("import", "--change", f"LABEL {LABEL}=1", tree, tag)

    def offer(self, tag: str, origin: str, index_url: str) -> str:
        """Have `tag` name an image whose pip asks an index on this machine; return the tag."""
        variables = f"PIP_INDEX_URL={index_url} PIP_TRUSTED_HOST=127.0.0.1"
        self.make(f"FROM {origin}\nENV {variables}\n", tag)
        return tag

    def run(self, image: str, *command: Argument, options: tuple[Argument, ...] = ()) -> Outcome:
        return self.run_as_typed([*options, image, *command])

    def run_as_typed(self, words: list[Argument]) -> Outcome:
        """Run what stands behind `docker run`; the container is removed then."""
        return self._tool(*self.runner, "--rm", *words)

    def ask(self, *words: Argument) -> str:
        done = self._tool(*self.client, *words)
        if done.returncode:
            raise MissingError(f"{' '.join(map(str, words))} failed:\n{done.output}")
        return done.stdout

    def variables(self, image: str) -> list[str]:
        found: list[str] = json.loads(self.ask("inspect", image))[0]["Config"]["Env"]
        return found

    def added(self, image: str, base: str) -> Files:
        """What an image has that its base has not. Of a file that two layers have, the upper."""
        (lower,), (upper,) = (json.loads(self.ask("inspect", each)) for each in (base, image))
        height = len(lower["RootFS"]["Layers"])
        if self.is_docker:
            return self._added_above(image, height)
        data, count = upper["GraphDriver"]["Data"], len(upper["RootFS"]["Layers"]) - height
        folders = [data["UpperDir"], *data["LowerDir"].split(":")][:count]
        return {
            str(path.relative_to(folder)): path.read_bytes() if _is_regular(path) else b""
            for folder in map(Path, reversed(folders))
            for path in folder.rglob("*")
            if path.is_symlink() or not path.is_dir()
        }

    def _added_above(self, image: str, height: int) -> Files:
        saved = scratch() / "saved.tar"
        self.ask("save", "--output", saved, image)
        files: Files = {}
        with tarfile.open(saved) as outer:
            (manifest,) = json.loads(_content(outer, "manifest.json"))
            for name in manifest["Layers"][height:]:
                with tarfile.open(fileobj=io.BytesIO(_content(outer, name))) as layer:
                    for member in layer:
                        if not member.isdir():
                            files[member.name] = _content(layer, member) if member.isreg() else b""
        saved.unlink()
        return files

    def kill(self, build: subprocess.Popen[str]) -> str:
        """End a build as a runner does that is out of time; return what it had printed."""
        programs.kill(build)
        printed, errors = build.communicate(timeout=30)
        self.sweep()
        return printed + errors

    def forget_caches(self) -> None:
        """Empty all cache mounts."""
        if self.is_docker:
            self.ask("builder", "prune", "--force", "--filter", "type=exec.cachemount")
        else:
            shutil.rmtree(self.folder / "tmp" / "buildah-cache", ignore_errors=True)

    def sweep(self) -> None:
        """Remove what a killed build leaves. A daemon does that by itself."""
        if not self.is_docker:
            self._tool(*self.builder[: self.builder.index("bud")], "rm", "--all")

    def close(self) -> None:
        """Remove all images: those in the directory with it, from Docker what was built.

        Else Docker would go on to know a python:3.13-slim that asks an index which is gone.
        """
        self.sweep()
        if self.is_docker:
            self._tool(
                *self.client, "image", "prune", "--all", "--force", f"--filter=label={LABEL}"
            )
        else:
            for mount in sorted(_mounts_below(self.folder), reverse=True):
                self._tool("umount", "--lazy", mount)
        if not _mounts_below(self.folder):  # else what is mounted there would be emptied
            shutil.rmtree(self.folder, ignore_errors=True)

    def _tool(self, *command: Argument) -> Outcome:
        variables = {**self.env, "HOME": self.folder}
        return programs.finish(programs.launch(list(command), variables, self.folder), 180)


def _is_regular(path: Path) -> bool:
    return stat.S_ISREG(path.lstat().st_mode)


def _content(archive: tarfile.TarFile, member: str | tarfile.TarInfo) -> bytes:
    found = archive.extractfile(member)
    assert found, member
    return found.read()


def _mounts_below(folder: Path) -> list[str]:
    lines = Path("/proc/self/mounts").read_text().splitlines()
    return [path for path in (line.split()[1] for line in lines) if path.startswith(f"{folder}/")]


def engine() -> Engine:
    """Choose the engine. Raises MissingError where one of its programs is missing."""
    name = os.environ.get("PIP_RETRY_PATCH_TEST_ENGINE", "buildah")
    needed = {"docker": ["docker"], "buildah": ["buildah", "podman", "runc", "debootstrap"]}[name]
    path = f"{os.environ.get('PATH', os.defpath)}:/usr/sbin:/sbin"
    missing = [program for program in needed if not shutil.which(program, path=path)]
    if missing or (name == "buildah" and os.geteuid() != 0):
        raise MissingError(f"images need root and {', '.join(needed)}; .ci/run installs them")
    # Not among the test environments: podman refuses a path of more than 50 characters.
    folder = Path(tempfile.mkdtemp(prefix="images-", dir="/var/tmp"))
    return {"docker": docker, "buildah": buildah}[name](folder)


def buildah(folder: Path) -> Engine:
    """Buildah without a daemon; its storage, and what its cache mounts hold, are in `folder`."""
    (folder / "tmp").mkdir()
    kept: tuple[Argument, ...] = ("--root", folder / "root", "--runroot", folder / "run")
    # crun, the default, refuses where cgroups are not delegated.
    podman = "podman", *kept, "--runtime", "runc", "--cgroup-manager", "cgroupfs"
    return Engine(
        folder=folder,
        client=podman,
        builder=("buildah", *kept, "bud", "--isolation=chroot", "--network=host", "--pull-never"),
        runner=(*podman, "run", "--network=host", *_LIMITS),
        env={"TMPDIR": folder / "tmp"},
    )


# podman's own are higher than what a container may be given in a container.
_LIMITS = "--ulimit=nofile=1024:1024", "--ulimit=nproc=1024:1024"


def docker(folder: Path) -> Engine:
    """Docker with BuildKit, which keeps what it builds, and its cache mounts, for itself."""
    client = shutil.which("docker") or "docker"
    host = {name: value for name, value in os.environ.items() if name == "DOCKER_HOST"}
    return Engine(
        folder=folder,
        client=(client,),
        builder=(client, "build", "--network=host", "--progress=plain"),
        runner=(client, "run", "--network=host"),
        env={"DOCKER_BUILDKIT": "1", **host},
    )
