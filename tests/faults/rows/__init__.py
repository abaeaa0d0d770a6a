"""One module for each kind of fault; the rows themselves are listed in `tests.faults.table`."""
