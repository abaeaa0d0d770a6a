"""The names under which every algorithm and every tracker speaks of a metric."""

RETURNS = {
    statistic: f"rollouts/returns_{statistic}"
    for statistic in ("sum", "mean", "std", "max", "min", "best_mean")
}
ROLLOUT_KL = {statistic: f"rollouts/kl_{statistic}" for statistic in ("mean", "std", "max")}
ADVANTAGES = {statistic: f"rollouts/advantages_{statistic}" for statistic in ("mean", "std")}
TOTAL_ROLLOUTS = "rollouts/total_rollouts"
BATCH_STEP = "rollouts/batch_step"

STEP_LOSS = "training_step/loss"
STEP_KL = "training_step/kl"
STEP_GRAD_NORM = "training_step/grad_norm"
STEP_LEARNING_RATE = "training_step/learning_rate"
EPOCH_LOSS = {statistic: f"training_epoch/loss_{statistic}" for statistic in ("mean", "std")}
EPOCH_KL = {statistic: f"training_epoch/kl_{statistic}" for statistic in ("mean", "std")}
EPOCH_GRAD_NORM = {
    statistic: f"training_epoch/grad_norm_{statistic}" for statistic in ("mean", "max")
}
INVALID_LOSS_COUNT = "training/invalid_loss_count"

GPU_MEMORY_ALLOCATED = "system/gpu_memory_allocated_gb"
GPU_MEMORY_RESERVED = "system/gpu_memory_reserved_gb"
REPLAY_BUFFER_SIZE = "system/replay_buffer_size"
SYSTEM_CPU = "system/cpu_percent"
SYSTEM_MEMORY = "system/memory_mb"
SYSTEM_DISK = "system/disk_usage_mb"
CHECKPOINT_SAVED = "checkpoint/saved"
CHECKPOINT_STEP = "checkpoint/step"

FINAL_STEPS = "final/total_steps"
FINAL_BATCHES = "final/total_batches"
FINAL_ROLLOUTS = "final/total_rollouts"
FINAL_BEST_MEAN_RETURN = "final/best_mean_return"

EVAL_RETURN_MEAN = "eval/return_mean"
EVAL_RETURN_STD = "eval/return_std"
EVAL_LENGTH_MEAN = "eval/episode_length_mean"

LIBRARY_PREFIX = "train/"
"""Stable-Baselines3's own values keep the prefix that it gives them."""

BATCH_RETURNS = {
    statistic: f"batch_returns/{statistic}"
    for statistic in ("mean", "std", "min", "max", "median", "group_std_mean", "groups_alike")
}
"""Of the newest batch of completions; `groups_alike`: share of prompts without any difference."""
DR_GRPO_ADVANTAGES = {
    statistic: f"dr_grpo/advantages_{statistic}" for statistic in ("variance", "skewness")
}
"""Of all completions since the last row, as `ADVANTAGES`."""
DR_COMPONENT = {part: f"training_step/dr_component_{part}" for part in ("policy", "kl", "entropy")}
"""Parts of Dr. GRPO's loss, which they add up to; those without a weight are absent."""
ACCELERATE_SYNC = "accelerate/sync_gradients"
ACCELERATE_DEVICE = "accelerate/device"
ACCELERATE_PRECISION = "accelerate/mixed_precision"
DDP = {
    fact: f"ddp/{fact}"
    for fact in ("num_processes", "process_index", "local_process_index", "sync_gradients")
}
TASK_FACT = "task/{}"
"""Mean over the dialogues since the last row of a fact that their task tells of them."""
FAILED_CALLS_SHARE = TASK_FACT.format("failed_calls_share")
"""Of the calls of tools since the last row, the share that was answered by an error."""
EXAMPLE_COMPLETION = "examples/completion"
