"""How one secret makes others: an application's from the cluster's.

Whoever knows the cluster's secret (masters, workers, drivers) derives that of an application from the name of its
realm; an executor is given only the application's, from which nothing else follows. So no secret is ever sent, and
what belongs to one application cannot talk to another one's. Used by `deploy` and by the driver's cluster mode.
"""

from minispark.rpc.logic.seal import keyed_digest

__all__ = ["CLUSTER_REALM", "application_secret"]

CLUSTER_REALM = "cluster"
"""The realm of masters, workers, and drivers and clients that talk to them."""


def application_secret(cluster_secret: bytes, realm: str) -> bytes:
    """Return the 32 bytes that the processes of one application prove to each other."""
    return keyed_digest(cluster_secret, b"application", realm.encode())
