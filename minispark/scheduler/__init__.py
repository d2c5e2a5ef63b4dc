"""From a job to tasks on executors."""
