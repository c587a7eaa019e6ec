"""``__arg_ctx`` for kernels that do not know it: the context of a global function, told by its type.

The verifier looks at a global function apart from its callers and goes by the types of its parameters. The tag
``arg:ctx`` (6.8, 94e1c70a3452) says "this is the program's context" whatever the type; before, only a pointer to the
struct of that program type's name meant it. One function may serve several program types, so its C type is often
``void *``: the type is put in for each program, as libbpf does.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from aiobpf.btf import FUNCTION_INFO, Function, FunctionPrototype, Linkage, Parameter, Pointer, Struct
from aiobpf.kernel import Feature, features
from aiobpf.uapi import ProgramType

if TYPE_CHECKING:
    from collections.abc import Mapping

    from aiobpf.asm import Instructions

_TAG = "arg:ctx"

_CONTEXTS: Mapping[ProgramType, str] = {
    ProgramType.SOCKET_FILTER: "__sk_buff",
    ProgramType.KPROBE: "bpf_user_pt_regs_t",
    ProgramType.SCHED_CLS: "__sk_buff",
    ProgramType.SCHED_ACT: "__sk_buff",
    ProgramType.XDP: "xdp_md",
    ProgramType.PERF_EVENT: "bpf_perf_event_data",
    ProgramType.CGROUP_SKB: "__sk_buff",
    ProgramType.CGROUP_SOCK: "bpf_sock",
    ProgramType.LWT_IN: "__sk_buff",
    ProgramType.LWT_OUT: "__sk_buff",
    ProgramType.LWT_XMIT: "__sk_buff",
    ProgramType.SOCK_OPS: "bpf_sock_ops",
    ProgramType.SK_SKB: "__sk_buff",
    ProgramType.CGROUP_DEVICE: "bpf_cgroup_dev_ctx",
    ProgramType.SK_MSG: "sk_msg_md",
    ProgramType.RAW_TRACEPOINT: "bpf_raw_tracepoint_args",
    ProgramType.CGROUP_SOCK_ADDR: "bpf_sock_addr",
    ProgramType.LWT_SEG6LOCAL: "__sk_buff",
    ProgramType.SK_REUSEPORT: "sk_reuseport_md",
    ProgramType.FLOW_DISSECTOR: "__sk_buff",
    ProgramType.CGROUP_SYSCTL: "bpf_sysctl",
    ProgramType.RAW_TRACEPOINT_WRITABLE: "bpf_raw_tracepoint_args",
    ProgramType.CGROUP_SOCKOPT: "bpf_sockopt",
    ProgramType.SK_LOOKUP: "bpf_sk_lookup",
    ProgramType.NETFILTER: "bpf_nf_ctx",
}
"""The struct that user space knows a context by (include/linux/bpf_types.h). The kernel compares names alone, and the
kprobe's, a typedef to the compiler, as if it were a struct. Types that are not here have no context of one name."""


def spell_out_contexts(instructions: Instructions, program_type: ProgramType, token: int | None = None) -> None:
    """Give each parameter tagged ``arg:ctx`` the type that says so to this kernel; nothing where it knows the tag."""
    name = _CONTEXTS.get(program_type)
    if name is None:
        return
    tagged = [
        (index, function)
        for index, function in instructions.with_key(FUNCTION_INFO)
        if index and function.linkage == Linkage.GLOBAL and any(_TAG in tags for tags in function.parameter_tags)
    ]
    if not tagged or features.may_support(Feature.ARG_CTX_TAG, token):
        return
    context = Pointer(Struct(name, 0))
    for index, function in tagged:
        parameters = [Parameter(each.name, context if _TAG in each.tags else each.type) for each in function.parameters]
        prototype = FunctionPrototype(function.type.return_type, parameters)
        instructions.set_metadata(index, FUNCTION_INFO, Function(function.name, prototype, function.linkage))
