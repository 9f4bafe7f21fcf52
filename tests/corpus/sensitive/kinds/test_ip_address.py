"""--scrub ip_address, against Python's ipaddress."""

import ipaddress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from megatron_ext.corpus.sensitive.kinds.ip_address import _NETS
from tests.corpus.sensitive.case import drawn, found, make, replaced

PRIVATE = make("--scrub-private-addresses", kinds=["ip_address"])
PUBLIC = make(kinds=["ip_address"])


def values(scrubber, text):
    return [text[span.start : span.end] for span in scrubber.spans(text)]


@pytest.mark.parametrize("value", [*drawn("ip_address", 40), "192.0.2.7", "2001:db8::1", "1.1.1.1", "::ffff:93.184.216.34"])
def test_found(value):
    for text in (f"from {value} today", f"来自{value}。", f"http://[{value}]/", f"({value})", f"ping {value}."):
        assert found("ip_address", text) == [value]


@given(st.ip_addresses(v=4))
def test_version_4_as_ipaddress_says(address):
    public = (address.is_global and not address.is_multicast) or any(address in net for net in _NETS[:3])
    text = f"address {address} end"
    assert values(PUBLIC, text) == ([str(address)] if public else [])
    assert values(PRIVATE, text) == [str(address)]


@given(st.ip_addresses(v=6, network="2000::/3"), st.booleans())
def test_version_6_as_ipaddress_says(address, exploded):
    value = address.exploded if exploded else str(address)
    public = (address.is_global and not address.is_multicast) or address in _NETS[3]
    assert values(PUBLIC, f"address {value} end") == ([value] if public else [])
    assert values(PRIVATE, f"address {value} end") == [value]


@pytest.mark.parametrize(
    "value", ["10.0.0.1", "192.168.1.1", "127.0.0.1", "169.254.1.1", "100.64.0.1", "224.0.0.1", "fe80::1", "fd00::1", "::1"]
)
def test_private_addresses_only_on_request(value):
    assert found("ip_address", f"host {value}") == []
    assert found("ip_address", f"host {value}", "--scrub-private-addresses") == [value]


@pytest.mark.parametrize(
    "text",
    [
        *("256.1.1.1", "93.184.216", "93.184.216.34.5", "093.184.216.34", "x93.184.216.34", "93.184.216.34x", "1.93.184.216.34"),
        *(
            "version 93.184.216.34",
            "Chrome/93.0.4577.82",
            "foo-93.184.216.34.tar.gz",
            "v93.1.2.3",
            "pkg==93.1.2.3",
            "第93.1.2.3节",
        ),
        *("1.2.3.4", "see 4.4.4.4 there", 'ObjectIdentifier("2.5.29.31")', "\n6.2.56.3. Audio Interfaces", "\n7.40.4.1 Synopsis"),
        *("[::2]", "face::add()", "std::vector", "12:34:56", "00:1a:2b:3c:4d:5e", "a::b", "1:2:3:4:5:6:7", "2001:db8::1::2"),
    ],
)
def test_near_misses(text):
    assert found("ip_address", text) == []


def test_a_sentences_end_is_no_versions_point():
    assert found("ip_address", "Use Safari. 93.184.216.34 is down.") == ["93.184.216.34"]


def test_fakes_are_addresses_for_documentation():
    for value in [*drawn("ip_address", 40), "10.1.2.77"]:
        made = replaced("ip_address", f"{value}", "--scrub-private-addresses")
        assert ipaddress.ip_address(made).version == ipaddress.ip_address(value).version
        assert any(ipaddress.ip_address(made) in net for net in _NETS if net.version == ipaddress.ip_address(value).version)
        assert replaced("ip_address", made, "--scrub-private-addresses") == made
    assert replaced("ip_address", "2a00:1450:0::1") == replaced("ip_address", "2a00:1450::1")  # one address in two spellings
