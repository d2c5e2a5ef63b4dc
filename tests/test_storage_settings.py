import pytest

from minispark.conf import SparkConf
from minispark.errors import ConfigurationError


def test_spark_names_the_same_settings() -> None:
    conf = SparkConf({"spark.memory.fraction": 0.5}, environment={})

    assert (conf.memory_fraction, conf.memory_storage_size, conf.storage_check_mutation) == (0.5, 0, False)


def test_a_fraction_above_one_is_refused() -> None:
    with pytest.raises(ConfigurationError):
        SparkConf({"minispark.memory.fraction": 1.5})
