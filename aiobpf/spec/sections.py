"""What the name of an ELF section says about the programs in it.

One table: it classifies programs, documents the names, and its `kind` column is the key under which `aiobpf.link`
registers the way to attach them, so there is no second switch on section names anywhere.

Rows are those of libbpf 1.8 (libbpf.c, section_defs). A row's *pattern* is one of

- ``"xdp"``: this name and nothing after it;
- ``"kprobe+"``: this name, alone or followed by ``/target``; the target becomes `ProgramSpec.attach_to`.

A leading ``?`` on a section's name means: known, but not loaded unless asked for.
"""

from __future__ import annotations

from typing import Final

from attrs import frozen

from aiobpf.uapi import AttachType, ProgramFlags, ProgramType

_NONE: Final = ProgramFlags(0)
_SLEEPABLE: Final = ProgramFlags.SLEEPABLE
_FRAGS: Final = ProgramFlags.XDP_HAS_FRAGS


@frozen
class Section:
    """One row: a name pattern and what it stands for. *kind* is "" where nothing attaches such a program by name."""

    pattern: str
    type: ProgramType
    attach_type: AttachType | None
    kind: str
    flags: ProgramFlags = _NONE

    @property
    def prefix(self) -> str:
        """The pattern without its mark."""
        return self.pattern.removesuffix("+")

    @property
    def takes_target(self) -> bool:
        return self.pattern.endswith("+")


@frozen
class SectionMatch:
    """What `parse_section` found: the row's columns, and what the name adds to them.

    *kind* is "" and *type* UNSPEC for a section that no row describes: a function library, or a program whose type the
    caller sets.
    """

    name: str
    type: ProgramType
    attach_type: AttachType | None = None
    flags: ProgramFlags = _NONE
    attach_to: str = ""
    kind: str = ""
    autoload: bool = True


_P = ProgramType
_A = AttachType

