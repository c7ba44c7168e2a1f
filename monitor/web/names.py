"""The names in a client's certificate."""

import ipaddress
from collections.abc import Mapping
from typing import Any


def names_of(certificate: Mapping[str, Any] | None) -> frozenset[str]:
    """Return the subject alternative names of a certificate as Python's ssl module gives it.

    Names of hosts, addresses of mailboxes and URIs are as they stand there; IP addresses are in their short form.
    """
    found = (certificate or {}).get("subjectAltName", ())
    return frozenset(_short(value) if kind == "IP Address" else value for kind, value in found)


def _short(address: str) -> str:
    try:
        return str(ipaddress.ip_address(address.strip()))
    except ValueError:
        return address
