"""The families of tasks, a module for each kind of work."""
