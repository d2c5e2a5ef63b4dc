"""Random settings of simulated clusters and of the applications on them."""

import random

__all__ = ["Settings", "application_settings", "cluster_settings"]

Settings = dict[str, object]


def cluster_settings(rng: random.Random) -> Settings:
    """Draw settings of all processes; limits are wide, because giving up is not what most histories are about."""
    return {
        "executor.cores": rng.choice([0, 1, 2]),
        "task.maxFailures": 20,
        "stage.maxConsecutiveAttempts": 50,
        "deploy.maxExecutorRetries": -1,
        "shuffle.service.enabled": rng.random() < 0.4,
        "shuffle.readHostLocal": rng.random() < 0.5,
        "decommission.enabled": rng.random() < 0.4,
        "speculation": rng.random() < 0.3,
        "speculation.interval": "500ms",  # looks take time, and tasks here take seconds
        "locality.wait": rng.choice(["0s", "1s", "3s"]),
        "scheduler.mode": rng.choice(["fifo", "fair"]),
        "network.timeout": rng.choice(["30s", "120s"]),
        "executor.heartbeatInterval": "5s",
        "worker.timeout": rng.choice(["20s", "60s"]),
    }


def application_settings(rng: random.Random) -> Settings:
    """Draw settings of one application; one that may have all cores lets others wait until it has ended."""
    drawn: Settings = {"cores.max": rng.choice([0, 3, 5])} if rng.random() < 0.5 else {}
    return {**drawn, **following_load(rng)} if rng.random() < 0.3 else drawn


def following_load(rng: random.Random) -> Settings:
    """Draw settings of an application whose executors come and go with its load."""
    prefix = "dynamicAllocation"
    drawn: Settings = {
        f"{prefix}.enabled": True,
        f"{prefix}.minExecutors": rng.choice([0, 1]),
        f"{prefix}.maxExecutors": rng.choice([0, 4]),
        f"{prefix}.executorIdleTimeout": rng.choice(["2s", "8s"]),
    }
    if rng.random() < 0.5:
        drawn |= {f"{prefix}.cachedExecutorIdleTimeout": "10s", f"{prefix}.shuffleTracking.timeout": "10s"}
    return drawn
