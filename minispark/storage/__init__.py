"""Blocks on one node, and who has which."""
