"""The words that every room speaks: records, errors, paths, names, seeds, secrets, storage."""
