"""What setup.cfg cannot say: where the .pth file goes, and a build that is the same each time."""

import contextlib
import gzip
import os
import tarfile
from pathlib import Path

from setuptools import setup
from setuptools.command.build_py import build_py
from setuptools.command.sdist import sdist


class BuildPyWithPth(build_py):
    """Build the package, and lay the .pth file beside it.

    No declaration can do this: data files land under `sys.prefix`, and an editable wheel has none
    at all. What an editable wheel holds is collected in `install_lib` instead of `build_lib`.
    """

    def run(self):
        """Build as ever, then copy one more file."""
        super().run()
        editable = getattr(self, "editable_mode", False)
        root = self.get_finalized_command("install").install_lib if editable else self.build_lib
        self.mkpath(root)
        self.copy_file("pip_retry_patch.pth", root)


class ReproducibleSdist(sdist):
    """Obey SOURCE_DATE_EPOCH, as setuptools itself does for wheels only.

    The same tree then gives the same bytes: https://reproducible-builds.org/docs/archives/
    """

    def make_archive(self, base_name, format, root_dir=None, base_dir=None, **owners):
        """Write a .tar.gz that tells nothing of the time, the user and the umask of this build."""
        epoch = os.environ.get("SOURCE_DATE_EPOCH")
        if not epoch or format != "gztar":
            return super().make_archive(base_name, format, root_dir, base_dir, **owners)

        def leveled(member):
            member.mtime = int(epoch)
            member.uid = member.gid = 0
            member.uname = member.gname = ""
            member.mode = 0o755 if member.isdir() or member.mode & 0o100 else 0o644
            return member

        path = f"{base_name}.tar.gz"
        with contextlib.ExitStack() as stack:
            raw = stack.enter_context(open(path, "wb"))
            zipped = stack.enter_context(gzip.GzipFile("", "wb", 9, raw, int(epoch)))
            archive = stack.enter_context(tarfile.open(fileobj=zipped, mode="w"))
            for member in [Path(base_dir), *sorted(Path(base_dir).rglob("*"))]:
                archive.add(member, recursive=False, filter=leveled)
        return path


if os.environ.get("SOURCE_DATE_EPOCH"):
    os.umask(0o022)  # a wheel holds the modes of what build_py and bdist_wheel write
setup(cmdclass={"build_py": BuildPyWithPth, "sdist": ReproducibleSdist})
