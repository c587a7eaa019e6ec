"""The keys of a longest-prefix trie: a network, or what the map's BTF says."""

from __future__ import annotations

import ipaddress
import struct
from typing import TYPE_CHECKING, Any, Final, final

from aiobpf.errors import CodecError

if TYPE_CHECKING:
    from aiobpf.runtime.element import ElementCodec

NETWORKS: Final[dict[type[Any], int]] = {ipaddress.IPv4Network: 4, ipaddress.IPv6Network: 16}
"""Bytes of their addresses."""
_BITS = struct.Struct("=I")


@final
class PrefixElement:
    """A prefix's length in bits and its bytes, the first bits first (kernel/bpf/lpm_trie.c).

    Written from a network or address of `ipaddress`, or as *plain* is. Read as *plain*, or as a *network* class; of a
    network whose host bits are not zero, which the trie keeps and no lookup sees, they are dropped.
    """

    __slots__ = ("_network", "plain", "size")

    def __init__(self, size: int, plain: ElementCodec, network: type[Any] | None = None) -> None:
        if network is not None and NETWORKS[network] != size - _BITS.size:
            raise CodecError(
                f"a key has {size - _BITS.size} bytes of prefix, and {network.__name__} has {NETWORKS[network]}"
            )
        self.size = size
        self.plain = plain
        self._network = network

    @property
    def dtype(self) -> Any:
        return getattr(self.plain, "dtype", None)

    def encode(self, value: Any) -> bytes:
        if isinstance(value, (ipaddress.IPv4Interface, ipaddress.IPv6Interface)):
            value = value.network
        if isinstance(value, (ipaddress.IPv4Network, ipaddress.IPv6Network)):
            length, packed = value.prefixlen, value.network_address.packed
        elif isinstance(value, (ipaddress.IPv4Address, ipaddress.IPv6Address)):
            length, packed = value.max_prefixlen, value.packed
        else:
            return self.plain.encode(value)
        if len(packed) != self.size - _BITS.size:
            raise CodecError(
                f"a key has {self.size - _BITS.size} bytes of prefix, and {value} has {len(packed)}: an address of"
                " another version, or a key that has more than an address"
            )
        return _BITS.pack(length) + packed

    def decode(self, buffer: bytes, offset: int = 0) -> Any:
        if self._network is None:
            return self.plain.decode(buffer, offset)
        (length,) = _BITS.unpack_from(buffer, offset)
        return self._network((buffer[offset + _BITS.size : offset + self.size], length), strict=False)
