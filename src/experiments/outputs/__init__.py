"""What an experiment leaves behind: results, report, uploads, and what of it is kept."""
