"""What the monitor answers over HTTP."""

from monitor.web.app import create_app
from monitor.web.desk import Desk
from monitor.web.monitored import Monitored
from monitor.web.server import AddressError, Server, bound_socket, is_loopback

__all__ = ["AddressError", "Desk", "Monitored", "Server", "bound_socket", "create_app", "is_loopback"]
