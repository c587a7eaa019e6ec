"""What the verifier's reasons mean, and what to change: one table, most particular first.

*explanation* and *hint* are formatted with the groups of *pattern*; groups named ``type``, ``nullable`` and
``expected`` are put in plain words first, ``register`` is a number. Patterns hold for the words of 5.10 to 7.3.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from attrs import frozen

from aiobpf.verifier.registers import pointer_words

if TYPE_CHECKING:
    from collections.abc import Sequence


@frozen
class Cause:
    """A rule of the verifier that programs break: *name* identifies it whatever the kernel's words."""

    name: str
    pattern: str
    explanation: str
    hint: str


@frozen
class Diagnosis:
    """A cause as it was met: *explanation* and *hint* are about this refusal."""

    name: str
    explanation: str
    hint: str


def diagnose(reason: str) -> Diagnosis | None:
    """What *reason*, in the verifier's words, means; None if the table does not have it."""
    for cause in CAUSES:
        match = re.search(cause.pattern, reason)
        if match is not None:
            words = {name: _in_words(name, text or "") for name, text in match.groupdict().items()}
            words["bytes"] = "1 byte" if words.get("size") == "1" else f"{words.get('size')} bytes"
            return Diagnosis(cause.name, cause.explanation.format(**words), cause.hint.format(**words))
    return None


def _in_words(name: str, text: str) -> str:
    if name == "nullable":
        return pointer_words(text)
    if name == "type":
        return pointer_words(text) + (", or NULL" if "_or_null" in text else "")
    if name == "expected":
        kinds = dict.fromkeys(pointer_words(kind) for kind in re.split(r",\s*", text.strip()) if kind)
        return " or ".join(kinds) or text
    return text


_CHECK_SIZE = (
    "compare the offset with the size on every path before the access, as an unsigned number and in a form that the "
    "compiler keeps: `if (i >= N) return 0;` or, for a power of two, `i &= N - 1;`"
)
_MAP_OR_STACK = "a program has 512 bytes of stack over all nested calls: keep large values in a per-CPU array"

