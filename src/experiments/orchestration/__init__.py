"""One experiment, carried out: its runs from the queue to their ends, within the limits."""
