import socket
import time

import pytest

from moe_keras.data.network import network_problem

URL = "https://data.example.org/file"


@pytest.fixture
def dialled(monkeypatch):
    """Addresses that were connected to; every one answers."""
    addresses = []

    class Connection:
        def close(self):
            pass

    def connect(address, timeout=None):
        addresses.append(address)
        return Connection()

    monkeypatch.setattr(socket, "create_connection", connect)
    return addresses


def test_a_host_that_answers(dialled):
    assert network_problem(URL) is None
    assert dialled == [("data.example.org", 443)]


def test_a_proxy_is_asked_in_the_hosts_place(dialled, monkeypatch):
    monkeypatch.setenv("https_proxy", "http://proxy.example.org:3128")
    assert network_problem(URL) is None
    monkeypatch.setenv("https_proxy", "proxy.example.org:8080")
    assert network_problem(URL) is None
    monkeypatch.setenv("no_proxy", "data.example.org")
    assert network_problem(URL) is None
    proxy = "proxy.example.org"
    assert dialled == [(proxy, 3128), (proxy, 8080), ("data.example.org", 443)]


def test_an_unknown_name():
    assert network_problem(URL) == "data.example.org: Name or service not known"


def test_a_proxy_that_cannot_be_understood(monkeypatch):
    monkeypatch.setenv("https_proxy", "http://proxy.example.org:port")
    assert "proxy.example.org" in network_problem(URL)


def test_silence_is_not_waited_out(monkeypatch):
    def silent(address, timeout=None):
        time.sleep(2)
        raise TimeoutError

    monkeypatch.setattr(socket, "create_connection", silent)
    start = time.monotonic()
    assert network_problem(URL, seconds=0.05) == "data.example.org: no answer within 0.05 seconds"
    assert time.monotonic() - start < 1
