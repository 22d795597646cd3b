"""The public tables `types`, `sizeof`, `alignof` and `abi`.

Look-up only: what is in them comes from `_types`.
"""

from collections.abc import Iterator, Mapping
from typing import Any, Generic, NoReturn, TypeVar

from ffi._specs import as_type
from ffi._types import Type, libffi_sizes, platform_abi_values, scalars
from ffi.errors import Error, located

__all__ = ["abi", "alignof", "sizeof", "types"]

T = TypeVar("T")


class Table(Mapping[str, T], Generic[T]):
    """A read-only mapping whose keys are attributes too."""

    __name__: str
    _entries: dict[str, T]

    def __init__(self, name: str, entries: dict[str, T]) -> None:
        # Entries are found as ordinary attributes, which is the fastest way.
        self.__dict__.update(entries, __name__=name, _entries=entries)

    def __getitem__(self, key: str) -> T:
        return self._entries[key]

    def __iter__(self) -> Iterator[str]:
        return iter(self._entries)

    def __len__(self) -> int:
        return len(self._entries)

    def __getattr__(self, name: str) -> T:
        raise AttributeError(f"ffi.{self.__dict__['__name__']} has no {name!r}")

    def __setattr__(self, name: str, value: object) -> NoReturn:
        raise AttributeError(f"ffi.{self.__name__} is read-only, {name!r} cannot be set")

    def __delattr__(self, name: str) -> NoReturn:
        raise AttributeError(f"ffi.{self.__name__} is read-only, {name!r} cannot be deleted")

    def __repr__(self) -> str:
        return f"<ffi.{self.__name__}: {', '.join(self._entries)}>"

    def __reduce__(self) -> str:
        return self.__name__


class Measure(Table[int]):
    """A table of bytes that also measures any type when called."""

    _attribute: str

    def __init__(self, name: str, attribute: str, entries: dict[str, int]) -> None:
        super().__init__(name, entries)
        self.__dict__["_attribute"] = attribute

    def __call__(self, type: Any, /) -> int:
        """Return the bytes of a Type, dtype, NumPy scalar type or C type name."""
        if isinstance(type, str) and type in self:
            return self[type]
        try:
            measured: int = getattr(as_type(type), self._attribute)
        except Error as exc:
            raise located(exc, f"{self.__name__}()") from None
        return measured


_scalars = scalars()
_libffi = libffi_sizes()

types: Table[Type] = Table("types", _scalars)
abi: Table[int] = Table("abi", platform_abi_values())
sizeof = Measure(
    "sizeof",
    "size",
    {name: type.size for name, type in _scalars.items() if name != "void"} | _libffi,
)
# ffi_arg is an integer as wide as a register, aligned to its size.
alignof = Measure(
    "alignof",
    "alignment",
    {name: type.alignment for name, type in _scalars.items() if name != "void"}
    | {name: _libffi[name] for name in ("ffi_arg", "ffi_sarg")},
)
