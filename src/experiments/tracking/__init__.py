"""Who is told: the tracker protocol and the local store."""
