"""Lineage and computation; no scheduling."""
