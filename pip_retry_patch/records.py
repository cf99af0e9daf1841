"""Records that are cheap to define: `typing.NamedTuple` in all but the price.

typing compiles each annotation of a record when its class is made: a million instructions for five
fields. A pip that only wants one small wheel would pay that for every record of this package. Here
the annotations are left alone. To mypy it is typing's own.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from typing import NamedTuple as NamedTuple
else:
    from collections import namedtuple

    # What typing leaves out of a namespace as well: the tuple has its own.
    _OWN = frozenset(["__annotations__", "__module__", "__qualname__", "__slots__"])

    class _Maker(type):
        """Makes a namedtuple of the annotated names, and adds what else the class body has."""

        def __new__(mcs, name: str, bases: Any, namespace: dict[str, Any]) -> Any:
            if not bases:
                return super().__new__(mcs, name, bases, namespace)
            fields = list(namespace.get("__annotations__", ()))
            defaults = [namespace[field] for field in fields if field in namespace]
            made = namedtuple(name, fields, defaults=defaults, module=namespace["__module__"])
            for key, value in namespace.items():
                if key not in _OWN and key not in fields:
                    setattr(made, key, value)
            made.__qualname__ = namespace["__qualname__"]
            return made

    class NamedTuple(metaclass=_Maker):
        """The base of a record; its class is a plain tuple without this base."""
