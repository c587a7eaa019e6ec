"""C++ and Rust names as the source has them, through the library pydemumble (LLVM's demanglers), an extra."""

from __future__ import annotations

import re
from functools import lru_cache
from importlib.util import find_spec

# Itanium C++ and legacy Rust (two underscores more where a block of Apple's is meant), and Rust v0.
_PREFIXES = ("_Z", "___Z", "_R")
# A part of a name that refers back to another part is written out in full: each level of them doubles the text, so that
# 260 characters become 230 MB. Of 45,000 names of LLVM's library, 22 have more references than this.
_REFERENCE = re.compile(r"[STB][0-9A-Za-z]*_")
_MAX_REFERENCES = 24
_MAX_MANGLED = 1024
_MAX_PLAIN = 8192


def is_mangled(name: str) -> bool:
    """Whether *name* looks like a mangled C++ or Rust name."""
    return name.startswith(_PREFIXES)


def can_demangle() -> bool:
    """Whether the library is there: ``pip install 'aiobpf[demangle]'``."""
    return find_spec("pydemumble") is not None


@lru_cache(maxsize=1 << 14)  # a name takes 2 us, and a stack has the same ones again and again
def demangle(name: str) -> str:
    """*name* as its source has it ("_ZN3foo3barEi" is "foo::bar(int)"); any other name as it is.

    A symbol's version ("@GLIBCXX_3.4") stays behind the name. A name that is absurdly long, or would become so, is left
    as it is: it may be any process's. Raises ImportError without pydemumble.
    """
    if not is_mangled(name):
        return name
    try:
        from pydemumble import demangle as translate  # type: ignore[import-untyped,import-not-found,unused-ignore]
    except ImportError as error:
        raise ImportError("C++ and Rust names need pydemumble: pip install 'aiobpf[demangle]'") from error
    mangled, at, version = name.partition("@")
    # It takes "_Z" and two underscores more for a block, and no surrogates, which a name that is no UTF-8 has.
    mangled = mangled.removeprefix("__") if mangled.startswith("___Z") else mangled
    if not mangled.isprintable() or len(mangled) > _MAX_MANGLED:
        return name
    if len(_REFERENCE.findall(mangled)) > _MAX_REFERENCES:
        return name
    plain: str = translate(mangled)
    return f"{plain}{at}{version}" if 0 < len(plain) <= _MAX_PLAIN else name


def without_parameters(name: str) -> str:
    """A demangled function's name without its parameters and what follows them: "foo::bar" of "foo::bar(int) const".

    The parameters are the last group of parentheses outside templates: "foo(int)::{lambda()#1}::operator()() const" is
    "foo(int)::{lambda()#1}::operator()". A name without parameters is given back as it is.
    """
    depth = 0
    at = name.rfind(" (.") if name.endswith(")") else -1  # "foo(int) (.cold)": what the compiler split off
    if at < 0:
        at = len(name)
    while at > 0:
        at -= 1
        character = name[at]
        if character == ")":
            depth += 1
        elif character == "(":
            depth -= 1
            if depth == 0:
                return name[:at]
    return name
