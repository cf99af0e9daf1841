"""A Python that treats files as one on Windows does, as far as that can be had on Linux.

What is open in this process is neither removed nor replaced. There is no `fcntl`, but an `msvcrt`
that locks. This is the text of a sitecustomize.py, which a test lays beside a pip. os.name and the
paths stay as they are: what depends on those has tests of its own, with what Windows has handed in.
"""

SITECUSTOMIZE = r'''
import errno
import fcntl
import importlib.abc
import importlib.machinery
import multiprocessing  # these, too, choose by what can be imported, and have chosen now
import os
import subprocess
import sys
import tempfile


def is_open(path):
    real = os.path.realpath(path)
    for number in os.listdir("/proc/self/fd"):
        try:
            if os.readlink("/proc/self/fd/" + number) == real:
                return True
        except OSError:
            pass
    return False


class Refusing:  # no function: pathlib of Python 3.8 and 3.9 makes methods of them
    def __init__(self, function, names):
        self.function, self.names = function, names

    def __call__(self, *paths, **named):
        if not named and all(isinstance(path, (str, os.PathLike)) for path in paths):
            for path in paths[: self.names]:
                if os.path.isfile(path) and not os.path.islink(path) and is_open(path):
                    with open(os.environ["REFUSED"], "a") as refused:
                        refused.write("%s %s\n" % (self.function.__name__, path))
                    raise PermissionError(errno.EACCES, "it is being used", str(path))
        return self.function(*paths, **named)


for name, names in (("unlink", 1), ("remove", 1), ("rename", 2), ("replace", 2)):
    setattr(os, name, Refusing(getattr(os, name), names))


def locking(handle, mode, count):
    assert (mode, count) == (2, 1), (mode, count)
    fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)


class Loader(importlib.abc.Loader):
    def create_module(self, spec):
        return None

    def exec_module(self, module):
        module.LK_NBLCK, module.locking = 2, locking


class Finder:
    """Only the store asks in vain for fcntl, and then finds msvcrt."""

    @staticmethod
    def find_spec(name, path=None, target=None):
        asks = sys._getframe(1)
        while asks is not None and asks.f_globals.get("__name__") != "pip_retry_patch.store.kept":
            asks = asks.f_back
        if asks is not None and name == "msvcrt":
            return importlib.machinery.ModuleSpec(name, Loader())
        if name == "pip_retry_patch.store.kept":
            sys.modules["fcntl"] = None
        return None


sys.meta_path.insert(0, Finder)
'''
