"""Actors and wires: RpcEnv, endpoints, messages and transports; knows nothing of Spark."""
