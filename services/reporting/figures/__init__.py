"""The engine behind every figure: facts in, sums per unit and day, and back to their events."""
