"""The settings of scheduling: tasks, stages, pools, locality, speculation, exclusion, barriers.

A part of `conf.SparkConf`'s table, in a module of its own because of its size.
"""

from minispark.setting import (
    FLAG,
    FRACTION,
    INTEGER,
    OPTIONAL_FLAG,
    OPTIONAL_SECONDS,
    SECONDS,
    TEXT,
    Setting,
    fraction,
    not_negative,
    one_of,
    optional_positive,
    positive,
)

__all__ = ["SchedulingSettings"]


def not_negative_or_never(value: float | None) -> bool:
    """Tell whether a time is zero or above, or -1, which stands for never."""
    return value == -1 or not_negative(value)


class SchedulingSettings:
    """What SparkConf has of settings for the schedulers; see there."""

    task_max_failures = Setting(
        "task.maxFailures", 4, INTEGER,
        "Failures of one task before its job is given up; local[N,F] says F, other local masters 1 by default.",
        positive,
    )  # fmt: skip
    task_cpus = Setting("task.cpus", 1, INTEGER, "Cores a task takes.", positive)
    stage_max_consecutive_attempts = Setting(
        "stage.maxConsecutiveAttempts", 4, INTEGER,
        "Attempts of a stage that may fail in a row by fetch failures before its jobs are given up.", positive,
    )  # fmt: skip
    stage_max_attempts = Setting(
        "stage.maxAttempts",
        1 << 31,
        INTEGER,
        "Attempts of a stage in all before its jobs are given up.",
        positive,
    )
    scheduler_mode = Setting(
        "scheduler.mode", "fifo", one_of("fifo", "fair"), "How jobs share the slots: the older first, or by pools."
    )
    scheduler_allocation_file = Setting(
        "scheduler.allocation.file",
        "",
        TEXT,
        "Pools for the fair mode, XML or TOML; empty: fairscheduler.xml or .toml in the working directory, if any.",
    )
    job_interrupt_on_cancel = Setting(
        "job.interruptOnCancel", True, FLAG, "Whether cancelling a job interrupts its running tasks."
    )

    locality_wait = Setting(
        "locality.wait", 3.0, SECONDS,
        "How long a task set waits for a slot near its data before it takes one a level farther; 0: not at all.",
        not_negative,
    )  # fmt: skip
    locality_wait_process = Setting(
        "locality.wait.process", None, OPTIONAL_SECONDS,
        "The wait for the executor that holds the data, if other than minispark.locality.wait.", not_negative,
    )  # fmt: skip
    locality_wait_node = Setting(
        "locality.wait.node", None, OPTIONAL_SECONDS,
        "The wait for the host that holds the data, if other than minispark.locality.wait.", not_negative,
    )  # fmt: skip
    locality_wait_rack = Setting(
        "locality.wait.rack", None, OPTIONAL_SECONDS,
        "The wait for the rack that holds the data, if other than minispark.locality.wait.", not_negative,
    )  # fmt: skip
    locality_legacy_reset = Setting(
        "locality.wait.legacyResetOnTaskLaunch", False, FLAG,
        "Whether every launch starts the wait anew, as before Spark 3.1: short tasks then wait for ever.",
    )  # fmt: skip
    topology_resolver = Setting(
        "topology.resolver", "", TEXT,
        "Which rack a host is in: table:FILE (lines HOST RACK), script:PROGRAM (hosts as arguments, a rack a line), "
        "python:MODULE:FUNCTION (a list of hosts to a list of racks); empty: there are no racks.",
    )  # fmt: skip
    shuffle_reduce_locality = Setting(
        "shuffle.reduceLocality.enabled", True, FLAG,
        "Whether a reducer prefers hosts that hold at least a fifth of what it reads.",
    )  # fmt: skip

    speculation = Setting(
        "speculation", False, FLAG, "Whether a task that runs much longer than its fellows gets a second attempt."
    )
    speculation_interval = Setting(
        "speculation.interval", 0.1, SECONDS, "How often running tasks are compared.", positive
    )
    speculation_quantile = Setting(
        "speculation.quantile",
        0.9,
        FRACTION,
        "The part of a set that must be done before tasks are compared.",
        fraction,
    )
    speculation_multiplier = Setting(
        "speculation.multiplier", 3.0, FRACTION, "How many times the median a task must run to be slow.", positive
    )
    speculation_min_runtime = Setting(
        "speculation.minTaskRuntime", 0.1, SECONDS, "No task is slow before.", not_negative
    )
    speculation_duration_threshold = Setting(
        "speculation.task.duration.threshold", None, OPTIONAL_SECONDS,
        "In a set no larger than one executor's slots, a task is slow after this time whatever the others did.",
        not_negative,
    )  # fmt: skip
    speculation_efficiency = Setting(
        "speculation.efficiency.enabled",
        True,
        FLAG,
        "Whether a slow task that processes as fast as others is let be.",
    )
    speculation_process_rate_multiplier = Setting(
        "speculation.efficiency.processRateMultiplier", 0.75, FRACTION,
        "A slow task gets a second attempt when it processes less than this part of the average rate.", positive,
    )  # fmt: skip
    speculation_long_run_factor = Setting(
        "speculation.efficiency.longRunTaskFactor", 2.0, FRACTION,
        "A task this many times over the threshold gets a second attempt whatever its rate.", positive,
    )  # fmt: skip
    executor_decommission_kill_interval = Setting(
        "executor.decommission.killInterval", None, OPTIONAL_SECONDS,
        "How long a decommissioned executor lives; tasks that will not end before get a second attempt.",
        not_negative,
    )  # fmt: skip

    exclude_on_failure = Setting(
        "excludeOnFailure.enabled", None, OPTIONAL_FLAG,
        "Whether executors and hosts where tasks fail again and again get no more; not set: no.",
        old_keys=("blacklist.enabled",),
    )  # fmt: skip
    exclude_on_failure_application = Setting(
        "excludeOnFailure.application.enabled", None, OPTIONAL_FLAG,
        "The same across task sets, if other than minispark.excludeOnFailure.enabled.",
    )  # fmt: skip
    exclude_on_failure_task_and_stage = Setting(
        "excludeOnFailure.taskAndStage.enabled", None, OPTIONAL_FLAG,
        "The same within each task set, if other than minispark.excludeOnFailure.enabled.",
    )  # fmt: skip
    exclude_on_failure_timeout = Setting(
        "excludeOnFailure.timeout", None, OPTIONAL_SECONDS,
        "After what time an executor or host excluded by the application is given tasks again; not set: 1h.",
        optional_positive, old_keys=("blacklist.timeout",),
    )  # fmt: skip
    exclude_on_failure_legacy_timeout = Setting(
        "scheduler.executorTaskExcludeOnFailureTime", None, OPTIONAL_SECONDS,
        "As Spark had it first: a time above 0 is minispark.excludeOnFailure.timeout and turns exclusion on, 0 turns "
        "it off; the newer settings go before it.", not_negative, old_keys=("scheduler.executorTaskBlacklistTime",),
    )  # fmt: skip
    exclude_max_task_attempts_per_executor = Setting(
        "excludeOnFailure.task.maxTaskAttemptsPerExecutor", 1, INTEGER,
        "Failures of one task on an executor before it is not tried there again.", positive,
        old_keys=("blacklist.task.maxTaskAttemptsPerExecutor",),
    )  # fmt: skip
    exclude_max_task_attempts_per_node = Setting(
        "excludeOnFailure.task.maxTaskAttemptsPerNode", 2, INTEGER,
        "Failures of one task on a host before it is not tried there again; must be below task.maxFailures.",
        positive, old_keys=("blacklist.task.maxTaskAttemptsPerNode",),
    )  # fmt: skip
    exclude_stage_max_failed_tasks_per_executor = Setting(
        "excludeOnFailure.stage.maxFailedTasksPerExecutor", 2, INTEGER,
        "Tasks of a set that failed on an executor before the set leaves it.", positive,
        old_keys=("blacklist.stage.maxFailedTasksPerExecutor",),
    )  # fmt: skip
    exclude_stage_max_failed_executors_per_node = Setting(
        "excludeOnFailure.stage.maxFailedExecutorsPerNode", 2, INTEGER,
        "Executors of a host that a set has left before it leaves the host.", positive,
        old_keys=("blacklist.stage.maxFailedExecutorsPerNode",),
    )  # fmt: skip
    exclude_application_max_failed_tasks_per_executor = Setting(
        "excludeOnFailure.application.maxFailedTasksPerExecutor", 2, INTEGER,
        "Tasks of successful sets that failed on an executor before the application leaves it.", positive,
        old_keys=("blacklist.application.maxFailedTasksPerExecutor",),
    )  # fmt: skip
    exclude_application_max_failed_executors_per_node = Setting(
        "excludeOnFailure.application.maxFailedExecutorsPerNode", 2, INTEGER,
        "Executors of a host that the application has left before it leaves the host.", positive,
        old_keys=("blacklist.application.maxFailedExecutorsPerNode",),
    )  # fmt: skip
    exclude_kill = Setting(
        "excludeOnFailure.killExcludedExecutors", False, FLAG,
        "Whether an executor that the application left is killed.",
        old_keys=("blacklist.killBlacklistedExecutors",),
    )  # fmt: skip
    exclude_decommission = Setting(
        "excludeOnFailure.killExcludedExecutors.decommission", False, FLAG,
        "Whether it is decommissioned instead of killed.",
        old_keys=("blacklist.killBlacklistedExecutors.decommission",),
    )  # fmt: skip
    exclude_fetch_failure = Setting(
        "excludeOnFailure.application.fetchFailure.enabled", False, FLAG,
        "Whether the executor whose map output could not be read is left at once.",
        old_keys=("blacklist.application.fetchFailure.enabled",),
    )  # fmt: skip
    unschedulable_task_set_timeout = Setting(
        "scheduler.excludeOnFailure.unschedulableTaskSetTimeout", 120.0, SECONDS,
        "How long a task that is excluded everywhere waits for a new executor before its jobs are given up.",
        not_negative, old_keys=("scheduler.blacklist.unschedulableTaskSetTimeout",),
    )  # fmt: skip

    dynamic_allocation = Setting(
        "dynamicAllocation.enabled", False, FLAG,
        "Whether executors come and go with the load; jobs with barrier stages are refused then.",
    )  # fmt: skip
    barrier_sync_timeout = Setting(
        "barrier.sync.timeout", 31536000.0, SECONDS,
        "How long a barrier task waits for the others before barrier() fails.", positive,
    )  # fmt: skip
    barrier_max_slots_check_interval = Setting(
        "scheduler.barrier.maxConcurrentTasksCheck.interval", 15.0, SECONDS,
        "After what time a barrier job that needs more slots than there are is looked at again.", positive,
    )  # fmt: skip
    barrier_max_slots_check_failures = Setting(
        "scheduler.barrier.maxConcurrentTasksCheck.maxFailures", 40, INTEGER,
        "How often it may be found too large before it fails.", positive,
    )  # fmt: skip
    stage_ignore_decommission_fetch_failure = Setting(
        "stage.ignoreDecommissionFetchFailure", True, FLAG,
        "Whether fetch failures from an executor that goes away on purpose are left out of the count.",
    )  # fmt: skip
    files_unregister_output_on_host = Setting(
        "files.fetchFailure.unRegisterOutputOnHost", False, FLAG,
        "Whether a fetch failure drops all map outputs of the host, where a shuffle service keeps them.",
    )  # fmt: skip
    shuffle_service = Setting(
        "shuffle.service.enabled", False, FLAG, "Whether workers serve the map outputs of executors that are gone."
    )
    starvation_timeout = Setting(
        "starvation.timeout", 15.0, SECONDS,
        "How often it is said that no executor takes tasks, and why, until one does.", positive,
    )  # fmt: skip
    scheduler_journal = Setting(
        "scheduler.journal", "", TEXT,
        "A file to which the scheduler's messages are recorded, for `minispark replay`; empty: none.",
    )  # fmt: skip
    executor_heartbeat_interval = Setting(
        "executor.heartbeatInterval", 10.0, SECONDS, "How often an executor tells the driver that it lives.", positive
    )
    executor_heartbeat_drop_zeros = Setting(
        "executor.heartbeat.dropZeroAccumulatorUpdates",
        True,
        FLAG,
        "Whether heartbeats leave out counters that are 0.",
    )
    task_reaper_kill_timeout = Setting(
        "task.reaper.killTimeout", None, OPTIONAL_SECONDS,
        "After what time the runner of a killed task that goes on is replaced, if other than "
        "minispark.executor.killGrace; -1: never.", not_negative_or_never,
    )  # fmt: skip
    extra_listeners = Setting(
        "extraListeners", "", TEXT,
        "Listeners that are there from the start, as module:Class, with commas between them.",
    )  # fmt: skip
    listener_queue_capacity = Setting(
        "scheduler.listenerbus.eventqueue.capacity", 10_000, INTEGER,
        "Events that may wait for slow listeners; further ones are dropped and counted.", positive,
    )  # fmt: skip
