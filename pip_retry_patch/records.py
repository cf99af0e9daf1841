"""Records and enumerations that are cheap to define; to mypy they are the standard library's.

`typing.NamedTuple` compiles each annotation, `collections.namedtuple` a constructor, `enum.Enum`
makes a class with some thirty methods. A pip that only wants one small wheel would pay up to a
million instructions for each of them. Here a class body is all that is made.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Iterator

if TYPE_CHECKING:
    from enum import Enum as Enum
    from typing import NamedTuple as NamedTuple
else:
    from collections import _tuplegetter

    class _Record(tuple):
        """What all records have in common: the methods of a named tuple."""

        __slots__ = ()
        _fields: tuple[str, ...]
        _defaults: dict[str, Any]

        def __new__(cls, *values: Any, **named: Any) -> Any:
            if named or len(values) != len(cls._fields):
                values = cls._complete(values, named)
            return tuple.__new__(cls, values)

        @classmethod
        def _complete(cls, values: Any, named: Any) -> Any:
            """Return the values of all fields. Raises TypeError for one too few or too many."""
            wanted = cls._fields[len(values) :]
            given = {**cls._defaults, **named}
            if len(values) > len(cls._fields) or named.keys() - set(wanted):
                raise TypeError(f"{cls.__name__} takes {', '.join(cls._fields)}")
            try:
                return (*values, *[given[field] for field in wanted])
            except KeyError as missing:
                raise TypeError(f"{cls.__name__} needs {missing}") from None

        def _replace(self, **changes: Any) -> Any:
            return type(self)(**{**self._asdict(), **changes})

        def _asdict(self) -> dict[str, Any]:
            return dict(zip(self._fields, self))

        def __getnewargs__(self) -> Any:
            return tuple(self)

        def __repr__(self) -> str:
            values = ", ".join(f"{field}={value!r}" for field, value in self._asdict().items())
            return f"{type(self).__name__}({values})"

    class _Records(type):
        """Makes a record of the annotated names, with what else the class body has."""

        def __new__(mcs, name: str, bases: Any, namespace: dict[str, Any]) -> Any:
            if not bases:
                return super().__new__(mcs, name, bases, namespace)
            fields = tuple(namespace.get("__annotations__", ()))
            defaults = {field: namespace[field] for field in fields if field in namespace}
            getters = {field: _tuplegetter(at, "") for at, field in enumerate(fields)}
            own = {"_fields": fields, "_defaults": defaults, "__slots__": ()}
            return type(name, (_Record,), {**namespace, **getters, **own})

    class NamedTuple(metaclass=_Records):
        """The base of a record; its class is a plain tuple without this base."""

    class _Choices(type):
        """Makes an object of each name in the class body; `value` is what stands there."""

        def __new__(mcs, name: str, bases: Any, namespace: dict[str, Any]) -> Any:
            made = super().__new__(mcs, name, bases, namespace)
            made._members = []
            for key, value in namespace.items():
                if not key.startswith("_"):
                    member = object.__new__(made)
                    member.name, member.value = key, value
                    setattr(made, key, member)
                    made._members.append(member)
            return made

        def __iter__(cls) -> Iterator[Any]:
            return iter(cls._members)

    class Enum(metaclass=_Choices):
        """The base of an enumeration."""

        def __repr__(self) -> str:
            return f"{type(self).__name__}.{self.name}"
