"""Records that cost little to define; to mypy they are dataclasses of the standard library.

`dataclasses`, `NamedTuple` and `Enum` compile methods for each class: half a million to a million
instructions, which each small pip run would pay for.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

__all__ = ["record", "replace"]

if TYPE_CHECKING:
    from dataclasses import dataclass as record
    from dataclasses import replace
else:

    def record(cls: Any) -> Any:
        """Give a class whose body annotates its fields a constructor and `==`.

        That it is called with the right fields, mypy checks.
        """
        fields = tuple(cls.__annotations__)

        def __init__(self: Any, *values: Any, **named: Any) -> None:
            named.update(zip(fields, values))
            self.__dict__ = named

        def __repr__(self: Any) -> str:
            shown = ", ".join(f"{field}={getattr(self, field)!r}" for field in fields)
            return f"{cls.__name__}({shown})"

        def __eq__(self: Any, other: Any) -> bool:
            return type(other) is cls and all(getattr(self, f) == getattr(other, f) for f in fields)

        cls.__init__, cls.__repr__, cls.__eq__ = __init__, __repr__, __eq__
        return cls

    def replace(of: Any, **changes: Any) -> Any:
        """Return a copy of a record with some fields changed."""
        return type(of)(**{**vars(of), **changes})
