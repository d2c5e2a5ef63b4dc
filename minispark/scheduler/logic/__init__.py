"""The scheduler's state machines: no clock, no loop, no sockets."""