CAUSES: Final[Sequence[Cause]] = (
    # --- left by the loader -------------------------------------------------------------------------------------------
    Cause("poison", r"unknown#195896080\b",
          "it reaches a CO-RE relocation that found nothing in this kernel's types",
          "guard it with bpf_core_field_exists() or bpf_core_type_exists(), or use a flavour of the type that this "
          "kernel has"),
    Cause("missing-kfunc", r"unknown#2002000000\b",
          "it calls a weak kernel function that this kernel does not have",
          "guard the call with bpf_ksym_exists(), or call something that this kernel has"),
    Cause("bad-map", r"fd (?P<fd>\d+) is not pointing to valid bpf_map",
          "an instruction loads a map whose descriptor {fd} is none",
          "let the loader put the map in: refer to it by name, or put a Map on the instruction"),
    # --- pointers -----------------------------------------------------------------------------------------------------
    Cause("unchecked-null", r"R(?P<register>\d+) invalid mem access '(?P<nullable>\w*_or_null\w*)'",
          "R{register} may be NULL: it is {nullable} that nobody checked on this path",
          "check the pointer against NULL before its use: `if (!p) return 0;`"),
    Cause("unchecked-null", r"R(?P<register>\d+) pointer arithmetic on (?P<nullable>\w+?_or_null\w*) prohibited",
          "R{register} may be NULL: it is {nullable}, and is moved before it was checked",
          "check the pointer against NULL before adding to it; a check afterwards comes too late"),
    Cause("unchecked-null", r"[Pp]ossibly NULL pointer passed to (?P<what>.*)",
          "a pointer that may be NULL is passed to {what}",
          "check the pointer against NULL before the call"),
    Cause("scalar-as-pointer", r"R(?P<register>\d+) invalid mem access '(?:scalar|inv)'",
          "R{register} is used as a pointer but holds a plain number",
          "only pointers that the verifier knows can be followed: read kernel memory with BPF_CORE_READ() or "
          "bpf_probe_read_kernel(), and do no arithmetic that turns a pointer into a number"),
    Cause("wrong-pointer", r"R(?P<register>\d+) invalid mem access '(?P<type>\w+)'",
          "R{register} is {type}, which cannot be read or written through",
          "pass it to a helper that takes it; a user-space or untrusted pointer is read with bpf_probe_read_user() or "
          "bpf_probe_read_kernel()"),
    Cause("pointer-arithmetic", r"pointer [-+]= pointer prohibited|pointer arithmetic|bitwise operator .* on pointer|"
          r"subtract (?:pointer|stack pointer)|(?:ADD|SUB|arithmetic) .*pointer.*prohibited|32-bit pointer",
          "a pointer may only have numbers added to it or taken from it, in 64 bits",
          "calculate with offsets and add the result to the pointer once; packet pointers are compared only"),
    Cause("modified-pointer", r"dereference of modified (?P<type>\w+) ptr|must have zero offset when passed|"
          r"negative offset \w+ ptr|variable (?:ctx|\w*ptr\w*) access|invalid variable-offset",
          "a pointer was moved that must be used as it was given",
          "keep the original pointer and use fixed member accesses; the compiler may have added a member's offset to "
          "it first: copy the pointer through a barrier, `asm volatile(\"\" : \"+r\"(ctx));`"),
    Cause("mixed-pointers", r"same insn cannot be used with different pointers",
          "one instruction is reached with pointers of different kinds",
          "keep the compiler from joining the branches: do the access in each, with barrier() between"),
    Cause("atomic-target",
          r"(?:BPF_XADD|BPF_ATOMIC) (?:stores|loads) (?:in)?to R(?P<register>\d+) (?P<type>\w+) is not",
          "an atomic operation works on {type}",
          "atomic operations work on map values, the stack, samples and arenas only"),
    Cause("partial-spill", r"invalid size of register (?:spill|fill)",
          "a pointer is stored to the stack in part, or a part of one is read back",
          "store and load pointers whole, all eight bytes"),
    Cause("pointer-leak", r"leaks addr|pointer comparison prohibited|corrupt spilled|partial copy of pointer|"
          r"is not allowed to leak|R\d+ partial copy",
          "a kernel address would get where user space could read it",
          "store values, not pointers; with CAP_PERFMON the kernel allows more of this"),
    # --- bounds -------------------------------------------------------------------------------------------------------
    Cause("negative-size", r"R(?P<register>\d+) min value is negative, either use unsigned or",
          "the size in R{register} may be negative for all that the verifier knows",
          "make it unsigned, and bound it from both sides before the call: `if (n > MAX) return 0;` with a __u32 or "
          "__u64 n"),
    Cause("unbounded-size", r"R(?P<register>\d+) unbounded memory access, use 'var &= const'",
          "the size in R{register} has no upper bound that the verifier knows",
          "bound it before the call, in a form that the compiler keeps: `if (n > MAX) n = MAX;` or `n &= MAX - 1;`"),
    Cause("zero-size", r"invalid zero-sized read",
          "the size that a helper is given may be zero, which it does not take",
          "check that it is at least one: `if (n == 0) return 0;`"),
    Cause("negative-offset", r"min value is negative, either use unsigned index|value -\d+ makes|"
          r"register with unbounded min value|smin=-?\w+ unbounded min value",
          "the offset that is added to a pointer may be negative for all that the verifier knows",
          "use an unsigned index, or check it from below as well: `if (i < 0 || i >= N) return 0;`"),
    Cause("unbounded-offset", r"R(?P<register>\d+) unbounded memory access, make sure",
          "the offset in R{register} has no upper bound that the verifier knows", _CHECK_SIZE),
    Cause("unbounded-offset",
          r"unbounded max value|value \d+ makes|offset \d+ is too large|makes \w+ pointer be out of",
          "the offset that is added to a pointer may be too large", _CHECK_SIZE),
    Cause("packet-bounds", r"invalid access to packet, off=(?P<off>-?\d+) size=(?P<size>\d+), R(?P<register>\d+)",
          "nobody checked that the packet has {bytes} at offset {off}",
          "compare with the end first, on this path and for as many bytes as are read: "
          "`if (data + offset + {size} > data_end) return XDP_DROP;`; helpers that change the packet undo the check"),
    Cause("map-value-bounds",
          r"invalid access to map value, value_size=(?P<have>\d+) off=(?P<off>-?\d+) size=(?P<size>\d+)",
          "an access to {bytes} at offset {off}, beyond a map value of {have} bytes", _CHECK_SIZE),
    Cause("memory-bounds", r"invalid access to (?:memory|map key|buffer|flow keys)\D*(?P<have>\d+) off=(?P<off>-?\d+) "
          r"size=(?P<size>\d+)",
          "an access to {bytes} at offset {off}, beyond memory of {have} bytes", _CHECK_SIZE),
    Cause("uninitialised-stack", r"invalid (?:indirect )?read from stack (?:R\d+ )?(?:var_)?off [-+(]|"
          # 5.10 has the words of the bounds for it, but the place is inside of the frame.
          r"invalid read from stack R\d+ off=-(?:[1-9]\d?|[1-4]\d\d|50\d|51[0-2]) ",
          "it reads bytes of the stack that were never written",
          "initialise the variable, its padding too: `struct key k = {{}};` or __builtin_memset(&k, 0, sizeof(k))"),
    Cause("stack-bounds",
          r"invalid (?:unbounded )?(?:indirect |variable-offset )?(?:write|read|access)?\s?(?:to|from)? ?stack|"
          r"invalid stack|invalid unprivileged stack",
          "it reaches outside of the 512 bytes of the stack, or of what a helper may use of it", _MAP_OR_STACK),
    Cause("misaligned", r"misaligned (?:(?P<what>\w+) )?access off (?P<off>.*) size (?P<size>\d+)",
          "an access of {bytes} is not at a multiple of {size}",
          "align the member, or read it in smaller pieces (a packed struct does)"),
    Cause("context-access", r"BPF_ST stores into R\d+ ctx",
          "it stores a constant into the context, which takes Linux 6.4",
          "store it from a register: keep the value in a variable that the compiler does not see through"),
    Cause("context-access", r"invalid (?:bpf_context|\w+) access off=(?P<off>-?\d+) size=(?P<size>\d+)",
          "this program type, at this attach type, may not access {bytes} at offset {off} of the context in that way",
          "take the context struct of the section's program type, read members whole, and write only those that its "
          "documentation says can be written"),
    # --- never set ----------------------------------------------------------------------------------------------------
    Cause("uninitialised-register", r"R0 !read_ok",
          "the result register R0 holds nothing on this path",
          "return a value on every path"),
    Cause("uninitialised-register", r"R(?P<register>\d+) !read_ok",
          "R{register} holds nothing on this path",
          "set the variable on every path; R1 to R5 do not outlive a call, and a function is given as many arguments "
          "as its declaration says"),
    # --- to be given back ---------------------------------------------------------------------------------------------
    Cause("unreleased-reference", r"Unreleased reference id=(?P<id>\d+) alloc_insn=(?P<slot>\d+)",
          "what instruction {slot} acquired is not released on this path",
          "every path, the early returns too, must submit, discard, release or destroy what it reserved or acquired"),
    Cause("unreleased-reference", r"reference has not been released|lead to reference leak|unreleased reference",
          "something that was acquired is not released on this path",
          "every path, the early returns too, must submit, discard, release or destroy what it reserved or acquired"),
    Cause("rcu-held", r"bpf_rcu_read_lock-ed region|bpf_rcu_read_unlock is missing|unmatched rcu",
          "the RCU read lock and its unlock do not pair on this path",
          "call bpf_rcu_read_unlock() on every path before the program ends, and nothing that may sleep before"),
    Cause("lock-held", r"bpf_spin_lock|while holding a lock|bpf_spin_unlock|lock-ed region|bpf_(?:local_irq|preempt)",
          "a lock is held where it must not be",
          "unlock on every path, hold one lock at a time, and call nothing between lock and unlock: get times, random "
          "numbers and lookups before"),
    # --- calls --------------------------------------------------------------------------------------------------------
    Cause("global-function", r"Global function (?P<name>\w+)\(\) (?P<what>doesn't return scalar|.*)",
          "the global function {name}() breaks the rules of global functions: {what}",
          "global functions return a number, and take numbers, the context and pointers to memory of known "
          "size: make it "
          "static, or __always_inline"),
    Cause("global-function", r"Arg#(?P<number>\d+) type \w+ in (?P<name>\w+)\(\) is not supported",
          "the global function {name}() takes a pointer, for which this kernel is too old",
          "global functions take pointers since Linux 5.13: make it static, or __always_inline"),
    Cause("global-arguments", r"Caller passes invalid args into func#(?P<number>\d+) \('(?P<name>\w+)'\)",
          "the global function {name}() is called with arguments that do not fit its declaration",
          "global functions are verified by their types alone: pass pointers to memory of the declared size, or make "
          "the function static"),
    Cause("global-arguments", r"Caller passes invalid args into func#(?P<number>\d+)",
          "a global function (number {number} of the program) is called with arguments that do not fit its declaration",
          "global functions are verified by their types alone: pass pointers to memory of the declared size, or make "
          "the function static"),
    Cause("unknown-helper", r"invalid func unknown#(?P<number>-?\d+)",
          "this kernel has no helper function {number}",
          "ask with bpf_core_enum_value_exists(enum bpf_func_id, BPF_FUNC_...) before calling it, or use an older one"),
    Cause("helper-not-allowed",
          r"(?:unknown func|cannot use helper) (?P<name>\w+)#\d+|helper (?P<other>\w+) is not allowed",
          "programs of this type may not call {name}{other}",
          "choose a program type that may (bpftool feature probe lists them), or another helper"),
    Cause("gpl-only", r"cannot call GPL-(?:restricted|only)",
          "it calls a helper that is for GPL-compatible programs only",
          "declare the license: char LICENSE[] SEC(\"license\") = \"GPL\";"),
    Cause("sleepable-only", r"might sleep|sleepable",
          "it calls what may sleep where sleeping is not allowed, or the other way round",
          "put the program in a sleepable section (\"fentry.s/\", \"lsm.s/\", \"uprobe.s/\"), and call nothing "
          "that sleeps "
          "under a lock"),
    Cause("kfunc-not-allowed", r"calling kernel function (?P<name>\w+) is not allowed",
          "programs of this type may not call the kernel function {name}",
          "choose a program type that the kernel registers it for"),
    Cause("kfunc-not-allowed",
          r"kernel function|kernel btf_id|kfunc.*not (?:allowed|supported)|cannot call kernel function",
          "it calls a kernel function in a way that is not allowed here",
          "see the kernel's documentation of that function for the program types and arguments it takes"),
    Cause("iterator",
          r"expected (?:an )?(?:un)?initialized iter_|(?:expected )?valid (?:iter|pointer to iter)|"
          r"iter_\w+ .*(?:arg|state)",
          "an iterator is used before it was made, or made twice",
          "call bpf_iter_..._new() first and once, then _next() until NULL, then _destroy(); bpf_for() does all three"),
    Cause("dynptr", r"[Dd]ynptr",
          "a dynptr is used before it was made, after it ended, or where it is overwritten",
          "make it first (bpf_dynptr_from_mem(), bpf_ringbuf_reserve_dynptr()), check the result, and submit "
          "or discard "
          "a reserved one on every path"),
    Cause("not-trusted", r"must be referenced or trusted|must be (?:a )?(?:rcu|referenced|trusted)|untrusted|"
          r"expects refcounted|reference has not been acquired",
          "the argument must be a pointer that the kernel vouches for: acquired, or an argument of the hook",
          "acquire it (bpf_task_acquire() and the like) or take it from the hook's arguments; a pointer read from a "
          "struct is neither unless the kernel marks the member"),
    Cause("map-helper-mismatch", r"cannot pass map_type (?P<type_>\d+) into func (?P<name>\w+)",
          "{name} does not work on maps of this type (number {type_})",
          "use the helper that the map type has: bpf_map_push_elem() for queues, bpf_tail_call() for program arrays"),
    Cause("tail-call", r"tail_call(?:s)? (?:are|is) (?:not|only)|tail_call.*not allowed|mix.*tail",
          "a tail call stands where none may be",
          "tail calls need Linux 5.10 beside function calls (on x86), and may not be made under a lock or from "
          "a callback"),
    Cause("argument-type", r"R(?P<register>\d+) type=(?P<type>\w+) expected=(?P<expected>[\w, ]+)",
          "argument R{register} is {type}; this call takes {expected}",
          "pass what the helper's documentation says; a pointer that may be NULL is checked first, and one that was "
          "released or submitted is gone"),
    Cause("argument-type",
          r"(?:arg(?:ument)?#?\s?\d+|R\d+) .*(?:expected|must|has no valid|pointer type|is not|doesn't point)|"
          r"R\d+ not a scalar|isn't map pointer|helper access to the packet",
          "an argument of a call is not of the kind that it takes",
          "pass what the function's declaration says"),
    Cause("legacy-load", r"BPF_LD_\[ABS\|IND\]",
          "it loads packet bytes the old way (LD_ABS, LD_IND), which this program type or place does not allow",
          "use bpf_skb_load_bytes(), or direct packet access"),
    # --- control flow -------------------------------------------------------------------------------------------------
    Cause("infinite-loop", r"infinite loop detected",
          "the loop comes back to a state it was in: the verifier cannot see that it ends",
          "bound the loop by a constant (`for (i = 0; i < N; i++)`), or use bpf_for() (6.4) or bpf_loop() (5.17)"),
    Cause("back-edge", r"back-edge from insn (?P<from>\d+) to (?P<to>\d+)",
          "instruction {from} leads back to {to}: a loop in a program of an unprivileged user, or a function that "
          "calls itself",
          "unroll the loop (#pragma unroll), or load with CAP_BPF; functions never call themselves"),
    Cause("too-complex", r"BPF program is too large|program is too complex",
          "the verifier gave up after a million instructions",
          "shorten loops or make them bpf_loop() or bpf_for(), move branches into global functions, which are verified "
          "once, or split the program by tail calls"),
    Cause("too-many-jumps", r"sequence of (?P<count>\d+) jumps is too complex",
          "more branches were open at once than the verifier keeps ({count})",
          "put parts of it into global functions, which are verified once, or turn chains of conditions into lookups"),
    Cause("stack-limit", r"combined stack size of (?P<count>\d+) calls is (?P<size>\d+)",
          "{count} nested calls use {size} bytes of stack together", _MAP_OR_STACK),
    Cause("stack-limit", r"stack size \d+ exceeds|stack depth.*exceed|exceeds.*stack", "it uses too much stack",
          _MAP_OR_STACK),
    Cause("call-depth", r"call stack of (?P<count>\d+) frames is too deep",
          "functions call each other {count} deep",
          "at most 8 may be nested: mark small ones __always_inline"),
    Cause("recursion", r"recursive call", "a function calls itself, directly or not",
          "write it as a loop; a walk over a tree takes a stack in a map"),
    Cause("unreachable", r"unreachable insn (?P<slot>\d+)",
          "nothing leads to instruction {slot}", "remove it, or lead to it"),
    Cause("falls-off-the-end", r"last insn is not an exit or jmp|fall ?through|no exit",
          "a function ends without an exit, so that control would run into what follows",
          "end each function with a return; after a call that does not return, the compiler leaves it out"),
    Cause("jump-out-of-range", r"jump (?:out of range|into the middle)|call to invalid destination",
          "a jump leaves its function", "jump inside the function only; call others"),
    # --- values -------------------------------------------------------------------------------------------------------
    Cause("return-range",
          r"(?:program exit|callback return|\bexit) the register R0 has (?P<have>.*?) should have been in (?P<want>.*)",
          "the program returns a value outside of what this hook allows: {want}",
          "return constants of that range on every path; a value from elsewhere is reduced first: `return !!x;`"),
    Cause("division-by-zero", r"div by zero", "it divides by the constant zero", "divide by something else"),
    Cause("shift-too-far", r"invalid shift (?P<count>-?\d+)", "it shifts by {count} bits, which is more than there are",
          "shift by fewer bits than the type has"),
    Cause("frame-pointer", r"frame pointer is read only", "it writes R10, the frame pointer", "use another register"),
    Cause("map-forbids", r"(?P<what>write into|read from) map forbidden",
          "the map does not let programs do that ({what} it)",
          "make the map without BPF_F_RDONLY_PROG or BPF_F_WRONLY_PROG; constants (.rodata) are set before loading"),
    Cause("kernel-memory", r"only read is supported",
          "it writes to a kernel object",
          "programs read kernel structs but change them only through kernel functions made for it"),
    Cause("kernel-memory", r"access beyond (?:the end of member )?(?:struct )?(?P<name>\w+)|cannot access ptr member|"
          r"access is not allowed|no access beyond|is ptr_\w* invalid",
          "it reads a kernel struct outside of its members",
          "declare the struct as the kernel has it, with preserve_access_index, so that CO-RE puts in the real offset"),
    Cause("func-info", r"func_info|btf func", "the functions' types (BTF func info) are missing or do not fit",
          "compile with -g; functions passed as callbacks need Linux 5.13"),
    Cause("malformed", r"uses reserved fields|unknown opcode|invalid (?:bpf_ld_imm64|BPF_LD_IMM)|R\d+ is invalid|"
          r"invalid BPF_|BPF_\w+ .*(?:reserved|invalid|not supported)",
          "an instruction is none that this kernel knows",
          "for the newer instruction sets (-mcpu=v4) use a newer kernel, or compile with -mcpu=v3 or v2"),
)  # fmt: skip
