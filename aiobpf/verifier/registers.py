"""What the verifier knows of a register or a stack slot, as its log prints it.

Source: print_verifier_state() and print_reg_state() in kernel/bpf/log.c (kernel/bpf/verifier.c before 6.3). The forms:

- 5.10: ``R1_w=inv(id=0,umax_value=255,var_off=(0x0; 0xff))``, ``R2=inv5``, ``R3_rw=invP8``, ``R1=ctx(id=0,off=0)``
- 5.18: ``scalar`` instead of ``inv``, constants bare: ``R2=5``, ``R3=P8``; zero fields are left out
- 6.3: ``umax`` instead of ``umax_value``; 6.7: hexadecimal beyond 16 bits, equal bounds as a chain: ``smin=umin=2``
- stack: ``fp-8=0000mmmm`` (a letter a byte), ``fp-16_w=map_value``, ``fp-16=scalar(id=1)``
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from attrs import field, frozen

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

_LONGEST = 1 << 16
# A name, how it was touched ("_w"), and a value whose parentheses nest once: var_off=(0x0; 0xff).
_TOKEN = re.compile(
    r"(?:^|(?<=\s))(?:frame(?P<frame>\d{1,3}):|(?P<name>R\d{1,2}|fp-\d{1,6})(?:_[a-zA-Z]+)?="
    r"(?P<value>[^\s(]*(?:\((?:[^()]++|\([^()]*+\))*+\))?)|refs=(?P<refs>[\d,]+))"
)
_VALUE = re.compile(r"(?P<precise>P?)(?P<type>[a-zA-Z_][\w&]*?)?(?P<late>P?)(?P<number>[+-]?(?:0x[0-9a-f]+|\d+))?$")
_FIELD = re.compile(r"((?:[\w]+=)+)((?:[^,()]|\([^()]*\))*)")
_BYTES = re.compile(r"[?m0zrisdf]{8}$")
_OLD_NAMES = {"smin_value": "smin", "smax_value": "smax", "umin_value": "umin", "umax_value": "umax"}
_SIGNED = frozenset({"smin", "smax", "off", "imm"})

_POINTERS = {
    "ctx": "the context",
    "map_ptr": "a map",
    "map_value": "a map value",
    "map_key": "a map key",
    "pkt": "packet data",
    "pkt_meta": "packet metadata",
    "pkt_end": "the end of the packet",
    "flow_keys": "flow keys",
    "sock": "a socket",
    "sock_common": "a socket",
    "tcp_sock": "a TCP socket",
    "xdp_sock": "an XDP socket",
    "tp_buffer": "a tracepoint's buffer",
    "mem": "memory",
    "alloc_mem": "a ring buffer's sample",
    "ringbuf_mem": "a ring buffer's sample",
    "buf": "a buffer",
    "rdonly_buf": "a buffer to read",
    "rdwr_buf": "a buffer",
    "func": "a function",
    "dynptr_ptr": "a dynptr",
    "percpu_ptr_": "a per-CPU variable",
    "arena": "an arena",
    "insn": "instructions",
}
_QUALIFIERS = (
    ("untrusted_", "untrusted "),
    ("trusted_", "trusted "),
    ("rcu_", "RCU-protected "),
    ("rdonly_", "read-only "),
    ("percpu_", "per-CPU "),
    ("user_", "user-space "),
)


@frozen
class RegisterState:
    """A register ("R1") or a slot of the stack ("fp-8") at one place of the walk.

    *text* is the kernel's own; *type* its word for what is held ("scalar", "map_value_or_null", "fp", "ctx"), with
    "scalar" for the older "inv", and "bytes" for stack bytes that hold no register. *fields* is what stands in
    parentheses, each name in its newer form.
    """

    name: str
    text: str
    type: str
    value: int | None = None
    """The number, where it is known for certain; the distance to the frame's top for "fp"."""
    is_precise: bool = False
    """Whether the verifier must keep the exact bounds: something depends on them ("P")."""
    fields: Mapping[str, str] = field(factory=dict)

    # --- fields -------------------------------------------------------------------------------------------------------

    def number(self, name: str) -> int | None:
        """A field as a number: `id`, `ref_obj_id`, `off`, `smin`, `umax`, `smin32`, `imm`, `vs`, `mem_size` ..."""
        number = _number(self.fields.get(name, ""))
        if number is not None and name.rstrip("32") in _SIGNED and number >= 1 << 63:
            number -= 1 << 64
        return number

    @property
    def id(self) -> int | None:
        """Registers of one id come from one value."""
        return self.number("id")

    @property
    def ref_obj_id(self) -> int | None:
        """The reference that must be released, where this holds one."""
        return self.number("ref_obj_id")

    @property
    def offset(self) -> int:
        """Bytes from where the pointer began."""
        return (self.value or 0) if self.type == "fp" else self.number("off") or 0

    @property
    def signed_range(self) -> tuple[int, int]:
        if self.type == "scalar" and self.value is not None:
            return self.value, self.value
        smin, smax = self.number("smin"), self.number("smax")
        return -(1 << 63) if smin is None else smin, (1 << 63) - 1 if smax is None else smax

    @property
    def unsigned_range(self) -> tuple[int, int]:
        if self.type == "scalar" and self.value is not None:
            value = self.value & (1 << 64) - 1
            return value, value
        umin, umax = self.number("umin"), self.number("umax")
        return umin or 0, (1 << 64) - 1 if umax is None else umax

    @property
    def var_off(self) -> tuple[int, int] | None:
        """(bits that are known to be set, bits that are not known), where the log says them."""
        match = re.fullmatch(r"\((0x[0-9a-f]{1,16}); (0x[0-9a-f]{1,16})\)", self.fields.get("var_off", ""))
        return None if match is None else (int(match[1], 16), int(match[2], 16))

    @property
    def may_be_null(self) -> bool:
        return "_or_null" in self.type

    @property
    def is_scalar(self) -> bool:
        return self.type == "scalar"

    # --- words --------------------------------------------------------------------------------------------------------

    def describe(self) -> str:
        """In words: "a map value of 'table', or NULL", "a number from 0 to 255"."""
        if self.type == "bytes":
            return "bytes that were never set" if set(self.text) == {"?"} else "bytes"
        if self.is_scalar:
            if self.value is not None:
                return f"the number {self.value}"
            (smin, smax), (umin, umax) = self.signed_range, self.unsigned_range
            if (umin, umax) != (0, (1 << 64) - 1):
                return f"a number from {bound(umin)} to {bound(umax)}"
            if (smin, smax) != (-(1 << 63), (1 << 63) - 1):
                return f"a number from {bound(smin)} to {bound(smax)}"
            return "a number of which nothing is known"
        if self.type == "fp":
            return f"the address of the stack at fp{self.value or 0:+d}"
        text = pointer_words(self.type)
        if name := self.fields.get("map"):
            text = text.replace("a map", f"map {name!r}", 1) if self.type == "map_ptr" else f"{text} of {name!r}"
        if self.may_be_null:
            return f"{text}, or NULL"
        return text + self._place()

    def _place(self) -> str:
        """How far into its object a pointer points, where that is not its beginning."""
        umax = self.number("umax")
        if umax:
            low, high = (self.number("umin") or 0) + self.offset, umax + self.offset
            return f", {bound(low)} to {bound(high)} bytes in"
        offset = self.offset
        return f", {offset} bytes in" if offset and self.type not in {"map_ptr"} else ""

    def __str__(self) -> str:
        return f"{self.name}={self.text}"


