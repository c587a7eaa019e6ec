"""The first mainline kernel of well-known kfuncs, which have no numbers (BTF_ID_FLAGS in the kernel's sources).

For words only, as `first_kernels`. A kfunc may be renamed or go at any time; those that did are left out.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

_BY_KERNEL: Mapping[str, str] = {
    "5.18": "bpf_xdp_ct_lookup bpf_skb_ct_lookup bpf_ct_release",
    "6.0": "bpf_lookup_user_key bpf_lookup_system_key bpf_key_put bpf_verify_pkcs7_signature",
    "6.2": "bpf_task_acquire bpf_task_release bpf_task_from_pid bpf_cgroup_acquire bpf_cgroup_release "
    "bpf_cgroup_ancestor bpf_cast_to_kern_ctx bpf_rdonly_cast bpf_rcu_read_lock bpf_rcu_read_unlock "
    "bpf_skb_get_xfrm_info bpf_skb_set_xfrm_info",
    "6.3": "bpf_xdp_metadata_rx_hash bpf_xdp_metadata_rx_timestamp",
    "6.4": "bpf_iter_num_new bpf_iter_num_next bpf_iter_num_destroy bpf_dynptr_from_skb bpf_dynptr_from_xdp "
    "bpf_dynptr_slice bpf_dynptr_slice_rdwr bpf_cgroup_from_id",
    "6.5": "bpf_task_under_cgroup bpf_dynptr_adjust bpf_dynptr_is_null bpf_dynptr_is_rdonly bpf_dynptr_size "
    "bpf_dynptr_clone bpf_sock_destroy",
    "6.6": "bpf_map_sum_elem_count",
    "6.7": "bpf_iter_task_vma_new bpf_iter_task_new bpf_iter_css_new bpf_iter_css_task_new bpf_throw",
    "6.8": "bpf_get_file_xattr bpf_get_fsverity_digest bpf_task_get_cgroup1 bpf_xdp_metadata_rx_vlan_tag",
    "6.9": "bpf_arena_alloc_pages bpf_arena_free_pages bpf_sk_assign_tcp_reqsk",
    "6.10": "bpf_wq_init bpf_wq_start bpf_preempt_disable bpf_preempt_enable bpf_crypto_ctx_create bpf_crypto_encrypt",
    "6.11": "bpf_iter_bits_new bpf_iter_bits_next",
    "6.12": "bpf_copy_from_user_str bpf_path_d_path bpf_get_task_exe_file bpf_put_file bpf_get_dentry_xattr",
    "6.13": "bpf_iter_kmem_cache_new bpf_get_kmem_cache bpf_task_from_vpid",
    "6.14": "bpf_local_irq_save bpf_local_irq_restore",
    "6.15": "bpf_res_spin_lock bpf_res_spin_unlock bpf_set_dentry_xattr",
    "6.16": "bpf_dynptr_copy bpf_iter_dmabuf_new",
    "6.17": "bpf_strcmp bpf_strlen bpf_strstr bpf_cgroup_read_xattr",
    "6.18": "bpf_strcasecmp",
}

KFUNCS_SINCE: Mapping[str, str] = {name: kernel for kernel, names in _BY_KERNEL.items() for name in names.split()}
