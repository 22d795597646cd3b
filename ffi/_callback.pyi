from collections.abc import Callable
from types import TracebackType
from typing import Any, TypeAlias, final, overload

from ffi._closure import Caller
from ffi._function import Function
from ffi._types import Type
from ffi.cdecl import Prototype

_Function: TypeAlias = Callable[..., Any]
_OnError: TypeAlias = Callable[[type[BaseException], BaseException, TracebackType | None], Any]

@final
class Callback(Caller):
    @property
    def prototype(self) -> str: ...
    @property
    def function(self) -> _Function: ...
    @property
    def onerror(self) -> _OnError | None: ...
    @property
    def __name__(self) -> str: ...
    def capsule(self, context: object = None) -> object: ...
    def __call__(self, *args: Any, **kwargs: Any) -> Any: ...

@overload
def callback(
    prototype: str | Type | Function | Prototype,
    function: None = None,
    *,
    error: object = 0,
    onerror: _OnError | None = None,
) -> Callable[[_Function], Callback]: ...
@overload
def callback(
    prototype: str | Type | Function | Prototype,
    function: _Function,
    *,
    error: object = 0,
    onerror: _OnError | None = None,
) -> Callback: ...
