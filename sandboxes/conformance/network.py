"""Cases: the network. There is none, so everything fails at once; nothing is tried where a box has a route anywhere."""

from __future__ import annotations

from agentrl.sandboxes.conformance.case import Case, attempts, refused

__all__ = ["CASES", "GUARD"]

# A route out of the box ends the program before anything is sent: the suite itself never talks to the outside.
GUARD = """
routes = [line for line in open('/proc/net/route').read().splitlines()[1:] if line.strip()]
try:
    for line in open('/proc/net/ipv6_route'):
        if line.split()[9] != 'lo' and int(line.split()[1], 16) < 8:
            routes.append(line)
except OSError:
    pass
if routes:
    print('DONE: the box has a route', routes[:3])
    sys.exit(0)

def quick(name, action):
    begun = time.monotonic()
    attempt(name, action)
    if time.monotonic() - begun > 1.5:
        print('DONE: took %.1f s:' % (time.monotonic() - begun), name)

def tcp(host, port, family=socket.AF_INET):
    def connect():
        with socket.socket(family) as link:
            link.settimeout(2)
            link.connect((host, port))
            # Where names may be allowed a proxy listens in the box itself; it hangs up on a lease that has none.
            try:
                link.sendall(b'CONNECT example.org:443 HTTP/1.1\\r\\nHost: example.org\\r\\n\\r\\n')
                answer = link.recv(100)
            except ConnectionError:
                answer = b''
            if not answer: raise ConnectionError('hung up')
    return connect

def udp(host, port, family=socket.AF_INET):
    def send():
        with socket.socket(family, socket.SOCK_DGRAM) as link:
            link.settimeout(2)
            link.connect((host, port))
            link.send(b'x')
            link.recv(1)
    return send
"""


def _network(name: str, body: str, item: str = "network") -> Case:
    return Case(
        name=name,
        group="network",
        item=item,
        python=attempts(GUARD + body),
        timeout_s=10,
        check=refused,
        needs=frozenset({"network"}),
    )


