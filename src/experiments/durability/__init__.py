"""What survives a crash: atomic files, the journal, checkpoints, locks."""
