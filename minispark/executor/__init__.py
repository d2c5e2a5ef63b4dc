"""Runs tasks in runners and reports back."""
