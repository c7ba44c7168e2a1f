"""A simulated import API of all generations and the account API, with job lifecycles and scripted troubles.

It imports nothing of the monitor. `World` contains the clusters, `SimulatorServer` serves them over HTTP.
"""

from monitor.simulator.cluster import SimulatedCluster
from monitor.simulator.control import snippet
from monitor.simulator.lifecycles import Lifecycle, State
from monitor.simulator.server import SimulatorServer
from monitor.simulator.troubles import Trouble
from monitor.simulator.world import World

__all__ = ["Lifecycle", "SimulatedCluster", "SimulatorServer", "State", "Trouble", "World", "snippet"]
