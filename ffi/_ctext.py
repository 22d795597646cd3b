"""C text before it is parsed: its tokens and statements, and what is wrong with them.

Comments, attributes, ``#define`` lines and bodies of functions are taken out here, undeclared types
are found, and pycparser, which is imported at the first text, is called. What a declaration means
is decided elsewhere.
"""

from __future__ import annotations

import re
from bisect import bisect_left
from collections.abc import Callable
from dataclasses import dataclass
from itertools import takewhile
from typing import Any

from ffi._cattrs import Attribute, declared_before, refusal, without_attributes
from ffi._layouts import spell_c
from ffi._tables import types as scalars
from ffi.errors import Error, FFINotImplementedError, FFITypeError, FFIValueError

# Beyond these a text is a mistake or an attack; they bound the parser's time and its recursion.
MAX_TEXT = 65536
MAX_DECLARATIONS = 4 * 2**20
MAX_NESTING = 32
MAX_EXPRESSION = 200

# What may stand before the words for a type, and says nothing that matters here.
PREFIXES = frozenset(
    ("const", "volatile", "restrict", "extern", "static", "inline", "register", "_Noreturn")
)
# C's own words for types, and parts of such words.
TYPE_WORDS = frozenset(
    ("void", "_Bool", "char", "short", "int", "long", "float", "double", "signed", "unsigned")
).union(("_Complex", "struct", "union", "enum"))
# No type of a user's has such a name.
RESERVED = PREFIXES.union(
    TYPE_WORDS,
    ("auto", "break", "case", "continue", "default", "do", "else", "for", "goto", "if"),
    ("return", "sizeof", "switch", "typedef", "while", "_Alignas", "_Alignof", "_Atomic"),
    ("_Generic", "_Imaginary", "_Static_assert", "_Thread_local"),
)
# What may stand between "complex" and the "double" that makes it a type.
_COMPLEX_PARTS = PREFIXES.union(("float", "double", "long"))

_REFUSED = {
    "#": "preprocessor lines other than '#define NAME number'",
    "_Atomic": "atomic types",
    "_Alignas": "alignment specifiers",
    "_Thread_local": "thread-local variables",
    "__thread": "thread-local variables",
    "_Generic": "generic selections",
    "_Static_assert": "assertions",
    "typeof": "types of expressions",
    "__typeof__": "types of expressions",
    "asm": "names in assembly",
    "__asm": "names in assembly",
    "__asm__": "names in assembly",
    "__declspec": "attributes of Windows",
    **{
        word: f"numbers of type {word}"
        for word in ("_Float128", "__float128", "__int128", "_Float16", "__fp16", "__bf16")
    },
    **{f"_Decimal{bits}": "decimal numbers" for bits in (32, 64, 128)},
}
# Of gcc's other spellings: what they are.
_SAME = {
    "__const": "const",
    "__const__": "const",
    "__signed": "signed",
    "__signed__": "signed",
    "__complex__": "_Complex",
    "__volatile__": "volatile",
    "__inline": "inline",
    "__inline__": "inline",
}

# Or what is quoted, in which there are none. A backslash continues a line, that of a comment too.
_COMMENT = re.compile(
    r""""(?:[^"\\\n]|\\.)*"|'(?:[^'\\\n]|\\.)+'|/\*.*?\*/|//(?:\\[ \t\r]*\n|[^\n])*""", re.DOTALL
)
# What matters for the end of a function's body.
_IN_BODY = re.compile(r'"(?:[^"\\]|\\.)*"|\'(?:[^\'\\]|\\.)*\'|[{}]', re.DOTALL)
_TOKEN = re.compile(
    r"[A-Za-z_$][\w$]*|\.\.\.|\.?\d(?:[eEpP][+-]|[\w.])*|'(?:[^'\\\n]|\\.)+'|<<|>>|[<>=!]=|&&|\|\||\S",
    re.ASCII,
)
_WORD = re.compile(r"[A-Za-z_$]")
_IGNORED = re.compile(r"\b(?:__restrict__|__restrict|__extension__)\b|[\r\v\f]")
_OTHER_WORDS = re.compile(rf"\b(?:{'|'.join(_SAME)})\b")
# C23's type of the null pointer is passed like any pointer; <stddef.h> defines it so.
_TYPE_OF_NULL = re.compile(r"\b(?:typeof|__typeof__)[ \t]*\([ \t]*nullptr[ \t]*\)")
# Pragmas that say nothing about types and calls, other than "pack".
_PRAGMA = re.compile(
    r"^[ \t]*#[ \t]*pragma[ \t]+(?:GCC|clang)[ \t]+(?:diagnostic|visibility)\b[^\n]*$", re.M | re.A
)
_DEFINE = re.compile(r"^[ \t]*#[ \t]*define[ \t]+([A-Za-z_$][\w$]*)[ \t]+(\S[^\n]*)$", re.M | re.A)
_PLACE = re.compile(r"[^:]*:(\d+):(\d+): (.*)", re.DOTALL)

