"""Which jobs end before their time, and what jobs inherit from the code that starts them.

The base of SparkContext: cancelling by job, group, tag and stage, killing an attempt; groups, tags, pools and local
properties. What a cancel means for stages and tasks is the business of `scheduler.logic.cancellation`.
Source: the methods of Spark's SparkContext of these names.
"""

from typing import TYPE_CHECKING

from minispark.errors import ConfigurationError
from minispark.ids import JobId, StageId, TaskId
from minispark.messages.scheduler import KillTaskAttempt
from minispark.scheduler import properties

if TYPE_CHECKING:
    from minispark.driver import Driver

__all__ = ["JobControl"]


class JobControl:
    """Cancelling jobs, and marking those that are started from here on."""

    driver: "Driver"

    def check_on_loop(self) -> None:
        """Raise unless the context is active and this is its loop's thread."""
        raise NotImplementedError

    # -- cancelling --------------------------------------------------------------------------------------------------

    def cancel_job(self, job_id: JobId, reason: str = "cancelled") -> None:
        """Cancel one job; its caller gets JobCancelled. Nothing happens if it has ended."""
        self.check_on_loop()
        self.driver.jobs.cancel(job_id, reason)

    def cancel_job_group(
        self, group: str, reason: str = "its group was cancelled", *, cancel_future_jobs: bool = False
    ) -> None:
        """Cancel all jobs of a group; their callers get JobCancelled.

        Args:
            group: what `set_job_group` named; a warning is logged if no job of it is active.
            reason: what JobCancelled says.
            cancel_future_jobs: whether jobs that are started in the group later end at once as well. The latest 1,000
                groups are remembered.
        """
        self.check_on_loop()
        self.driver.jobs.cancel_group(group, reason, cancel_future_jobs)

    def cancel_jobs_with_tag(self, tag: str, reason: str = "jobs with its tag were cancelled") -> None:
        """Cancel all jobs that have a tag; their callers get JobCancelled. A warning is logged if there are none.

        Raises:
            ConfigurationError: it is no tag.
        """
        self.check_on_loop()
        self.driver.jobs.cancel_tag(properties.check_tag(tag), reason)

    def cancel_stage(self, stage_id: StageId, reason: str = "one of its stages was cancelled") -> None:
        """Cancel all jobs that need a stage; their callers get JobCancelled. A warning is logged if none does."""
        self.check_on_loop()
        self.driver.jobs.cancel_stage(stage_id, reason)

    async def kill_task_attempt(
        self, task_id: TaskId, interrupt: bool = True, reason: str = "killed by the program"
    ) -> bool:
        """End one attempt of a task, which is then tried again; tell whether it ran. It need not have ended yet.

        Args:
            task_id: the attempt's number, as listeners hear it (`TaskStart`) and `TaskContext.task_attempt_id` tells.
            interrupt: whether code that is running is interrupted.
            reason: what the attempt is said to have ended for.
        """
        self.check_on_loop()
        assert self.driver.env is not None
        scheduler = self.driver.env.endpoint_ref("TaskScheduler")
        return (await scheduler.ask(KillTaskAttempt(task_id, interrupt, reason))).was_running

    def cancel_all_jobs(self, reason: str = "all jobs were cancelled") -> None:
        """Cancel all jobs; their callers get JobCancelled."""
        self.check_on_loop()
        self.driver.jobs.cancel_all(reason)

    # -- what jobs inherit -------------------------------------------------------------------------------------------

    def set_job_group(self, group: str, description: str = "", interrupt_on_cancel: bool = True) -> None:
        """Put the jobs started from here on (in this asyncio task and those it starts) into a group."""
        properties.set_local_property(properties.GROUP, group)
        properties.set_local_property(properties.DESCRIPTION, description)
        properties.set_local_property(properties.INTERRUPT_ON_CANCEL, str(interrupt_on_cancel).lower())

    def clear_job_group(self) -> None:
        """Start the jobs from here on outside of any group."""
        for key in (properties.GROUP, properties.DESCRIPTION, properties.INTERRUPT_ON_CANCEL):
            properties.set_local_property(key, None)

    def add_job_tag(self, tag: str) -> None:
        """Give the jobs started from here on (in this asyncio task and those it starts) one more tag.

        Raises:
            ConfigurationError: the tag is empty, no text, or has a comma in it.
        """
        properties.set_tags([*properties.current_tags(), properties.check_tag(tag)])

    def remove_job_tag(self, tag: str) -> None:
        """Take a tag away again; nothing happens if it is not there.

        Raises:
            ConfigurationError: it is no tag.
        """
        properties.check_tag(tag)
        properties.set_tags([other for other in properties.current_tags() if other != tag])

    def get_job_tags(self) -> set[str]:
        """Return the tags that jobs started here get."""
        return set(properties.current_tags())

    def clear_job_tags(self) -> None:
        """Take all tags away."""
        properties.set_tags([])

    def set_pool(self, name: str | None) -> None:
        """Put the jobs started from here on (in this asyncio task and those it starts) into a pool; None: default.

        Pools count where `minispark.scheduler.mode` is fair; one that is not configured has the defaults.
        """
        properties.set_local_property(properties.POOL, name)

    def configure_pool(
        self, name: str, *, mode: str = "fifo", min_share: int = 0, weight: int = 1, parent: str = ""
    ) -> None:
        """Add a pool to those of the allocation file, or change one.

        Args:
            name: what `set_pool` takes.
            mode: how jobs within it share, "fifo" or "fair".
            min_share: slots it gets before pools that have theirs get more.
            weight: its part of the rest, beside those of its siblings.
            parent: the pool that holds it; by default none does.

        Raises:
            ConfigurationError: the mode of the application is not fair, or a value is wrong.
        """
        self.check_on_loop()
        self.driver.configure_pool(name, mode, min_share, weight, parent)

    def set_local_property(self, key: str, value: str | None) -> None:
        """Set a property of the jobs started from here on (in this asyncio task and those it starts).

        Raises:
            ConfigurationError: key or value is not a text.
        """
        for text in (key, value):
            if text is not None and not isinstance(text, str):
                raise ConfigurationError(f"local properties are texts: {key!r} = {value!r} is not")
        properties.set_local_property(key, value)

    def get_local_property(self, key: str) -> str | None:
        """Return a property that jobs started here get."""
        return properties.get_local_property(key)
