"""The HTTP server: metrics, health, status pages, JSON API and event stream."""

from monitor.web.app import create_app
from monitor.web.context import MonitoredDaemon
from monitor.web.fleet import FleetStatus, OtherUpdate, StatusChange
from monitor.web.limits import WebLimits
from monitor.web.server import AddressError, Server, bound_socket, is_loopback

__all__ = [
    "AddressError",
    "FleetStatus",
    "MonitoredDaemon",
    "OtherUpdate",
    "Server",
    "StatusChange",
    "WebLimits",
    "bound_socket",
    "create_app",
    "is_loopback",
]
