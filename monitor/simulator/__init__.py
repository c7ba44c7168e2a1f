"""A fake import API of all generations, with jobs that live realistic lives and with scripted trouble.

It imports nothing of the monitor. `World` holds the clusters, `SimulatorServer` serves them over HTTP.
"""

from monitor.simulator.cluster import Generation, SimulatedCluster
from monitor.simulator.control import snippet
from monitor.simulator.job import SimulatedJob
from monitor.simulator.lives import Life, Phase, State
from monitor.simulator.reasons import REASONS
from monitor.simulator.server import SimulatorServer
from monitor.simulator.trouble import Trouble
from monitor.simulator.world import Truth, World

__all__ = [
    "REASONS",
    "Generation",
    "Life",
    "Phase",
    "SimulatedCluster",
    "SimulatedJob",
    "SimulatorServer",
    "State",
    "Trouble",
    "Truth",
    "World",
    "snippet",
]
