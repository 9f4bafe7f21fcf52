"""Addresses of the internet protocol, versions 4 and 6. `--scrub ip_address`.

Public addresses only; `--scrub-private-addresses` takes private, loopback, link-local, multicast and reserved ones too. The
ranges are those of IANA's registries, as Python's `ipaddress` has them, and 2000::/3 for version 6; addresses for
documentation count as public. Not found: four numbers behind a word that says version, release, section …, or inside a file's
or a package's name (`foo-1.2.3.4.tar.gz`); four numbers below 30, as sections and versions have, without a word before them
that says address, but for the public resolvers 1.1.1.1, 8.8.8.8 and 9.9.9.9; a heading's number at the beginning of a line;
slices of Python (`[::2]`). A fake lies in TEST-NET-1 to -3 (RFC 5737) or in 2001:db8::/32 (RFC 3849).
"""

from __future__ import annotations

import ipaddress
import re

from megatron_ext.corpus.sensitive.folding import fold

TITLE = "IP addresses"
CERTAINTY = 4

_NETS = [ipaddress.ip_network(net) for net in ("192.0.2.0/24", "198.51.100.0/24", "203.0.113.0/24", "2001:db8::/32")]
_PUBLIC6, _LOCAL6 = ipaddress.ip_network("2000::/3"), ipaddress.ip_network("fc00::/7")
_VERSION = re.compile(
    r"(?:\b(?:(?:v|vers?|rev|sect?|fig)\.?|versions?|release[sd]?|revision|build|firmware|driver|sections?|chapter|clause|appendix|"
    r"table|figure|equation|theorem|lemma|oid|objectidentifier|update|upgraded?|patch|kernel|since|linux|python|java|chrome|firefox|"
    r"safari|opera|msie|mozilla)"
    r"|版本|版|第|章|节|§|[<>=~!^]=|[A-Za-z]/|[0-9A-Za-z_)+~][-+]|[a-z]_)[ \t:：#(\"'是为号]{0,3}(?:to |from |is |of )?\Z",
    re.IGNORECASE,
)
_ADDRESS = re.compile(
    r"(?:\bip|ipv4|addr|host|server|dns|\bping|gateway|router|proxy|\b(?:sub|i)?net(?:work|mask)?\b(?<!\.net)|地址|服务器|主机|网关|"
    r"代理|https?://)[^\n。]{0,10}\Z|@\Z",
    re.IGNORECASE,
)
_HEADING = re.compile(r"(?:^|\n)[ \t]*\Z"), re.compile(r"\.?[ \t]+[A-Z]|\.[ \t]")
_RESOLVERS = frozenset(("1.1.1.1", "8.8.8.8", "9.9.9.9"))
_PACKAGE = re.compile(r"[-+~][0-9A-Za-z]*[a-z]|\.(?:tar|zip|tgz|whl|exe|deb|rpm|dll|so|jar|msi|dmg|gz|html?)\b|-[0-9]+(?![0-9.])")


def check(text, start, end, c):
    value = fold(text[start:end])
    if ":" in value:
        return _check6(value, start, c)
    address = ipaddress.IPv4Address(value)
    if not _wanted(address, c):
        return None
    before = fold(text[max(0, start - 24) : start])
    if _VERSION.search(before) or _PACKAGE.match(text, end):
        return None
    parts = list(map(int, value.split(".")))
    if max(parts) < 100 and _HEADING[0].search(before) and _HEADING[1].match(text, end):
        return None
    low = max(parts) < 30 and value not in _RESOLVERS
    if (low or parts[:2] == [2, 5]) and not _ADDRESS.search(before):
        return None
    return start, end


def _check6(value: str, start: int, c):
    kept = value.rstrip(".")
    if kept.endswith(":") and not kept.endswith("::"):
        kept = kept[:-1]
    try:
        address = ipaddress.IPv6Address(kept)
    except ValueError:
        return None
    inner = address.ipv4_mapped
    if inner is None and not (address in _PUBLIC6 or (c.scrub_private_addresses and _is_private6(address))):
        return None
    return (start, start + len(kept)) if _wanted(inner or address, c) else None


def _is_private6(address) -> bool:
    """Loopback, link-local, unique local, multicast; the rest of what is not public is more likely code: `[::2]`, `face::`."""
    return address.is_loopback or address.is_link_local or address.is_multicast or address in _LOCAL6


def _wanted(address, c) -> bool:
    return c.scrub_private_addresses or _of_nobody(address) or (address.is_global and not address.is_multicast)


def _of_nobody(address) -> bool:
    return any(address.version == net.version and address in net for net in _NETS)


def fake(found, draw):
    address = ipaddress.ip_address(fold(found))
    if _of_nobody(address):
        return found
    number = draw(str(address))
    if address.version == 4:
        return str(_NETS[number % 3][1 + number // 3 % 254])
    return str(ipaddress.IPv6Address(int(_NETS[3].network_address) | number % 2**96))
