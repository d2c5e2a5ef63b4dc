"""The executor's state machines."""
