"""What the machine is: profiles, topologies and fitted curves. No torch, no simpy, no model knowledge."""
