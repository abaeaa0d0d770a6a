"""Jobs on the machines of a Ray cluster.

`RayExecutor` (in the orchestrator) speaks with a *gateway*, the one process that Ray knows as its
driver. The gateway makes each job a Ray *task*, and on the machine where Ray puts it the task
speaks with a *keeper*, which runs the job as the process pool would. So the orchestrator never
imports Ray, and no run ever shares a process with Ray.
"""

from .executor import RayExecutor

__all__ = ["RayExecutor"]
