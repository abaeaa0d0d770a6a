"""The full state of a run as plain data: model, generators, environments, stored experience."""
