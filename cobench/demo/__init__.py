"""A seeded synthetic school district, with the truth planted and the raw files as schools would send them."""

from cobench.demo.raw import write_demo, write_raw
from cobench.demo.world import World, build_world, canonical_tables

__all__ = ["World", "build_world", "canonical_tables", "write_demo", "write_raw"]
