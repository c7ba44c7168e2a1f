"""Shows the clusters that other monitors on one PostgreSQL poll, and lets the others show ours."""

from monitor.sharing.exchange import FleetSharing

__all__ = ["FleetSharing"]
