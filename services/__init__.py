"""The services of Houqin; each is independent of the others and talks to them by events only."""
