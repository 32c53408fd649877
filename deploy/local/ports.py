"""Free TCP ports on this machine."""

import random
import socket
from pathlib import Path


def free(port: int) -> bool:
    """True when a server can listen there, and nothing on the other loopback address answers in its place."""
    for family, address in ((socket.AF_INET, "127.0.0.1"), (socket.AF_INET6, "::1")):
        try:
            with socket.socket(family, socket.SOCK_STREAM) as probe:
                probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                probe.bind((address, port))
                probe.listen(1)
        except OSError:
            if family == socket.AF_INET or has_ipv6():
                return False
    return True


def has_ipv6() -> bool:
    try:
        with socket.socket(socket.AF_INET6, socket.SOCK_STREAM) as probe:
            probe.bind(("::1", 0))
    except OSError:
        return False
    return True


def choose(preferred: int = 0, taken: frozenset = frozenset()) -> int:
    """preferred when it is free (0: no wish), else any free one that is not in taken."""
    if preferred and preferred not in taken and free(preferred):
        return preferred
    # Below the range that outgoing connections take theirs from, so that it is still free after a restart.
    first_outgoing = int(Path("/proc/sys/net/ipv4/ip_local_port_range").read_text().split()[0])
    highest = first_outgoing - 1 if first_outgoing > 12000 else 65535
    for _ in range(1000):
        port = random.randint(10000, highest)
        if port not in taken and free(port):
            return port
    raise OSError("no free port found")