# What stands in expressions, and outside of them only where it is said below.
_OPERATORS = frozenset("?:=<>!%&|^~+-/.").union(("<<", ">>", "<=", ">=", "==", "!=", "&&", "||"))
# What is followed by a value in an expression, never by a type.
_BEFORE_VALUES = _OPERATORS.union("[*", ("static",)) - {".", "="}
_STRAY = frozenset("#@`\\\"'")
_CLOSES = {")": "(", "]": "[", "}": "{"}

# A statement stands on lines of its own: its columns stay, and its lines are easy to count.
_DECLARATION = "typedef int {};\n{}\n;"
_PARAMETER = "typedef int {};\nvoid _(\n{}\n);"


@dataclass(frozen=True)
class Token:
    """A word or sign of C, and where it starts."""

    text: str
    offset: int


class Text:
    """A text in C.

    Attributes
    ----------
    what : str
        "prototype", "type" or "declarations": what it should be.
    statements : list of list of Token
        The tokens of each declaration, without the semicolon at its end.
    defines : list of (str, str, int)
        The name, the text and the place of each ``#define``.
    attributes : dict of int to list of Attribute
        Those that matter, by the place of the name whose declaration they end.
    """

    def __init__(self, what: str, text: str) -> None:
        limit = MAX_DECLARATIONS if what == "declarations" else MAX_TEXT
        if len(text) > limit:
            raise FFIValueError(f"{what}: expected at most {limit} characters, got {len(text)}")
        self.what = what
        self.text = text
        code = _COMMENT.sub(lambda match: _blank(match) if match[0][0] == "/" else match[0], text)
        code = _IGNORED.sub(_blank, code)
        code = _OTHER_WORDS.sub(lambda match: _SAME[match[0]].ljust(len(match[0])), code)
        code = _TYPE_OF_NULL.sub(lambda match: "void *".ljust(len(match[0])), code)
        self.defines: list[tuple[str, str, int]] = []
        if what == "declarations":
            code = _DEFINE.sub(self._take_define, _PRAGMA.sub(_blank, code))
        self.code, attributes = without_attributes(code, self.fail)
        self.attributes: dict[int, list[Attribute]] = {}
        self.tokens = [Token(m[0], m.start()) for m in _TOKEN.finditer(self.code)]
        self._parser: Any = None
        self.statements = self._split(attributes)

    def fail(self, kind: type[Error], offset: int, message: str) -> Error:
        """Make an error that says where in the text it is."""
        before = self.text[:offset]
        line, column = before.count("\n") + 1, offset - before.rfind("\n")
        shown = self.text
        if self.what == "declarations":
            shown = self.text[offset - column + 1 :].partition("\n")[0]
            if len(shown) > 80 and column > 40:
                shown = f"...{shown[column - 20 :]}"
        shown = "".join(c if c.isprintable() else "?" for c in " ".join(shown.split()))
        shown = shown if len(shown) <= 80 else f"{shown[:77]}..."
        return kind(f"{self.what}: {line}:{column}: {message}: {shown}")

    def end(self) -> int:
        """Return where the code ends."""
        return len(self.code.rstrip())

    # --- what is no declaration

    def _take_define(self, match: re.Match[str]) -> str:
        self.defines.append((match[1], match[2].strip(), match.start(1)))
        return _blank(match)

    # --- statements

    def _split(self, attributes: list[Attribute]) -> list[list[Token]]:
        statements: list[list[Token]] = [[]]
        if self.what == "prototype" and self.tokens and self.tokens[-1].text == ";":
            end = self.tokens.pop().offset
            self.code = self.code[:end]
        if not self.tokens and self.what != "declarations":
            raise FFIValueError(f"{self.what}: expected C, got {self.text[:80]!r}")
        opened: list[Token] = []
        stars = axes = skipped = kept = 0
        for token in self.tokens:
            if token.offset < skipped:
                continue
            sign = token.text
            self._check_token(token)
            stars = stars + 1 if sign == "*" else stars * (sign in PREFIXES)
            axes = axes + 1 if sign == "[" else axes * (sign != "," and sign != ";")
            if sign in ("(", "[", "{"):
                if sign == "{" and not opened and self._starts_body(statements[-1]):
                    skipped = self._end_of_body(token)
                    while kept < len(attributes) and attributes[kept].offset < skipped:
                        kept += 1
                    if self._is_declared(statements[-1], token):
                        statements.append([])
                    statements[-1] = []
                    continue
                opened.append(token)
            elif sign in _CLOSES:
                if not opened:
                    raise self.fail(FFIValueError, token.offset, f"{sign!r} closes nothing")
                if opened[-1].text != _CLOSES[sign]:
                    message = f"{sign!r} does not close {opened[-1].text!r}"
                    raise self.fail(FFIValueError, token.offset, message)
                opened.pop()
            if len(opened) > MAX_NESTING or stars > 2 * MAX_NESTING or axes > MAX_NESTING:
                raise self.fail(FFIValueError, token.offset, "nested too deeply")
            if sign == ";" and not opened:
                if self.what != "declarations":
                    raise self.fail(FFIValueError, token.offset, "unexpected ';'")
                while kept < len(attributes) and attributes[kept].offset < token.offset:
                    self._keep(attributes[kept], statements[-1])
                    kept += 1
                statements.append([])
            else:
                statements[-1].append(token)
        if opened:
            message = f"{opened[-1].text!r} is never closed"
            raise self.fail(FFIValueError, opened[-1].offset, message)
        if kept < len(attributes):
            raise refusal(attributes[kept], self.fail)
        if statements[-1] and self.what == "declarations":
            raise self.fail(FFIValueError, self.end(), "expected ';' at the end")
        return [statement for statement in statements if statement]

    def _keep(self, attribute: Attribute, statement: list[Token]) -> None:
        place = declared_before(statement, attribute.offset)
        if place is None:
            raise refusal(attribute, self.fail)
        self.attributes.setdefault(place, []).append(attribute)

    def _starts_body(self, statement: list[Token]) -> bool:
        return self.what == "declarations" and bool(statement) and statement[-1].text == ")"

    def _is_declared(self, statement: list[Token], brace: Token) -> bool:
        # A static function is in no library. An inline one may be there too; its body is of no use.
        words = {token.text for token in takewhile(lambda token: token.text != "(", statement)}
        if "static" in words or "inline" in words:
            return "static" not in words
        place = declared_before(statement, brace.offset)
        names = [token.text for token in statement if token.offset == place]
        whose = f", that of {names[0]!r} for one" if names else ""
        message = f"function bodies are not supported{whose}"
        raise self.fail(FFINotImplementedError, brace.offset, message)

    def _end_of_body(self, brace: Token) -> int:
        opened = 0
        for match in _IN_BODY.finditer(self.code, brace.offset):
            opened += (match[0] == "{") - (match[0] == "}")
            if not opened:
                return match.end()
        raise self.fail(FFIValueError, brace.offset, "'{' is never closed")

    def _check_token(self, token: Token) -> None:
        if message := _REFUSED.get(token.text):
            raise self.fail(FFINotImplementedError, token.offset, f"{message} are not supported")
        text = token.text
        if not text.isascii() or not text.isprintable() or text in _STRAY:
            raise self.fail(FFIValueError, token.offset, f"unexpected {text!r}")

    # --- the parser

    def parse(self, statement: list[Token], names_type: Callable[[str], bool]) -> list[Any]:
        """Return pycparser's nodes of a statement.

        `names_type` says whether a word is the name of a type. With a text that should be one
        prototype or one type, the node is that of a parameter.
        """
        from pycparser.c_parser import (  # type: ignore[import-untyped, unused-ignore]
            CParser,
            ParseError,
        )

        words = {token.text for token in statement if _WORD.match(token.text)}
        names = sorted(word for word in words if word not in RESERVED and names_type(word))
        source = Source(self, statement)
        alone = self.what != "declarations"
        frame = _PARAMETER if alone else _DECLARATION
        source.first_line = 3 if alone else 2
        framed = frame.format(", ".join(names) or "_0", source.text)
        try:
            # One for each text: they have state, and cost something to make.
            self._parser = self._parser or CParser()
            found = self._parser.parse(framed).ext
            nodes: list[Any] = (
                found[-1].type.args.params[:1] if alone else found[max(1, len(names)) :]
            )
        except (ParseError, AttributeError, AssertionError) as exc:
            # The parser itself fails over some wrong texts, such as "struct x typedef".
            self._parser = None
            match = _PLACE.fullmatch(str(exc))
            offset = source.start
            message = "no declaration"
            if match:
                offset = source.offset_at(int(match[1]), int(match[2]))
                message = match[3].replace("before: ", "before ")
            if offset >= source.end:
                message = "unexpected end"
            raise self.fail(FFIValueError, offset, f"syntax error: {message}") from None
        except RecursionError:
            # Of the caller's making: the nesting is bounded.
            self._parser = None
            raise self.no_stack() from None
        self.source = source
        return nodes

    def no_stack(self) -> Error:
        """Make the error for a caller that has used up the stack."""
        return self.fail(FFIValueError, 0, "to read this takes more stack than Python has left")

    def offset_of(self, node: Any) -> int:
        """Return where a node of the statement parsed last stands in the text."""
        place = node.coord
        if place is None:
            return self.source.start
        return self.source.offset_at(place.line, place.column or 1)


