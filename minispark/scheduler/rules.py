"""Reads from the settings what the machines of locality, exclusion and speculation are to do.

The TaskScheduler calls it once, when the context starts, so that settings that contradict each other fail the start.
"""

from minispark.conf import SparkConf
from minispark.errors import ConfigurationError
from minispark.scheduler.logic.exclusion import ExclusionRules
from minispark.scheduler.logic.health import HealthRules
from minispark.scheduler.logic.locality import LocalityWaits
from minispark.scheduler.logic.speculation import SpeculationRules

__all__ = ["exclusion_rules", "health_rules", "locality_waits", "speculation_rules"]

DEFAULT_TIMEOUT_S = 3600.0


def is_on(conf: SparkConf, special: bool | None) -> bool:
    """Tell whether exclusion is on: its special switch goes before the general one, that before the legacy one."""
    if special is not None:
        return special
    if conf.exclude_on_failure is not None:
        return conf.exclude_on_failure
    return bool(conf.exclude_on_failure_legacy_timeout)


def exclusion_rules(conf: SparkConf) -> ExclusionRules | None:
    """Return what a task set forgives; None if exclusion within task sets is off.

    Raises:
        ConfigurationError: if a task would be given up before it could leave a host.
    """
    if not is_on(conf, conf.exclude_on_failure_task_and_stage):
        return None
    check_attempts(conf)
    return ExclusionRules(
        conf.exclude_max_task_attempts_per_executor,
        conf.exclude_max_task_attempts_per_node,
        conf.exclude_stage_max_failed_tasks_per_executor,
        conf.exclude_stage_max_failed_executors_per_node,
    )


def health_rules(conf: SparkConf) -> HealthRules | None:
    """Return what the application forgives; None if exclusion across task sets is off.

    Raises:
        ConfigurationError: if a task would be given up before it could leave a host.
    """
    if not is_on(conf, conf.exclude_on_failure_application):
        return None
    check_attempts(conf)
    timeout_s = conf.exclude_on_failure_timeout or conf.exclude_on_failure_legacy_timeout or DEFAULT_TIMEOUT_S
    return HealthRules(
        conf.exclude_application_max_failed_tasks_per_executor,
        conf.exclude_application_max_failed_executors_per_node,
        timeout_s,
        kill=conf.exclude_kill,
        decommission=conf.exclude_decommission,
        fetch_failure=conf.exclude_fetch_failure,
        shuffle_service=conf.shuffle_service,
    )


def check_attempts(conf: SparkConf) -> None:
    """Make sure that a task's last attempts are made on another host than its first.

    Raises:
        ConfigurationError: naming both settings.
    """
    if conf.exclude_max_task_attempts_per_node >= conf.task_max_failures:
        raise ConfigurationError(
            f"{SparkConf.exclude_max_task_attempts_per_node.key} = {conf.exclude_max_task_attempts_per_node} must be "
            f"below {SparkConf.task_max_failures.key} = {conf.task_max_failures}, or one bad host fails a job though "
            f"{SparkConf.exclude_on_failure.key} is true: change one of them, or turn exclusion off"
        )


def speculation_rules(conf: SparkConf) -> SpeculationRules | None:
    """Return when a task is slow; None if speculation is off."""
    if not conf.speculation:
        return None
    return SpeculationRules(
        conf.speculation_quantile,
        conf.speculation_multiplier,
        conf.speculation_min_runtime,
        conf.speculation_duration_threshold,
        conf.speculation_efficiency,
        conf.speculation_process_rate_multiplier,
        conf.speculation_long_run_factor,
        conf.executor_decommission_kill_interval,
    )


def locality_waits(conf: SparkConf) -> LocalityWaits:
    """Read how long sets wait at each level."""
    process, node, rack = conf.locality_wait_process, conf.locality_wait_node, conf.locality_wait_rack
    default = conf.locality_wait
    return LocalityWaits(
        default if process is None else process,
        default if node is None else node,
        default if rack is None else rack,
        conf.locality_legacy_reset,
    )
