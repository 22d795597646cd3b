"""Draws uses of callbacks for the fuzzer: C calls them, and they misbehave.

What they are given is not looked at: behind it may be any address.
"""

from __future__ import annotations

import copy
import inspect
import pickle

import ffi


class CallbackUses:
    """What the fuzzer draws here; it has the odd objects and typed functions."""

    def behaviour(self, function):
        """Draw a function for callbacks with the signature of another."""
        kept = []
        kind = self.rng.randrange(10)

        def behave(*arguments):
            if kind == 0:
                raise self.pick([LookupError, ValueError, RecursionError, BufferError])("odd")
            if kind == 1:
                kept.append(arguments)
            if kind == 2:
                return arguments[0] if arguments else None
            if kind == 3:
                return self.thing()
            if kind == 4:
                # Calls C in turn.
                nested, given, keywords = self.typed_call()
                nested(*given, **keywords)
            return None if function.rtype.name == "void" else self.value_of(function.rtype)

        return self.make_one(*[lambda: behave] * 8, lambda: self.pick(self.functions), self.thing)

    def callback(self):
        """Draw a callback."""
        function = self.pick([f for f in self.typed if not self.is_variadic(f)])
        options = self.make_one(
            dict,
            dict,
            lambda: {"error": self.value_of(function.rtype)},
            lambda: {"error": self.thing()},
            lambda: {"onerror": self.make_one(self.thing, lambda: self.behaviour(function))},
        )
        return function, (function, self.behaviour(function)), options

    @staticmethod
    def is_variadic(function):
        parameters = inspect.signature(function).parameters.values()
        return any(parameter.kind is parameter.VAR_POSITIONAL for parameter in parameters)

    def use_callback(self):
        function, made, options = self.callback()
        arguments = self.arguments(function)
        prototype = self.make_one(lambda: function.prototype, lambda: function, self.thing)

        def call_from_c():
            callback = ffi.callback(*made, **options)
            for release_gil in True, False:
                ffi.Function(callback, release_gil=release_gil)(*arguments)

        def use(action, *others):
            action(ffi.callback(*made, **options), *others)

        return self.make_one(
            lambda: (call_from_c, ()),
            lambda: (call_from_c, ()),
            lambda: (use, (lambda callback: callback(*arguments),)),
            lambda: (use, (lambda callback, context: callback.capsule(context), self.thing())),
            lambda: (use, (self.pick([repr, hash, inspect.signature, copy.copy, pickle.dumps]),)),
            lambda: (use, (lambda callback, value: setattr(callback, "function", value), 5)),
            lambda: (ffi.callback, (prototype, self.behaviour(function)), options),
            lambda: (ffi.callback, tuple(self.some()), options),
            lambda: (ffi.Callback, tuple(self.some())),
            lambda: (ffi.Callback.__new__, (ffi.Callback, *self.some())),
            # A plain callable in place of a function pointer.
            lambda: (self.typed_libraries[0].echo_array, (self.thing(), *self.some())),
        )