def bound(number: int) -> str:
    """A bound as a person reads it: small numbers in decimal."""
    return str(number) if -(1 << 20) < number < 1 << 20 else f"{number:#x}"


def pointer_words(type_: str) -> str:
    """The kernel's word for a kind of pointer in plain ones ("map_value_or_null": "a map value")."""
    name = type_.replace("_or_null", "")
    if name in _POINTERS:
        return _POINTERS[name] if name != "fp" else "the stack"
    if name in {"scalar", "inv"}:
        return "a number"
    if name == "fp":
        return "the stack"
    prefix = ""
    for start, words in _QUALIFIERS:
        if name.startswith(start):
            name = name.removeprefix(start)
            prefix += words
    if name.startswith("ptr_"):
        struct = name.removeprefix("ptr_")
        return f"a {prefix}pointer to struct {struct}" if struct else f"a {prefix}pointer to a kernel object"
    known = _POINTERS.get(name, f"a {name}" if name else "a pointer")
    return f"{known[:2]}{prefix}{known[2:]}" if prefix and known.startswith("a ") else known


@frozen
class States:
    """One state as a line of the log prints it: all of a frame, or what has changed in it."""

    frame: int
    registers: Mapping[str, RegisterState]
    references: tuple[int, ...] = ()
    """Ids of what must be released ("refs=2,4")."""


def read_states(text: str) -> States:
    """The registers and stack slots that *text* names; any text gives a States."""
    frame = 0
    registers: dict[str, RegisterState] = {}
    references: tuple[int, ...] = ()
    for match in _TOKEN.finditer(text, 0, min(len(text), _LONGEST)):
        if match["frame"]:
            frame = int(match["frame"])
        elif match["refs"]:
            references = tuple(int(number[:9]) for number in match["refs"].split(",") if number)
        else:
            registers[match["name"]] = read_register(match["name"], match["value"])
    return States(frame, registers, references)


def read_register(name: str, text: str) -> RegisterState:
    """One state, after its equals sign."""
    if name.startswith("fp") and _BYTES.match(text):
        return RegisterState(name, text, "bytes")
    head, parenthesis, inside = text.partition("(")
    fields = dict(_fields(inside[:-1])) if parenthesis else {}
    match = _VALUE.match(head)
    if match is None:
        return RegisterState(name, text, head or "unknown", fields=fields)
    type_, value = match["type"] or "", _number(match["number"] or "")
    is_precise = bool(match["precise"] or match["late"])
    if type_ in {"", "inv", "scalar"}:
        type_ = "scalar"
        value = imm if value is None and (imm := _number(fields.get("imm", ""))) is not None else value
        if value is not None and value >= 1 << 63:
            value -= 1 << 64
    elif type_ == "fp":
        value = value or 0
    elif match["number"]:
        type_, value = head, None  # a type's name that ends in a digit
    return RegisterState(name, text, type_, value, is_precise, fields)


def _fields(text: str) -> Iterator[tuple[str, str]]:
    for match in _FIELD.finditer(text):
        for name in match[1].split("=")[:-1]:
            yield _OLD_NAMES.get(name, name), match[2]


def _number(text: str) -> int | None:
    try:
        return int(text[:24], 0)
    except ValueError:
        return None
