"""libbpf.so, declared as BCC declares its own library."""

from __future__ import annotations

import ctypes as ct

RING_CALLBACK = ct.CFUNCTYPE(ct.c_int, ct.c_void_p, ct.c_void_p, ct.c_size_t)

lib = ct.CDLL("libbpf.so.1", use_errno=True)
lib.libbpf_version_string.restype = ct.c_char_p
lib.ring_buffer__new.restype = ct.c_void_p
lib.ring_buffer__new.argtypes = [ct.c_int, RING_CALLBACK, ct.c_void_p, ct.c_void_p]
lib.ring_buffer__poll.restype = ct.c_int
lib.ring_buffer__poll.argtypes = [ct.c_void_p, ct.c_int]
lib.bpf_map_lookup_elem.restype = ct.c_int
lib.bpf_map_lookup_elem.argtypes = [ct.c_int, ct.c_void_p, ct.c_void_p]
lib.bpf_map_update_elem.restype = ct.c_int
lib.bpf_map_update_elem.argtypes = [ct.c_int, ct.c_void_p, ct.c_void_p, ct.c_ulonglong]
lib.bpf_map_update_batch.restype = ct.c_int
lib.bpf_map_update_batch.argtypes = [ct.c_int, *[ct.c_void_p] * 4]
lib.bpf_map_delete_batch.restype = ct.c_int
lib.bpf_map_delete_batch.argtypes = [ct.c_int, *[ct.c_void_p] * 3]
lib.bpf_map_lookup_batch.restype = ct.c_int
lib.bpf_map_lookup_batch.argtypes = [ct.c_int, *[ct.c_void_p] * 6]