SECTIONS: Final[tuple[Section, ...]] = (
    # --- sockets and the network stack
    Section("socket", _P.SOCKET_FILTER, None, "socket"),
    Section("sk_reuseport/migrate", _P.SK_REUSEPORT, _A.SK_REUSEPORT_SELECT_OR_MIGRATE, "sk_reuseport"),
    Section("sk_reuseport", _P.SK_REUSEPORT, _A.SK_REUSEPORT_SELECT, "sk_reuseport"),
    # --- probes
    Section("kprobe+", _P.KPROBE, None, "kprobe"),
    Section("kretprobe+", _P.KPROBE, None, "kretprobe"),
    Section("uprobe+", _P.KPROBE, None, "uprobe"),
    Section("uprobe.s+", _P.KPROBE, None, "uprobe", _SLEEPABLE),
    Section("uretprobe+", _P.KPROBE, None, "uretprobe"),
    Section("uretprobe.s+", _P.KPROBE, None, "uretprobe", _SLEEPABLE),
    Section("kprobe.multi+", _P.KPROBE, _A.TRACE_KPROBE_MULTI, "kprobe.multi"),
    Section("kretprobe.multi+", _P.KPROBE, _A.TRACE_KPROBE_MULTI, "kretprobe.multi"),
    Section("kprobe.session+", _P.KPROBE, _A.TRACE_KPROBE_SESSION, "kprobe.session"),
    Section("uprobe.multi+", _P.KPROBE, _A.TRACE_UPROBE_MULTI, "uprobe.multi"),
    Section("uprobe.multi.s+", _P.KPROBE, _A.TRACE_UPROBE_MULTI, "uprobe.multi", _SLEEPABLE),
    Section("uretprobe.multi+", _P.KPROBE, _A.TRACE_UPROBE_MULTI, "uretprobe.multi"),
    Section("uretprobe.multi.s+", _P.KPROBE, _A.TRACE_UPROBE_MULTI, "uretprobe.multi", _SLEEPABLE),
    Section("uprobe.session+", _P.KPROBE, _A.TRACE_UPROBE_SESSION, "uprobe.session"),
    Section("uprobe.session.s+", _P.KPROBE, _A.TRACE_UPROBE_SESSION, "uprobe.session", _SLEEPABLE),
    Section("ksyscall+", _P.KPROBE, None, "ksyscall"),
    Section("kretsyscall+", _P.KPROBE, None, "kretsyscall"),
    Section("usdt+", _P.KPROBE, None, "usdt"),
    Section("usdt.s+", _P.KPROBE, None, "usdt", _SLEEPABLE),
    # --- traffic control; "tc/..." is libbpf's alias of "tcx/..."
    Section("tc/ingress", _P.SCHED_CLS, _A.TCX_INGRESS, "tcx"),
    Section("tc/egress", _P.SCHED_CLS, _A.TCX_EGRESS, "tcx"),
    Section("tcx/ingress", _P.SCHED_CLS, _A.TCX_INGRESS, "tcx"),
    Section("tcx/egress", _P.SCHED_CLS, _A.TCX_EGRESS, "tcx"),
    Section("tc", _P.SCHED_CLS, None, "tc"),
    Section("classifier", _P.SCHED_CLS, None, "tc"),
    Section("action", _P.SCHED_ACT, None, "tc"),
    Section("netkit/primary", _P.SCHED_CLS, _A.NETKIT_PRIMARY, "netkit"),
    Section("netkit/peer", _P.SCHED_CLS, _A.NETKIT_PEER, "netkit"),
    # --- tracepoints and BTF-typed tracing
    Section("tracepoint+", _P.TRACEPOINT, None, "tracepoint"),
    Section("tp+", _P.TRACEPOINT, None, "tracepoint"),
    Section("tracepoint.s+", _P.TRACEPOINT, None, "tracepoint", _SLEEPABLE),
    Section("tp.s+", _P.TRACEPOINT, None, "tracepoint", _SLEEPABLE),
    Section("raw_tracepoint+", _P.RAW_TRACEPOINT, None, "raw_tracepoint"),
    Section("raw_tp+", _P.RAW_TRACEPOINT, None, "raw_tracepoint"),
    Section("raw_tracepoint.s+", _P.RAW_TRACEPOINT, None, "raw_tracepoint", _SLEEPABLE),
    Section("raw_tp.s+", _P.RAW_TRACEPOINT, None, "raw_tracepoint", _SLEEPABLE),
    Section("raw_tracepoint.w+", _P.RAW_TRACEPOINT_WRITABLE, None, "raw_tracepoint"),
    Section("raw_tp.w+", _P.RAW_TRACEPOINT_WRITABLE, None, "raw_tracepoint"),
    Section("tp_btf+", _P.TRACING, _A.TRACE_RAW_TP, "tp_btf"),
    Section("tp_btf.s+", _P.TRACING, _A.TRACE_RAW_TP, "tp_btf", _SLEEPABLE),
    Section("fentry+", _P.TRACING, _A.TRACE_FENTRY, "fentry"),
    Section("fentry.s+", _P.TRACING, _A.TRACE_FENTRY, "fentry", _SLEEPABLE),
    Section("fmod_ret+", _P.TRACING, _A.MODIFY_RETURN, "fmod_ret"),
    Section("fmod_ret.s+", _P.TRACING, _A.MODIFY_RETURN, "fmod_ret", _SLEEPABLE),
    Section("fexit+", _P.TRACING, _A.TRACE_FEXIT, "fexit"),
    Section("fexit.s+", _P.TRACING, _A.TRACE_FEXIT, "fexit", _SLEEPABLE),
    Section("fsession+", _P.TRACING, _A.TRACE_FSESSION, "fsession"),
    Section("fsession.s+", _P.TRACING, _A.TRACE_FSESSION, "fsession", _SLEEPABLE),
    Section("fentry.multi+", _P.TRACING, _A.TRACE_FENTRY_MULTI, "fentry.multi"),
    Section("fentry.multi.s+", _P.TRACING, _A.TRACE_FENTRY_MULTI, "fentry.multi", _SLEEPABLE),
    Section("fexit.multi+", _P.TRACING, _A.TRACE_FEXIT_MULTI, "fexit.multi"),
    Section("fexit.multi.s+", _P.TRACING, _A.TRACE_FEXIT_MULTI, "fexit.multi", _SLEEPABLE),
    Section("fsession.multi+", _P.TRACING, _A.TRACE_FSESSION_MULTI, "fsession.multi"),
    Section("fsession.multi.s+", _P.TRACING, _A.TRACE_FSESSION_MULTI, "fsession.multi", _SLEEPABLE),
    Section("freplace+", _P.EXT, None, "freplace"),
    Section("lsm+", _P.LSM, _A.LSM_MAC, "lsm"),
    Section("lsm.s+", _P.LSM, _A.LSM_MAC, "lsm", _SLEEPABLE),
    Section("lsm_cgroup+", _P.LSM, _A.LSM_CGROUP, "lsm_cgroup"),
    Section("iter+", _P.TRACING, _A.TRACE_ITER, "iter"),
    Section("iter.s+", _P.TRACING, _A.TRACE_ITER, "iter", _SLEEPABLE),
    # A syscall program may sleep whatever its flags say, and the kernel refuses to load one without the flag.
    Section("syscall", _P.SYSCALL, None, "", _SLEEPABLE),
    # --- XDP; programs for a devmap or cpumap entry go into the map, not onto an interface
    Section("xdp.frags/devmap", _P.XDP, _A.XDP_DEVMAP, "", _FRAGS),
    Section("xdp/devmap", _P.XDP, _A.XDP_DEVMAP, ""),
    Section("xdp.frags/cpumap", _P.XDP, _A.XDP_CPUMAP, "", _FRAGS),
    Section("xdp/cpumap", _P.XDP, _A.XDP_CPUMAP, ""),
    Section("xdp.frags", _P.XDP, _A.XDP, "xdp", _FRAGS),
    Section("xdp", _P.XDP, _A.XDP, "xdp"),
    # --- others
    Section("perf_event", _P.PERF_EVENT, None, "perf_event"),
    Section("lwt_in", _P.LWT_IN, None, "lwt"),
    Section("lwt_out", _P.LWT_OUT, None, "lwt"),
    Section("lwt_xmit", _P.LWT_XMIT, None, "lwt"),
    Section("lwt_seg6local", _P.LWT_SEG6LOCAL, None, "lwt"),
    Section("sk_skb/stream_parser", _P.SK_SKB, _A.SK_SKB_STREAM_PARSER, "sockmap"),
    Section("sk_skb/stream_verdict", _P.SK_SKB, _A.SK_SKB_STREAM_VERDICT, "sockmap"),
    Section("sk_skb/verdict", _P.SK_SKB, _A.SK_SKB_VERDICT, "sockmap"),
    Section("sk_skb", _P.SK_SKB, None, "sockmap"),
    Section("sk_msg", _P.SK_MSG, _A.SK_MSG_VERDICT, "sockmap"),
    Section("sk_lookup", _P.SK_LOOKUP, _A.SK_LOOKUP, "sk_lookup"),
    Section("flow_dissector", _P.FLOW_DISSECTOR, _A.FLOW_DISSECTOR, "flow_dissector"),
    Section("lirc_mode2", _P.LIRC_MODE2, _A.LIRC_MODE2, "lirc_mode2"),
    Section("netfilter", _P.NETFILTER, _A.NETFILTER, "netfilter"),
    Section("struct_ops+", _P.STRUCT_OPS, None, "struct_ops"),
    Section("struct_ops.s+", _P.STRUCT_OPS, None, "struct_ops", _SLEEPABLE),
    # --- cgroups
    Section("sockops", _P.SOCK_OPS, _A.CGROUP_SOCK_OPS, "cgroup"),
    Section("cgroup_skb/ingress", _P.CGROUP_SKB, _A.CGROUP_INET_INGRESS, "cgroup"),
    Section("cgroup_skb/egress", _P.CGROUP_SKB, _A.CGROUP_INET_EGRESS, "cgroup"),
    Section("cgroup/skb", _P.CGROUP_SKB, None, "cgroup"),
    Section("cgroup/sock_create", _P.CGROUP_SOCK, _A.CGROUP_INET_SOCK_CREATE, "cgroup"),
    Section("cgroup/sock_release", _P.CGROUP_SOCK, _A.CGROUP_INET_SOCK_RELEASE, "cgroup"),
    Section("cgroup/sock", _P.CGROUP_SOCK, _A.CGROUP_INET_SOCK_CREATE, "cgroup"),
    Section("cgroup/post_bind4", _P.CGROUP_SOCK, _A.CGROUP_INET4_POST_BIND, "cgroup"),
    Section("cgroup/post_bind6", _P.CGROUP_SOCK, _A.CGROUP_INET6_POST_BIND, "cgroup"),
    Section("cgroup/bind4", _P.CGROUP_SOCK_ADDR, _A.CGROUP_INET4_BIND, "cgroup"),
    Section("cgroup/bind6", _P.CGROUP_SOCK_ADDR, _A.CGROUP_INET6_BIND, "cgroup"),
    Section("cgroup/connect4", _P.CGROUP_SOCK_ADDR, _A.CGROUP_INET4_CONNECT, "cgroup"),
    Section("cgroup/connect6", _P.CGROUP_SOCK_ADDR, _A.CGROUP_INET6_CONNECT, "cgroup"),
    Section("cgroup/connect_unix", _P.CGROUP_SOCK_ADDR, _A.CGROUP_UNIX_CONNECT, "cgroup"),
    Section("cgroup/sendmsg4", _P.CGROUP_SOCK_ADDR, _A.CGROUP_UDP4_SENDMSG, "cgroup"),
    Section("cgroup/sendmsg6", _P.CGROUP_SOCK_ADDR, _A.CGROUP_UDP6_SENDMSG, "cgroup"),
    Section("cgroup/sendmsg_unix", _P.CGROUP_SOCK_ADDR, _A.CGROUP_UNIX_SENDMSG, "cgroup"),
    Section("cgroup/recvmsg4", _P.CGROUP_SOCK_ADDR, _A.CGROUP_UDP4_RECVMSG, "cgroup"),
    Section("cgroup/recvmsg6", _P.CGROUP_SOCK_ADDR, _A.CGROUP_UDP6_RECVMSG, "cgroup"),
    Section("cgroup/recvmsg_unix", _P.CGROUP_SOCK_ADDR, _A.CGROUP_UNIX_RECVMSG, "cgroup"),
    Section("cgroup/getpeername4", _P.CGROUP_SOCK_ADDR, _A.CGROUP_INET4_GETPEERNAME, "cgroup"),
    Section("cgroup/getpeername6", _P.CGROUP_SOCK_ADDR, _A.CGROUP_INET6_GETPEERNAME, "cgroup"),
    Section("cgroup/getpeername_unix", _P.CGROUP_SOCK_ADDR, _A.CGROUP_UNIX_GETPEERNAME, "cgroup"),
    Section("cgroup/getsockname4", _P.CGROUP_SOCK_ADDR, _A.CGROUP_INET4_GETSOCKNAME, "cgroup"),
    Section("cgroup/getsockname6", _P.CGROUP_SOCK_ADDR, _A.CGROUP_INET6_GETSOCKNAME, "cgroup"),
    Section("cgroup/getsockname_unix", _P.CGROUP_SOCK_ADDR, _A.CGROUP_UNIX_GETSOCKNAME, "cgroup"),
    Section("cgroup/sysctl", _P.CGROUP_SYSCTL, _A.CGROUP_SYSCTL, "cgroup"),
    Section("cgroup/getsockopt", _P.CGROUP_SOCKOPT, _A.CGROUP_GETSOCKOPT, "cgroup"),
    Section("cgroup/setsockopt", _P.CGROUP_SOCKOPT, _A.CGROUP_SETSOCKOPT, "cgroup"),
    Section("cgroup/dev", _P.CGROUP_DEVICE, _A.CGROUP_DEVICE, "cgroup"),
)

