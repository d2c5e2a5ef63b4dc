"""The settings of a cluster: masters, workers, executor processes, fetching from other hosts, going away in order.

A part of `conf.SparkConf`'s table, in a module of its own because of its size.
"""

from minispark.setting import (
    BYTES,
    FLAG,
    FRACTION,
    INTEGER,
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

__all__ = ["ClusterSettings"]


class ClusterSettings:
    """What SparkConf has of settings for clusters; see there."""

    # -- the application -----------------------------------------------------------------------------------------

    cores_max = Setting(
        "cores.max", 0, INTEGER,
        "Cores that an application takes of a cluster; 0: minispark.deploy.defaultCores of the master.", not_negative,
    )  # fmt: skip
    executor_cores = Setting(
        "executor.cores", 0, INTEGER,
        "Cores of an executor; 0: one executor on each worker, with all cores that the application gets there.",
        not_negative,
    )  # fmt: skip
    executor_memory = Setting("executor.memory", 1 << 30, BYTES, "Memory of an executor.", positive)
    executor_instances = Setting(
        "executor.instances", 0, INTEGER, "Executors to begin with; 0: as many as the cores allow.", not_negative
    )
    executor_python = Setting(
        "executor.python", "", TEXT, "The interpreter that executors run; empty: the one that their worker runs."
    )
    min_registered_resources_ratio = Setting(
        "scheduler.minRegisteredResourcesRatio", 0.0, FRACTION,
        "The share of the expected cores that must have registered before tasks start.", fraction,
    )  # fmt: skip
    max_registered_resources_waiting_time = Setting(
        "scheduler.maxRegisteredResourcesWaitingTime", 30.0, SECONDS,
        "How long tasks wait for that share at most.", not_negative,
    )  # fmt: skip
    scheduler_revive_interval = Setting(
        "scheduler.revive.interval", 1.0, SECONDS, "How often a cluster's free cores are offered anyway.", positive
    )
    driver_host = Setting(
        "driver.host", "", TEXT,
        "The name or address under which executors reach the driver; empty: found by the way to the master.",
    )  # fmt: skip
    driver_bind_address = Setting(
        "driver.bindAddress", "", TEXT, "The address that the driver listens on; empty: minispark.driver.host."
    )
    driver_port = Setting("driver.port", 0, INTEGER, "The port that the driver listens on; 0: any.", not_negative)
    driver_cores = Setting("driver.cores", 1, INTEGER, "Cores of a driver that the cluster runs.", positive)
    driver_memory = Setting("driver.memory", 1 << 30, BYTES, "Memory of a driver that the cluster runs.", positive)
    driver_supervise = Setting(
        "driver.supervise", False, FLAG, "Whether a driver that the cluster runs is started again when it fails."
    )

    # -- secrets and certificates --------------------------------------------------------------------------------

    secret_file = Setting(
        "authenticate.secretFile", "", TEXT,
        "A file, readable by its owner alone, with the secret of the cluster; empty: MINISPARK_SECRET of the "
        "environment, else ~/.minispark/secret, which a daemon on loopback makes at its first start.",
    )  # fmt: skip
    ssl_certificate = Setting(
        "ssl.certificateFile", "", TEXT, "The certificate (PEM) by which this side is known; with it, TLS is used."
    )
    ssl_key = Setting("ssl.keyFile", "", TEXT, "The key (PEM) of that certificate.")
    ssl_authority = Setting(
        "ssl.authorityFile", "", TEXT, "The certificates (PEM) of the authorities that peers must be known to."
    )
    ssl_check_host_names = Setting(
        "ssl.checkHostNames", True, FLAG, "Whether the certificate of a server must name the host that was dialled."
    )

    # -- master --------------------------------------------------------------------------------------------------

    deploy_spread_out_apps = Setting(
        "deploy.spreadOutApps", True, FLAG, "Whether an application's executors are spread over workers, or packed."
    )
    deploy_spread_out_drivers = Setting(
        "deploy.spreadOutDrivers", True, FLAG, "Whether drivers are spread over workers, or packed."
    )
    deploy_worker_selection_policy = Setting(
        "deploy.workerSelectionPolicy", "cores_free_desc",
        one_of("cores_free_asc", "cores_free_desc", "memory_free_asc", "memory_free_desc", "worker_id"),
        "Which workers get executors first.",
    )  # fmt: skip
    deploy_default_cores = Setting(
        "deploy.defaultCores", 0, INTEGER,
        "Cores of an application that does not say minispark.cores.max; 0: as many as there are.", not_negative,
    )  # fmt: skip
    deploy_max_drivers = Setting(
        "deploy.maxDrivers", 0, INTEGER, "Drivers that the cluster runs at once; 0: no limit.", not_negative
    )
    deploy_max_executor_retries = Setting(
        "deploy.maxExecutorRetries", 10, INTEGER,
        "Executors of an application that may fail in a row before it is given up; -1: any number.",
    )  # fmt: skip
    deploy_recovery_mode = Setting(
        "deploy.recoveryMode", "none", one_of("none", "filesystem"),
        "Whether the master keeps what it knows in files, so that it, or a standby master, can go on after it.",
    )  # fmt: skip
    deploy_recovery_directory = Setting(
        "deploy.recoveryDirectory", "", TEXT, "Where those files are; standby masters share it."
    )
    deploy_recovery_timeout = Setting(
        "deploy.recoveryTimeout", None, OPTIONAL_SECONDS,
        "How long a new master waits for workers and applications to answer; not set: minispark.worker.timeout.",
        optional_positive,
    )  # fmt: skip
    deploy_leader_lease = Setting(
        "deploy.leaderLease", 10.0, SECONDS,
        "How long a leader rules without renewing; another master takes over after that.", positive,
    )  # fmt: skip
    deploy_retained_applications = Setting(
        "deploy.retainedApplications", 200, INTEGER, "Ended applications that a master remembers.", not_negative
    )
    deploy_retained_drivers = Setting(
        "deploy.retainedDrivers", 200, INTEGER, "Ended drivers that a master remembers.", not_negative
    )
    worker_timeout = Setting(
        "worker.timeout", 60.0, SECONDS,
        "How long a worker may be silent before it is taken for dead, and a master until its workers look for one.",
        positive,
    )  # fmt: skip
    dead_worker_persistence = Setting(
        "dead.worker.persistence", 15, INTEGER,
        "For how many timeouts more a dead worker stays listed.", not_negative,
    )  # fmt: skip

    # -- worker --------------------------------------------------------------------------------------------------

    worker_cleanup_enabled = Setting(
        "worker.cleanup.enabled", True, FLAG, "Whether a worker removes directories of ended applications."
    )
    worker_cleanup_interval = Setting(
        "worker.cleanup.interval", 1800.0, SECONDS, "How often it looks for them.", positive
    )
    worker_cleanup_app_data_ttl = Setting(
        "worker.cleanup.appDataTtl", 7 * 86400.0, SECONDS, "How long they stay after the last change.", not_negative
    )
    worker_driver_terminate_timeout = Setting(
        "worker.driverTerminateTimeout", 10.0, SECONDS, "How long a driver may take to end before SIGKILL.",
        not_negative,
    )  # fmt: skip
    worker_executor_state_sync_attempts = Setting(
        "worker.executorStateSync.maxAttempts", 5, INTEGER,
        "How often a worker tries to tell the master of an executor's end before it gives up and exits.", positive,
    )  # fmt: skip
    worker_retained_executors = Setting(
        "worker.ui.retainedExecutors", 1000, INTEGER, "Ended executors that a worker remembers.", not_negative
    )
    worker_retained_drivers = Setting(
        "worker.ui.retainedDrivers", 1000, INTEGER, "Ended drivers that a worker remembers.", not_negative
    )
    cleanup_files_after_executor_exit = Setting(
        "storage.cleanupFilesAfterExecutorExit", True, FLAG,
        "Whether a worker removes what an executor left but the map outputs that its shuffle service serves.",
    )  # fmt: skip
    worker_log_max_size = Setting(
        "worker.log.maxSize", 64 << 20, BYTES,
        "Size at which the log of an executor or driver is rolled; 0: never.", not_negative,
    )  # fmt: skip
    worker_log_retained = Setting(
        "worker.log.maxRetainedFiles", 5, INTEGER, "Rolled log files that are kept of each.", not_negative
    )
    shuffle_service_port = Setting(
        "shuffle.service.port", 7337, INTEGER, "Where a worker's shuffle service listens; 0: any.", not_negative
    )
    shuffle_service_fetch_rdd = Setting(
        "shuffle.service.fetch.rdd.enabled", False, FLAG,
        "Whether the shuffle service also serves persisted partitions that are on disk, when their executor is gone.",
    )  # fmt: skip
    shuffle_service_db = Setting(
        "shuffle.service.db.enabled", True, FLAG,
        "Whether a worker's shuffle service keeps in files whose map outputs it serves, to serve on after a restart.",
    )  # fmt: skip
    shuffle_registration_timeout = Setting(
        "shuffle.registration.timeout", 5.0, SECONDS,
        "How long an executor waits for its host's shuffle service when it registers.", positive,
    )  # fmt: skip
    executor_remove_delay = Setting(
        "standalone.executorRemoveDelayOnDisconnection", 5.0, SECONDS,
        "How long the driver waits for the exit code of an executor whose connection ended.", not_negative,
    )  # fmt: skip
    submit_wait_app_completion = Setting(
        "standalone.submit.waitAppCompletion", False, FLAG,
        "Whether minispark submit waits for the end of a driver that the cluster runs.",
    )  # fmt: skip

    # -- files that programs need --------------------------------------------------------------------------------

    files = Setting("files", "", TEXT, "Files, separated by commas, that are copied to every executor.")
    py_files = Setting(
        "submit.pyFiles", "", TEXT, "Modules, packages and zip files, by comma, that executors can import."
    )
    archives = Setting(
        "archives", "", TEXT, "Archives, by comma, that are unpacked at every executor; archive.zip#name names where."
    )

    # -- dynamic allocation --------------------------------------------------------------------------------------

    dynamic_allocation_min_executors = Setting(
        "dynamicAllocation.minExecutors", 0, INTEGER, "Executors that are kept.", not_negative
    )
    dynamic_allocation_max_executors = Setting(
        "dynamicAllocation.maxExecutors", 0, INTEGER, "Executors at most; 0: any number.", not_negative
    )
    dynamic_allocation_initial_executors = Setting(
        "dynamicAllocation.initialExecutors", 0, INTEGER,
        "Executors to begin with, if that is more than minExecutors.", not_negative,
    )  # fmt: skip
    dynamic_allocation_executor_allocation_ratio = Setting(
        "dynamicAllocation.executorAllocationRatio", 1.0, FRACTION,
        "The share of the tasks' need of executors that is asked for.", positive,
    )  # fmt: skip
    dynamic_allocation_scheduler_backlog_timeout = Setting(
        "dynamicAllocation.schedulerBacklogTimeout", 1.0, SECONDS,
        "How long tasks wait before executors are asked for.", positive,
    )  # fmt: skip
    dynamic_allocation_sustained_backlog_timeout = Setting(
        "dynamicAllocation.sustainedSchedulerBacklogTimeout", None, OPTIONAL_SECONDS,
        "How long they wait before more are asked for; not set: schedulerBacklogTimeout.", optional_positive,
    )  # fmt: skip
    dynamic_allocation_executor_idle_timeout = Setting(
        "dynamicAllocation.executorIdleTimeout", 60.0, SECONDS,
        "How long an executor may be idle before it is given back.", not_negative,
    )  # fmt: skip
    dynamic_allocation_cached_executor_idle_timeout = Setting(
        "dynamicAllocation.cachedExecutorIdleTimeout", None, OPTIONAL_SECONDS,
        "The same of one that holds cached blocks; not set: for ever.", not_negative,
    )  # fmt: skip
    dynamic_allocation_shuffle_tracking = Setting(
        "dynamicAllocation.shuffleTracking.enabled", True, FLAG,
        "Whether executors that hold map outputs of running jobs are kept.",
    )  # fmt: skip
    dynamic_allocation_shuffle_tracking_timeout = Setting(
        "dynamicAllocation.shuffleTracking.timeout", None, OPTIONAL_SECONDS,
        "How long one that holds map outputs of no running job is kept; not set: until they are gone.", not_negative,
    )  # fmt: skip

    # -- reading from other hosts --------------------------------------------------------------------------------

    shuffle_read_host_local = Setting(
        "shuffle.readHostLocal", True, FLAG,
        "Whether map outputs of other executors on the same host are read from their files, not over the network; "
        "persisted partitions and broadcasts, too.",
    )  # fmt: skip
    shuffle_map_output_min_size_for_broadcast = Setting(
        "shuffle.mapOutput.minSizeForBroadcast", 512 << 10, BYTES,
        "From this size on the places of a shuffle's map outputs go to a cluster's executors as a broadcast; must be "
        "below rpc.message.maxSize.", not_negative,
    )  # fmt: skip
    reducer_max_size_in_flight = Setting(
        "reducer.maxSizeInFlight", 48 << 20, BYTES,
        "Bytes that a task has asked of other hosts and not yet read.", positive,
    )  # fmt: skip
    reducer_max_requests_in_flight = Setting(
        "reducer.maxReqsInFlight", 64, INTEGER, "Requests to other hosts that an executor has open at once.", positive
    )
    shuffle_fetch_retry_wait = Setting(
        "shuffle.io.retryWait", 0.1, SECONDS,
        "How long a failed fetch waits before it is tried again; doubled each time.", positive,
    )  # fmt: skip
    shuffle_fetch_retry_time = Setting(
        "shuffle.io.maxRetryTime", 3.0, SECONDS, "How long failed fetches are tried again in all.", not_negative
    )

    # -- going away in order -------------------------------------------------------------------------------------

    decommission_enabled = Setting(
        "decommission.enabled", False, FLAG,
        "Whether executors and workers that must go finish what they run and hand over their blocks first.",
    )  # fmt: skip
    executor_decommission_force_kill_timeout = Setting(
        "executor.decommission.forceKillTimeout", None, OPTIONAL_SECONDS,
        "How long an executor may take to go before it is killed; not set: for ever.", optional_positive,
    )  # fmt: skip
    storage_decommission_enabled = Setting(
        "storage.decommission.enabled", True, FLAG, "Whether an executor that goes hands over its blocks."
    )
    storage_decommission_shuffle_blocks = Setting(
        "storage.decommission.shuffleBlocks.enabled", True, FLAG, "Whether these include map outputs."
    )
    storage_decommission_rdd_blocks = Setting(
        "storage.decommission.rddBlocks.enabled", True, FLAG, "Whether these include cached partitions."
    )
    storage_decommission_max_disk = Setting(
        "storage.decommission.shuffleBlocks.maxDiskSize", 0, BYTES,
        "An executor takes no map outputs of others while its own and those take more than so much; 0: it takes all.",
        not_negative,
    )  # fmt: skip
    storage_decommission_max_failures = Setting(
        "storage.decommission.maxReplicationFailuresPerBlock", 3, INTEGER,
        "How often handing a block over may fail before it is given up.", positive,
    )  # fmt: skip
