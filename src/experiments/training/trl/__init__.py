"""The TRL backend: language models trained by GRPO or Dr. GRPO on tasks with checkable rewards."""
