"""The endpoint "OutputCommitCoordinator": lets one attempt of each task put its output in place.

Executors ask it on behalf of tasks that write files. What it answers is decided in `logic/commits.py`.
"""

import logging

from minispark.messages.coordination import AskPermissionToCommit, PermissionToCommit
from minispark.messages.endpoints import OUTPUT_COMMIT_COORDINATOR
from minispark.rpc.endpoint import CallContext, RpcEndpoint
from minispark.scheduler.logic.commits import OutputCommits

__all__ = ["OUTPUT_COMMIT_COORDINATOR", "OutputCommitCoordinator"]


logger = logging.getLogger(__name__)


class OutputCommitCoordinator(RpcEndpoint):
    """Answers who may commit. Source: Spark's OutputCommitCoordinatorEndpoint.

    Args:
        commits: the table; the DAG scheduler keeps it up to date.
    """

    def __init__(self, commits: OutputCommits) -> None:
        self.commits = commits

    def receive(self, message: AskPermissionToCommit, context: CallContext) -> None:
        """Answer one question."""
        granted = self.commits.may_commit(message)
        if not granted:
            logger.debug("denied: %s", message)
        context.reply(PermissionToCommit(granted))