_EXACT: Final = {row.prefix: row for row in SECTIONS}
_WITH_TARGET: Final = {row.prefix: row for row in SECTIONS if row.takes_target}
_LOOSE: Final = tuple(sorted((row for row in SECTIONS if not row.takes_target), key=lambda row: -len(row.prefix)))


def parse_section(name: str) -> SectionMatch:
    """What programs in the section *name* are; any name gives an answer, UNSPEC with no autoload if none fits.

    First libbpf's rule, to the letter. What that refuses may still be a name from before libbpf 1.0, when a prefix was
    enough ("xdp_drop", "socket1", "classifier/red"): those match the longest exact row that they begin with, if what
    follows is no letter. libbpf leaves such programs without a type.
    """
    plain = name.removeprefix("?")
    autoload = plain == name
    row = _EXACT.get(plain)
    target = ""
    if row is None:
        head, slash, rest = plain.partition("/")
        if slash:
            row = _WITH_TARGET.get(head)
            target = rest
    if row is None:
        row = _loose(plain)
        target = ""
    if row is None:
        return SectionMatch(name, ProgramType.UNSPEC, autoload=False)
    return SectionMatch(name, row.type, row.attach_type, row.flags, target, row.kind, autoload)


def _loose(name: str) -> Section | None:
    for row in _LOOSE:
        prefix = row.prefix
        # A dot names a variant ("xdp.frags"); one that the table lacks is not the plain kind.
        if name.startswith(prefix) and not name[len(prefix)].isalpha() and name[len(prefix)] != ".":
            return row
    return None