class Source:
    """A statement as the parser gets it."""

    first_line = 2

    def __init__(self, text: Text, statement: list[Token]) -> None:
        self.start = statement[0].offset
        self.end = statement[-1].offset + len(statement[-1].text)
        self.limit = len(text.text)
        pieces: list[str] = []
        self.inserted: list[int] = []
        position = self.start
        # Where <complex.h> says "complex", the language says "_Complex".
        for i, token in enumerate(statement):
            if is_complex(statement, i):
                pieces.append(text.code[position : token.offset])
                pieces.append("_Complex")
                position = token.offset + len("complex")
                self.inserted.append(token.offset - self.start + len(self.inserted))
        pieces.append(text.code[position : self.end])
        self.text = "".join(pieces)
        self.lines = [0, *(match.end() for match in re.finditer("\n", self.text))]

    def offset_at(self, line: int, column: int) -> int:
        """Return the offset in the whole text of a place in the parser's source."""
        line -= self.first_line
        if not 0 <= line < len(self.lines):
            return self.end if line > 0 else self.start
        offset = self.lines[line] + column - 1
        return min(self.start + offset - bisect_left(self.inserted, offset), self.limit)


def is_complex(tokens: list[Token], i: int) -> bool:
    """Return whether "complex" is a type's, not the function's name of ``long complex(int)``."""
    if tokens[i].text != "complex":
        return False
    beside: set[str] = set()
    for step in (-1, 1):
        k = i + step
        while 0 <= k < len(tokens) and tokens[k].text in _COMPLEX_PARTS:
            beside.add(tokens[k].text)
            k += step
    return not beside.isdisjoint(("float", "double"))


