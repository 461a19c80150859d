"""Floor 3: the process; doors, workers, store, queue, console and command line."""
