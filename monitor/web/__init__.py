"""What the monitor answers over HTTP."""

from monitor.web.app import Monitored, Row, create_app
from monitor.web.server import AddressError, Server, bound_socket, is_loopback

__all__ = ["AddressError", "Monitored", "Row", "Server", "bound_socket", "create_app", "is_loopback"]
