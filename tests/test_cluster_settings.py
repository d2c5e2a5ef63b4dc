"""minispark.cluster_settings: a part of the table like any other."""

import pytest

from minispark.cluster_settings import ClusterSettings
from minispark.conf import SparkConf, settings
from minispark.errors import ConfigurationError


def test_the_settings_of_clusters_are_in_the_table() -> None:
    assert settings()["minispark.executor.memory"] is ClusterSettings.executor_memory
    assert SparkConf(environment={}).set("spark.executor.memory", "512m").executor_memory == 512 << 20


@pytest.mark.parametrize(
    ("key", "text"),
    [
        ("executor.memory", "0"),
        ("deploy.workerSelectionPolicy", "best"),
        ("dynamicAllocation.executorAllocationRatio", "0"),
        ("worker.timeout", "never"),
    ],
)
def test_a_bad_value_is_refused_by_name(key: str, text: str) -> None:
    with pytest.raises(ConfigurationError, match=f"minispark.{key}"):
        SparkConf(environment={}).set(f"minispark.{key}", text)
