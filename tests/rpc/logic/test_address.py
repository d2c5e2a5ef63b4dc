"""Addresses as texts."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from minispark.errors import RpcAddressError
from minispark.rpc.logic.address import EndpointAddress, RpcAddress


@pytest.mark.scenario("RPN-009", "address string forms")
@pytest.mark.parametrize(
    ("address", "text"),
    [
        (RpcAddress("node-1", 7077), "minispark://node-1:7077"),
        (RpcAddress("10.0.0.1", 1), "minispark://10.0.0.1:1"),
        (RpcAddress("/run/driver.sock", 0), "minispark+unix:///run/driver.sock"),
    ],
)
def test_an_address_is_printed_and_read_back(address: RpcAddress, text: str) -> None:
    assert str(address) == text
    assert RpcAddress.parse(text) == address


@pytest.mark.scenario("RPN-009", "IPv6")
def test_an_ipv6_address_stands_in_brackets() -> None:
    address = RpcAddress("2001:db8::1", 7077)

    assert (str(address), address.host_port) == ("minispark://[2001:db8::1]:7077", "[2001:db8::1]:7077")
    assert RpcAddress.parse("minispark://[2001:db8::1]:7077") == address
    assert EndpointAddress.parse("minispark://Master@[::1]:7077").address == RpcAddress("::1", 7077)


@pytest.mark.scenario("RPN-009", "spark:// parsing")
def test_an_endpoints_address_is_name_at_host_and_port() -> None:
    address = EndpointAddress("Master", RpcAddress("node", 7077))

    assert str(address) == "minispark://Master@node:7077"
    assert EndpointAddress.parse("minispark://Master@node:7077") == address
    assert str(EndpointAddress("mine", None)) == "minispark-client://mine"
    unix = EndpointAddress("Master", RpcAddress("/run/m.sock", 0))
    assert EndpointAddress.parse(str(unix)) == unix


def test_a_host_and_port_alone_are_an_address() -> None:
    assert RpcAddress.parse("node:7077") == RpcAddress("node", 7077)


@pytest.mark.scenario("RPN-009", "spark:// parsing")
@pytest.mark.parametrize(
    "text",
    [
        "", "minispark://", "minispark://host", "minispark://host:", "minispark://:7077", "minispark://host:0",
        "minispark://host:65536", "minispark://host:-1", "minispark://host:٣", "minispark://host:7077/path",
        "minispark://host:7077?query", "minispark://user@host:7077", "minispark://::1:7077", "minispark://[host]:7077",
        "http://host:7077", "minispark+unix://relative", "minispark+unix:///", "minispark://a b:7077",
    ],
)  # fmt: skip
def test_other_texts_are_refused_with_the_forms_that_are_right(text: str) -> None:
    with pytest.raises(RpcAddressError, match=r"minispark://\[ipv6\]:port"):
        RpcAddress.parse(text)


@pytest.mark.scenario("RPN-009", "spark:// parsing")
@pytest.mark.parametrize(
    "text", ["minispark://host:7077", "Master@host:7077", "minispark://@host:1", "minispark://a/b@h:1"]
)
def test_an_endpoints_address_needs_scheme_name_host_and_port(text: str) -> None:
    with pytest.raises(RpcAddressError, match="minispark://name@host:port is needed"):
        EndpointAddress.parse(text)


@given(st.text(max_size=30))
def test_any_text_is_an_address_or_a_clear_error(text: str) -> None:
    for parse in (RpcAddress.parse, EndpointAddress.parse):
        try:
            address = parse(text)
        except RpcAddressError:
            continue
        assert parse(str(address)) == address