CASES: tuple[Case, ...] = (
    _network("tcp", "quick('tcp', tcp('1.1.1.1', 80))\nquick('tcp 443', tcp('8.8.8.8', 443))\n"),
    _network("udp", "quick('udp', udp('1.1.1.1', 53))\nquick('ntp', udp('129.6.15.28', 123))\n"),
    _network(
        "dns",
        "quick('name', lambda: socket.getaddrinfo('example.org', 80))\n"
        "quick('name of the host', lambda: socket.getaddrinfo('host.docker.internal', 80))\n"
        "quick('short name', lambda: socket.getaddrinfo('metadata', 80))\n"
        "quick('docker dns', udp('127.0.0.11', 53))\n",
    ),
    _network(
        "metadata_address",
        "quick('metadata', tcp('169.254.169.254', 80))\nquick('v6', tcp('fd00:ec2::254', 80, socket.AF_INET6))\n",
    ),
    _network(
        "gateway",
        "for host in ('172.17.0.1', '172.18.0.1', '10.0.0.1', '192.168.0.1', '192.168.1.1', '10.0.2.2'):\n"
        "    quick(host, tcp(host, 22))\n    quick('engine at ' + host, tcp(host, 2375))\n",
    ),
    _network(
        "loopback_of_the_host",
        "for port in (22, 80, 111, 631, 2375, 2376, 3128, 5000, 5432, 6379, 8000, 8080, 8888, 9000):\n"
        "    quick('127.0.0.1:%d' % port, tcp('127.0.0.1', port))\n"
        "quick('::1', tcp('::1', 22, socket.AF_INET6))\n"
        "quick('any', tcp('0.0.0.0', 22))\n",
    ),
    _network(
        "ipv6",
        "quick('tcp', tcp('2606:4700:4700::1111', 80, socket.AF_INET6))\n"
        "quick('udp', udp('2001:4860:4860::8888', 53, socket.AF_INET6))\n"
        "quick('multicast', udp('ff02::1', 9999, socket.AF_INET6))\n"
        "quick('mapped', tcp('::ffff:1.1.1.1', 80, socket.AF_INET6))\n",
    ),
    _network(
        "icmp",
        "def ping(kind):\n"
        "    def send():\n"
        "        with socket.socket(socket.AF_INET, kind, socket.IPPROTO_ICMP) as link:\n"
        "            link.settimeout(1)\n"
        "            link.sendto(b'\\x08\\x00\\xf7\\xff\\x00\\x00\\x00\\x00', ('1.1.1.1', 0))\n"
        "            link.recv(1)\n"
        "    return send\n"
        "quick('raw', ping(socket.SOCK_RAW))\nquick('datagram', ping(socket.SOCK_DGRAM))\n",
    ),
    _network(
        "broadcast",
        "def broadcast(address):\n"
        "    def send():\n"
        "        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as link:\n"
        "            link.setsockopt(socket.SOL_SOCKET, socket.SO_BROADCAST, 1)\n"
        "            link.sendto(b'x', (address, 9999))\n"
        "    return send\n"
        "quick('broadcast', broadcast('255.255.255.255'))\nquick('multicast', broadcast('224.0.0.1'))\n",
    ),
    _network(
        "raw_and_packet_sockets",
        "def opened(family, kind, protocol=0):\n"
        "    return lambda: socket.socket(family, kind, protocol).close()\n"
        "quick('raw', opened(socket.AF_INET, socket.SOCK_RAW, 255))\n"
        "quick('raw tcp', opened(socket.AF_INET, socket.SOCK_RAW, 6))\n"
        "quick('raw v6', opened(socket.AF_INET6, socket.SOCK_RAW, 58))\n"
        "quick('packet', opened(17, socket.SOCK_RAW, 3))\n"
        "quick('packet datagram', opened(17, socket.SOCK_DGRAM, 3))\n",
        item="raw sockets",
    ),
    _network(
        "unusual_socket_families",
        # Opened and closed, never connected: 40 is AF_VSOCK, which reaches the hypervisor where it is let through.
        "for family, kind in ((40, 1), (40, 2), (38, 5), (29, 3), (31, 3), (21, 5), (44, 3), (30, 5), (15, 3), (8, "
        "2), (3, 5), (9, 5), (36, 2)):\n"
        "    quick('family %d kind %d' % (family, kind), lambda: socket.socket(family, kind).close())\n",
        item="raw sockets",
    ),
    _network(
        "netlink_families",
        # All but 0, which asks for addresses and routes, and which a C library needs to look up a name.
        "for number in range(1, 23):\n"
        "    quick('netlink %d' % number, lambda: socket.socket(16, socket.SOCK_RAW, number).close())\n",
        item="raw sockets",
    ),
    _network(
        "network_settings",
        "import fcntl\n"
        "link = socket.socket()\n"
        "quick('interface up', lambda: fcntl.ioctl(link, 0x8914, struct.pack('16sh22x', b'lo', 0)))\n"
        "quick('address', lambda: fcntl.ioctl(link, 0x8916, struct.pack('16sHH4s16x', b'lo', 2, 0, bytes([127, 0, "
        "0, 9]))))\n"
        "quick('route', lambda: fcntl.ioctl(link, 0x890B, bytes(120)))\n"
        "quick('forwarding', lambda: overwrite('/proc/sys/net/ipv4/ip_forward'))\n"
        "def delete_route():\n"
        "    with socket.socket(16, socket.SOCK_RAW, 0) as route:\n"
        "        route.bind((0, 0))\n"
        "        route.send(struct.pack('=IHHII', 32, 16, 5, 1, 0) + struct.pack('=BxHiII', 0, 772, 1, 0, 1))\n"
        "        answer = struct.unpack_from('=IHHIIi', route.recv(4096))\n"
        "        if answer[5]: raise OSError(-answer[5], 'answer')\n"
        "quick('netlink', delete_route)\n"
        "quick('namespace of init', lambda: os.open('/proc/1/ns/net', os.O_RDONLY))\n",
    ),
)
