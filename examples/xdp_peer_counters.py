"""A TCP server that tells who talks to its machine, and how much: XDP counts each packet before the stack sees it.

As root: ``python examples/xdp_peer_counters.py eth0 --port 8080``; then ``nc HOST 8080`` gets a line of JSON a second.
"""

from __future__ import annotations

import argparse
import asyncio
import json
from contextlib import closing, suppress
from ipaddress import IPv6Address
from pathlib import Path

import aiobpf
from aiobpf.link import Xdp

OBJECT = Path(__file__).with_suffix(".bpf.o")


def by_peer(peers: aiobpf.Map) -> dict[str, dict[str, int]]:
    """The counters as they are now, by the peer's address."""
    found = {}
    for address, counters in peers.items():
        ip = IPv6Address(address.bytes)
        found[str(ip.ipv4_mapped or ip)] = {"packets": counters.packets, "bytes": counters.bytes}
    return found


async def main(interface: str, port: int, interval_s: float) -> None:
    async with aiobpf.load(OBJECT) as coll, coll.programs["count_peer"].attach(Xdp(interface)):

        async def serve(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            # Python 3.11 logs a connection that the end of the server cancels as an error.
            with closing(writer), suppress(ConnectionError, asyncio.CancelledError):
                while True:
                    writer.write(json.dumps(by_peer(coll.maps["peers"])).encode() + b"\n")
                    await writer.drain()
                    await asyncio.sleep(interval_s)

        with closing(await asyncio.start_server(serve, port=port)) as server:
            print(f"port {server.sockets[0].getsockname()[1]}, counting on {interface}", flush=True)
            await asyncio.Event().wait()


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("interface")
    parser.add_argument("--port", type=int, default=8080)
    parser.add_argument("--interval", type=float, default=1.0, metavar="SECONDS")
    options = parser.parse_args()
    with suppress(KeyboardInterrupt):
        asyncio.run(main(options.interface, options.port, options.interval))
