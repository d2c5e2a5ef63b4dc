"""Applications and their executors: registered, given more or fewer, failing, ended.

A part of the master's machine (`logic.membership`). Source: Spark's Master.
"""

from minispark.deploy.logic.cluster import Cluster, retain
from minispark.deploy.logic.drivers import stamp
from minispark.deploy.logic.effects import Forget, Persist, Reply, ScheduleLater
from minispark.deploy.logic.members import NUMBERS_AT_ONCE, Application, Executor
from minispark.ids import ApplicationId
from minispark.messages.deploy import (
    ApplicationFinished,
    ApplicationRemoved,
    ExecutorStateChanged,
    ExecutorUpdated,
    KillExecutor,
    KillExecutors,
    RegisterApplication,
    RegisteredApplication,
    RequestExecutors,
    UnregisterApplication,
)
from minispark.messages.deploy_records import ApplicationEntry
from minispark.messages.deploy_values import Acknowledged, ApplicationState, ExecutorState

__all__ = ["Applications"]

FIRST_PAUSE_S = 0.05
LONGEST_PAUSE_S = 5.0


class Applications:
    """The applications of the cluster."""

    def __init__(self, cluster: Cluster) -> None:
        self.cluster = cluster
        self.next_number = 0

    # -- coming and going ----------------------------------------------------------------------------------------

    def register(self, request: RegisterApplication) -> None:
        """Take an application in; one that asks again is told its id again."""
        cluster, address = self.cluster, request.app_client.address
        if address is None:
            text = "its env does not listen: nobody could tell when it ends"
            cluster.send(request.app_client, ApplicationRemoved(cluster.term, text))
            return
        known = cluster.app_at.get(address)
        if known is not None and known.entry.description.realm == request.description.realm:
            self.acknowledged(known)
            self.tell_id(known)
            return
        if known is not None:
            self.remove(known, ApplicationState.FINISHED)  # another program has its place
        entry = ApplicationEntry(
            self.new_id(), request.description, request.app_client, cluster.wall_s, NUMBERS_AT_ONCE
        )
        cluster.effects.append(Persist(entry))
        app = self.add(entry)
        cluster.inform(f"application {app.app_id} ({request.description.name}) is registered from {address}")
        self.tell_id(app)

    def add(self, entry: ApplicationEntry) -> Application:
        """Put an application in line."""
        cluster, address = self.cluster, entry.app_client.address
        assert address is not None
        cores = entry.description.max_cores or cluster.rules.default_cores
        app = Application(entry, cores or None)
        cluster.apps[app.app_id] = cluster.app_at[address] = app
        cluster.changed = True
        return app

    def tell_id(self, app: Application) -> None:
        """Tell an application its id."""
        cluster = self.cluster
        answer = RegisteredApplication(cluster.term, app.app_id, cluster.master, cluster.url)
        cluster.send(app.entry.app_client, answer)

    def new_id(self) -> ApplicationId:
        """Return an id that no application has."""
        while True:
            app_id = ApplicationId(f"app-{stamp(self.cluster.wall_s)}-{self.next_number:04d}")
            self.next_number += 1
            if app_id not in self.cluster.apps:
                return app_id

    def acknowledged(self, app: Application) -> None:
        """Take an application for alive that was read from disk."""
        if app.state is ApplicationState.UNKNOWN:
            app.state = ApplicationState.WAITING

    def unregister(self, request: UnregisterApplication) -> None:
        """End an application that is done."""
        app = self.cluster.apps.get(request.app_id)
        if app is not None:
            self.remove(app, ApplicationState.FINISHED)

    def remove(self, app: Application, state: ApplicationState, text: str = "") -> None:
        """End an application, and all that runs for it.

        With a text it is told: it may live, cut off for a moment only, and would wait for executors for ever.
        """
        cluster = self.cluster
        cluster.inform(f"application {app.app_id} is {state.name} {text}".rstrip())
        del cluster.apps[app.app_id]
        address = app.entry.app_client.address
        if address is not None:
            del cluster.app_at[address]
        for executor in (*app.executors.values(), *app.leaving.values()):
            self.kill(executor)
        app.state, app.ended_at = state, cluster.wall_s
        if text:
            cluster.send(app.entry.app_client, ApplicationRemoved(cluster.term, text))
        retain(cluster.completed_apps, app, cluster.rules.retained_applications)
        cluster.effects.append(Forget(app.entry.key))
        for worker in cluster.workers.values():
            cluster.send(worker.entry.worker, ApplicationFinished(cluster.term, app.app_id))
        cluster.changed = True

    # -- executors -----------------------------------------------------------------------------------------------

    def kill(self, executor: Executor) -> None:
        """Have an executor ended; what it holds is free from now on."""
        cluster = self.cluster
        executor.worker.remove_executor(executor)
        executor.state = ExecutorState.KILLED
        order = KillExecutor(cluster.term, cluster.url, executor.app.app_id, executor.number)
        cluster.send(executor.worker.entry.worker, order)

    def executor_state_changed(self, change: ExecutorStateChanged) -> None:
        """Take a worker's news of an executor; the application is told."""
        cluster = self.cluster
        app = cluster.apps.get(change.app_id)
        executor = None if app is None else app.executors.get(change.number) or app.leaving.get(change.number)
        if app is None or executor is None:
            if change.state is not ExecutorState.KILLED:  # what was ended by order is not known here any more
                cluster.inform(f"executor {change.app_id}/{change.number} is {change.state.name}, not known here")
        else:
            self.update(app, executor, change)
        cluster.effects.append(Reply(Acknowledged()))

    def update(self, app: Application, executor: Executor, change: ExecutorStateChanged) -> None:
        """Tell the application of its executor's state; one that has ended gives back what it had."""
        cluster, before = self.cluster, executor.state
        if before is not ExecutorState.DECOMMISSIONED or change.state.is_finished:
            executor.state = change.state
        if change.state is ExecutorState.RUNNING:
            app.failures_in_a_row, app.paused_until_s = 0, 0.0
            cluster.changed = True
        update = ExecutorUpdated(cluster.term, change.number, change.state, change.text, change.exit_code)
        cluster.send(app.entry.app_client, update)
        if change.state.is_finished:
            cluster.inform(f"executor {executor.name} is {change.state.name} {change.text}".rstrip())
            app.remove_executor(executor)
            executor.worker.remove_executor(executor)
            if change.exit_code != 0 and before is not ExecutorState.DECOMMISSIONED:
                self.count_failure(app, f"executor {change.number}: {change.text}")
            cluster.changed = True

    def count_failure(self, app: Application, last: str) -> None:
        """Give an application up whose executors do nothing but fail; until then, let it have the next one later."""
        app.failures_in_a_row += 1
        limit = self.cluster.rules.max_executor_retries
        running = any(executor.state is ExecutorState.RUNNING for executor in app.executors.values())
        if 0 <= limit <= app.failures_in_a_row and not running:
            failures = app.failures_in_a_row
            text = (
                f"{failures} executors failed in a row and none runs (minispark.deploy.maxExecutorRetries); "
                f"the last, {last}"
            )
            self.cluster.warn(f"application {app.app_id} is given up: {text}")
            self.remove(app, ApplicationState.FAILED, text)
            return
        pause_s = pause_after(app.failures_in_a_row)
        app.paused_until_s = self.cluster.now_s + pause_s
        self.cluster.effects.append(ScheduleLater(pause_s))

    def request_executors(self, request: RequestExecutors) -> None:
        """Set how many executors an application wants in all; none is ended for that."""
        app = self.cluster.apps.get(request.app_id)
        if app is not None:
            app.executor_limit = max(0, request.total)
            self.cluster.changed = True
        self.answer(app, request.app_id)

    def kill_executors(self, request: KillExecutors) -> None:
        """End executors at their application's wish; others may take their place as far as it wants any."""
        app = self.cluster.apps.get(request.app_id)
        killed = 0
        for executor_id in request.executor_ids if app is not None else ():
            number = int(executor_id) if executor_id.isascii() and executor_id.isdecimal() else -1
            executor = app.executors.get(number) or app.leaving.get(number) if app is not None else None
            if executor is None:
                self.cluster.warn(
                    f"application {request.app_id} wants executor {executor_id} ended, which it has not"
                )
                continue
            executor.app.remove_executor(executor)
            self.kill(executor)
            killed += 1
        self.cluster.changed |= killed > 0
        self.answer(app, request.app_id, killed)

    def answer(self, app: Application | None, app_id: ApplicationId, count: int = 0) -> None:
        """Answer an application's wish, which fails only if it is not known."""
        text = "" if app is not None else f"application {app_id} is not registered with this master"
        self.cluster.effects.append(Reply(Acknowledged(app is not None, text, count)))


def pause_after(failures: int) -> float:
    """Return for how long an application gets no executor after so many failures in a row, seconds.

    Spark has no pause: an executor that dies at once, on a host with cores to spare, is started as fast as it dies.
    """
    return min(LONGEST_PAUSE_S, FIRST_PAUSE_S * 2.0 ** min(failures - 1, 32))
