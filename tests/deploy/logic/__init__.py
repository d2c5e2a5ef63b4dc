"""Tests of the decisions of the cluster."""