def _blank(match: re.Match[str]) -> str:
    # Lines and columns stay what they are.
    return re.sub(r"[^\n]", " ", match[0])


# --- what stands where


class Checker:
    """Look at the tokens of a statement in order, to say more about mistakes than a parser does.

    pycparser takes a missing type for int, and says little about names it does not know.
    """

    def __init__(
        self, text: Text, statement: list[Token], names_type: Callable[[str], bool]
    ) -> None:
        self.text = text
        self.statement = statement
        self.names_type = names_type
        # Of each open bracket: parameters, a group around a declarator, an expression, the body
        # of a struct or union, of an enum.
        self.places: list[str] = []
        # Whether the specifiers of a declaration begin here.
        self.expected = True
        self.width = False
        self.expression = 0

    def check(self) -> None:
        """Raise if something stands where it cannot."""
        previous = before = ""
        for i, token in enumerate(self.statement):
            if self.expected and token.text not in PREFIXES and not self._is_typedef(i):
                self._check_specifier(i, previous)
            place = self.places[-1] if self.places else ""
            in_expression = self.width or place in ("expression", "enum")
            ends = token.text == "," and place == "enum"
            self.expression = self.expression + 1 if in_expression and not ends else 0
            if self.expression > MAX_EXPRESSION:
                raise self.fail(token, "an expression is too long")
            if token.text in _OPERATORS and not in_expression:
                self._check_operator(token, place)
            if in_expression and previous in _BEFORE_VALUES and self.names_type(token.text):
                message = f"{token.text!r} is a type; a parameter of its name needs another"
                raise self.fail(token, message)
            self._step(i, token, place, previous, before)
            before, previous = previous, token.text
        if self.expected:
            raise self.text.fail(FFIValueError, self.text.end(), "expected a type at the end")

    def fail(self, token: Token, message: str, kind: type[Error] = FFIValueError) -> Error:
        return self.text.fail(kind, token.offset, message)

    def _is_typedef(self, i: int) -> bool:
        token = self.statement[i]
        if token.text != "typedef" or self.places:
            return False
        if self.text.what != "declarations":
            raise self.fail(token, "typedefs are not supported", FFINotImplementedError)
        return True

    def _check_specifier(self, i: int, previous: str) -> None:
        token = self.statement[i]
        word = token.text
        if word in (",", "*", "(", ")", "[", ":", ";", "=") and previous + word != "()":
            raise self.fail(token, f"expected a type before {word!r}")
        if _WORD.match(word) and not self._is_type(i):
            raise self.fail(token, undeclared(word), FFITypeError)
        self.expected = False

    def _is_type(self, i: int) -> bool:
        word = self.statement[i].text
        return word in TYPE_WORDS or self.names_type(word) or is_complex(self.statement, i)

    def _check_operator(self, token: Token, place: str) -> None:
        if token.text == ":" and place == "struct":
            self.width = True
        elif token.text == "=" and not place and self.text.what == "declarations":
            raise self.fail(token, "initial values are not supported", FFINotImplementedError)
        elif token.text != "...":
            raise self.fail(token, f"unexpected {token.text!r}")

    def _step(self, i: int, token: Token, place: str, previous: str, before: str) -> None:
        sign = token.text
        if sign == "(":
            following = self.statement[i + 1].text
            if self.width or place in ("expression", "enum"):
                self.places.append("expression")
            elif self._opens_parameters(before, previous, following):
                self.places.append("parameters")
                self.expected = True
            else:
                self.places.append("group")
        elif sign == "[":
            self.places.append("expression")
        elif sign == "{":
            self._open_body(token, place, previous, before)
        elif sign in _CLOSES:
            self.places.pop()
            self.expected = False
            self.width = False
        elif sign == ";":
            self.expected = place == "struct"
            self.width = False
        elif sign == ",":
            self.width = False
            if place == "parameters":
                self.expected = True
            elif not place and self.text.what != "declarations":
                raise self.fail(token, f"expected one {self.text.what}")

    def _open_body(self, token: Token, place: str, previous: str, before: str) -> None:
        keyword = previous if previous in ("struct", "union", "enum") else before
        if previous == ")" and not place:
            raise self.fail(token, "function bodies are not supported", FFINotImplementedError)
        if keyword not in ("struct", "union", "enum"):
            raise self.fail(token, "unexpected '{'")
        if "parameters" in self.places:
            # In C, too, nobody could call such a function.
            raise self.fail(
                token,
                "definitions of types among parameters are not supported",
                FFINotImplementedError,
            )
        self.places.append("enum" if keyword == "enum" else "struct")
        self.expected = keyword != "enum"

    def _opens_parameters(self, before: str, previous: str, following: str) -> bool:
        # Otherwise the parenthesis is one around a declarator, as in ``int (*f)(int)``.
        if previous == ")" or following == ")" or following in PREFIXES:
            return True
        if following in TYPE_WORDS or self.names_type(following):
            return True
        is_word = _WORD.match(previous) is not None and before not in ("struct", "union", "enum")
        return is_word and previous not in PREFIXES and not self._names(previous)

    def _names(self, word: str) -> bool:
        return word in TYPE_WORDS or self.names_type(word)


def undeclared(word: str) -> str:
    """Return the message for a type that nobody has declared."""
    message = f"undeclared type {word!r}"
    if word in scalars:
        message += f", which is {spell_c(scalars[word])!r} in C"
    return message
