"""The only boundary to the kernel: bpf(2), perf_event_open(2), tracefs, and what /proc and /sys tell.

Everything here is synchronous but `in_worker`, which runs the rest off the event loop, and `kernel_btf`. Every new
descriptor is an `OwnedFd` from the moment the system call returns; a descriptor to use may be a number or anything with
``fileno()``. Nothing here knows an ELF file or a specification.

Names are imported when first used: a program that streams from a map needs no feature probes.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from aiobpf.lazy_names import lazy_names

if TYPE_CHECKING:
    from aiobpf.kernel.atomic import AtomicInteger as AtomicInteger
    from aiobpf.kernel.btf import KernelBtfCache as KernelBtfCache
    from aiobpf.kernel.btf import KernelType as KernelType
    from aiobpf.kernel.btf import kernel_btf as kernel_btf
    from aiobpf.kernel.btf import shared_btf_cache as shared_btf_cache
    from aiobpf.kernel.capabilities import Capability as Capability
    from aiobpf.kernel.capabilities import privilege_error as privilege_error
    from aiobpf.kernel.cpus import online_cpus as online_cpus
    from aiobpf.kernel.cpus import possible_cpus as possible_cpus
    from aiobpf.kernel.elements import UNSUPPORTED_ERRNOS as UNSUPPORTED_ERRNOS
    from aiobpf.kernel.elements import MapElements as MapElements
    from aiobpf.kernel.fd import FdLike as FdLike
    from aiobpf.kernel.fd import OwnedFd as OwnedFd
    from aiobpf.kernel.fdinfo import fd_info as fd_info
    from aiobpf.kernel.fdinfo import locked_memory as locked_memory
    from aiobpf.kernel.features import Feature as Feature
    from aiobpf.kernel.features import Inconclusive as Inconclusive
    from aiobpf.kernel.features import KernelFeatures as KernelFeatures
    from aiobpf.kernel.features import Supported as Supported
    from aiobpf.kernel.features import Unsupported as Unsupported
    from aiobpf.kernel.features import kernel_features as kernel_features
    from aiobpf.kernel.features import missing_btf_features as missing_btf_features
    from aiobpf.kernel.features import supports_bpf_cookie as supports_bpf_cookie
    from aiobpf.kernel.features import supports_btf as supports_btf
    from aiobpf.kernel.features import supports_map_type as supports_map_type
    from aiobpf.kernel.features import supports_probe_read_kernel as supports_probe_read_kernel
    from aiobpf.kernel.features import supports_program_type as supports_program_type
    from aiobpf.kernel.holders import Holder as Holder
    from aiobpf.kernel.holders import object_holders as object_holders
    from aiobpf.kernel.ids import ObjectKind as ObjectKind
    from aiobpf.kernel.ids import all_ids as all_ids
    from aiobpf.kernel.ids import btf_by_id as btf_by_id
    from aiobpf.kernel.ids import fd_by_id as fd_by_id
    from aiobpf.kernel.ids import link_by_id as link_by_id
    from aiobpf.kernel.ids import map_by_id as map_by_id
    from aiobpf.kernel.ids import next_id as next_id
    from aiobpf.kernel.ids import open_next as open_next
    from aiobpf.kernel.ids import program_by_id as program_by_id
    from aiobpf.kernel.info import BtfInfo as BtfInfo
    from aiobpf.kernel.info import MapInfo as MapInfo
    from aiobpf.kernel.info import ProgramInfo as ProgramInfo
    from aiobpf.kernel.info import ProgramStats as ProgramStats
    from aiobpf.kernel.info import btf_info as btf_info
    from aiobpf.kernel.info import enable_stats as enable_stats
    from aiobpf.kernel.info import map_info as map_info
    from aiobpf.kernel.info import object_id as object_id
    from aiobpf.kernel.info import program_info as program_info
    from aiobpf.kernel.info import program_stats as program_stats
    from aiobpf.kernel.info_links import LinkInfo as LinkInfo
    from aiobpf.kernel.info_links import link_info as link_info
    from aiobpf.kernel.kallsyms import Kallsyms as Kallsyms
    from aiobpf.kernel.kallsyms import has_syscall_wrapper as has_syscall_wrapper
    from aiobpf.kernel.kallsyms import symbol_address as symbol_address
    from aiobpf.kernel.kallsyms import symbol_addresses as symbol_addresses
    from aiobpf.kernel.kallsyms import syscall_wrapper_prefix as syscall_wrapper_prefix
    from aiobpf.kernel.kconfig import kernel_config as kernel_config
    from aiobpf.kernel.links import QUERY_EFFECTIVE as QUERY_EFFECTIVE
    from aiobpf.kernel.links import Attached as Attached
    from aiobpf.kernel.links import iter_create as iter_create
    from aiobpf.kernel.links import link_create as link_create
    from aiobpf.kernel.links import link_detach as link_detach
    from aiobpf.kernel.links import link_iter as link_iter
    from aiobpf.kernel.links import link_kprobe_multi as link_kprobe_multi
    from aiobpf.kernel.links import link_netfilter as link_netfilter
    from aiobpf.kernel.links import link_relative as link_relative
    from aiobpf.kernel.links import link_tracing_multi as link_tracing_multi
    from aiobpf.kernel.links import link_update as link_update
    from aiobpf.kernel.links import link_uprobe_multi as link_uprobe_multi
    from aiobpf.kernel.links import prog_attach as prog_attach
    from aiobpf.kernel.links import prog_detach as prog_detach
    from aiobpf.kernel.links import prog_query as prog_query
    from aiobpf.kernel.links import raw_tracepoint_open as raw_tracepoint_open
    from aiobpf.kernel.loaded_btf import btf_objects as btf_objects
    from aiobpf.kernel.loaded_btf import read_btf as read_btf
    from aiobpf.kernel.loaded_btf import read_btf_object as read_btf_object
    from aiobpf.kernel.mapped import MappedMemory as MappedMemory
    from aiobpf.kernel.mapped import map_shared as map_shared
    from aiobpf.kernel.mapped import map_shared_at as map_shared_at
    from aiobpf.kernel.mapped import read_memory as read_memory
    from aiobpf.kernel.mapped import write_memory as write_memory
    from aiobpf.kernel.maps import create_map as create_map
    from aiobpf.kernel.maps import freeze_map as freeze_map
    from aiobpf.kernel.memlock import raise_memlock_limit as raise_memlock_limit
    from aiobpf.kernel.opened import OpeningElements as OpeningElements
    from aiobpf.kernel.pins import PinnedObject as PinnedObject
    from aiobpf.kernel.pins import kind_of_fd as kind_of_fd
    from aiobpf.kernel.pins import open_pin as open_pin
    from aiobpf.kernel.pins import pin as pin
    from aiobpf.kernel.pins import remove_pin as remove_pin
    from aiobpf.kernel.pins import walk_pins as walk_pins
    from aiobpf.kernel.program_run import TestRun as TestRun
    from aiobpf.kernel.program_run import test_run as test_run
    from aiobpf.kernel.programs import LOG_MAX as LOG_MAX
    from aiobpf.kernel.programs import LogTooSmallError as LogTooSmallError
    from aiobpf.kernel.programs import bind_map as bind_map
    from aiobpf.kernel.programs import load_btf as load_btf
    from aiobpf.kernel.programs import load_program as load_program
    from aiobpf.kernel.programs import log_text as log_text
    from aiobpf.kernel.release import kernel_release as kernel_release
    from aiobpf.kernel.release import kernel_version as kernel_version
    from aiobpf.kernel.release import kernel_version_code as kernel_version_code
    from aiobpf.kernel.task_fd import TaskFd as TaskFd
    from aiobpf.kernel.task_fd import task_fd_query as task_fd_query
    from aiobpf.kernel.tokens import TokenInfo as TokenInfo
    from aiobpf.kernel.tokens import TokenSource as TokenSource
    from aiobpf.kernel.tokens import create_token as create_token
    from aiobpf.kernel.tokens import find_token as find_token
    from aiobpf.kernel.tokens import token_info as token_info
    from aiobpf.kernel.tracefs import Tracefs as Tracefs
    from aiobpf.kernel.worker import close_in_worker as close_in_worker
    from aiobpf.kernel.worker import in_worker as in_worker
    from aiobpf.kernel.worker import worker_limiter as worker_limiter

_HOMES = {
    "atomic": "AtomicInteger",
    "btf": "KernelBtfCache KernelType kernel_btf shared_btf_cache",
    "capabilities": "Capability privilege_error",
    "cpus": "online_cpus possible_cpus",
    "elements": "UNSUPPORTED_ERRNOS MapElements",
    "fd": "FdLike OwnedFd",
    "fdinfo": "fd_info locked_memory",
    "features": "Feature Inconclusive KernelFeatures Supported Unsupported kernel_features missing_btf_features "
    "supports_bpf_cookie supports_btf supports_map_type supports_probe_read_kernel supports_program_type",
    "ids": "ObjectKind all_ids btf_by_id fd_by_id link_by_id map_by_id next_id open_next program_by_id",
    "holders": "Holder object_holders",
    "info": "BtfInfo MapInfo ProgramInfo ProgramStats btf_info enable_stats map_info object_id program_info "
    "program_stats",
    "info_links": "LinkInfo link_info",
    "kallsyms": "Kallsyms has_syscall_wrapper symbol_address symbol_addresses syscall_wrapper_prefix",
    "kconfig": "kernel_config",
    "links": "QUERY_EFFECTIVE Attached iter_create link_create link_detach link_iter link_kprobe_multi link_netfilter "
    "link_relative link_tracing_multi link_update link_uprobe_multi prog_attach prog_detach prog_query "
    "raw_tracepoint_open",
    "loaded_btf": "btf_objects read_btf read_btf_object",
    "mapped": "MappedMemory map_shared map_shared_at read_memory write_memory",
    "maps": "create_map freeze_map",
    "memlock": "raise_memlock_limit",
    "opened": "OpeningElements",
    "pins": "PinnedObject kind_of_fd open_pin pin remove_pin walk_pins",
    "program_run": "TestRun test_run",
    "programs": "LOG_MAX LogTooSmallError bind_map load_btf load_program log_text",
    "release": "kernel_release kernel_version kernel_version_code",
    "task_fd": "TaskFd task_fd_query",
    "tokens": "TokenInfo TokenSource create_token find_token token_info",
    "tracefs": "Tracefs",
    "worker": "close_in_worker in_worker worker_limiter",
}

__all__ = sorted(" ".join(_HOMES.values()).split())  # noqa: PLE0605 - one list, above
__getattr__, __dir__ = lazy_names(__name__, _HOMES)
