"""Decisions of the cluster: pure machines."""
