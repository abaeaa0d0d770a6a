"""ClearML: a task for each run, told through the SDK's own session and storage."""
