"""The Stable-Baselines3 backend: the library's own training, watched at its boundaries."""
