"""The processes that train one run together: started, joined, and kept from other launchers."""
