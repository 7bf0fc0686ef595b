"""
The only memory of the mesh: admit, write, one revision up, wake the watchers.

One process writes. A change is checked against the state in memory, written to
the database in a thread, and becomes the state only once it is durable.
"""

from __future__ import annotations
