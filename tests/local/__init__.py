"""The local stack: real processes, real signals."""
