"""Put pip_retry_patch.pth at the root of every wheel. Everything else is in setup.cfg."""

from setuptools import setup
from setuptools.command.build_py import build_py


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


setup(cmdclass={"build_py": BuildPyWithPth})
