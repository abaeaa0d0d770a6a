"""Weights & Biases: a remote run for each run, told by its SDK, online or into files."""
