"""Language models: found or made, loaded, told apart, saved."""
