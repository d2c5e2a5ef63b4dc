"""The standalone cluster: masters and workers give applications resources; they never see a task."""
