"""The links of a machine: its graph, the ways through it, what fails, and what many devices share."""

from hw_profiles.topology.build import build_topology
from hw_profiles.topology.failures import failed
from hw_profiles.topology.paths import bisection_bytes_per_s, path_bytes_per_s, path_latency_s
from hw_profiles.topology.routes import route
from hw_profiles.topology.sharing import SharedLink, SharedLinks, shared_links
from hw_profiles.topology.vocabulary import TIERS, Edge, Topology

__all__ = [
    "TIERS",
    "Edge",
    "SharedLink",
    "SharedLinks",
    "Topology",
    "bisection_bytes_per_s",
    "build_topology",
    "failed",
    "path_bytes_per_s",
    "path_latency_s",
    "route",
    "shared_links",
]
