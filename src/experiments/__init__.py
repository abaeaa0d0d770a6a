"""Controlled reinforcement-learning experiments: is the variant better than the baseline?

Read `runner` for the lifecycle of an experiment; each folder is one chapter of it.
"""
