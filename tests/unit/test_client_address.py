"""Which addresses count as one client."""

import pytest

from todo_api.runtime.request_context import caller_key, client_key
from todo_core.entities.client_address import client_network


@pytest.mark.parametrize("address", ["2001:db8:1:2::1", "2001:DB8:1:2:ffff::"])
def test_all_addresses_of_an_ipv6_network_of_64_bits_count_as_one(address: str) -> None:
    assert client_network(address) == "2001:db8:1:2::/64"


def test_addresses_of_two_ipv6_networks_count_as_two() -> None:
    assert client_network("2001:db8:1:3::1") != client_network("2001:db8:1:2::1")


def test_an_ipv4_mapped_address_counts_as_its_ipv4_address() -> None:
    assert client_network("::ffff:192.0.2.1") == client_network("192.0.2.1") == "192.0.2.1"
    assert client_network("::ffff:c000:201") == "192.0.2.1"
    assert client_network("::ffff:192.0.2.2") == "192.0.2.2"


@pytest.mark.parametrize("text", ["", "192.0.2.1", "testclient", "a:b", "/run/a:socket"])
def test_a_client_that_is_not_an_ip_address_counts_as_itself(text: str) -> None:
    assert client_network(text) == text


def test_an_anonymous_request_counts_for_its_network_and_any_other_for_its_user() -> None:
    scope = {"type": "http", "client": ("2001:db8:1:2::1", 4711)}
    assert client_key(scope) == caller_key(scope) == "2001:db8:1::/48"
    assert caller_key(scope | {"todo.user_id": "ada"}) == "ada"
    assert client_key({"type": "http", "client": None}) == ""


def test_all_networks_of_one_customer_have_one_key_for_threads() -> None:
    scopes = [{"type": "http", "client": (f"2001:db8:1:{n:x}::1", 4711)} for n in (0, 1, 0xFFFF)]
    assert len({client_key(scope) for scope in scopes}) == 1
    assert client_key({"type": "http", "client": ("2001:db8:2::1", 1)}) != client_key(scopes[0])
