"""What is asked and when it is answered: the design, the planned runs, the looks taken so far."""
