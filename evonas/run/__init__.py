"""A run: problem, configuration, journal, loop, session, and the directory that holds it."""
