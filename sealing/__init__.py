"""Sealing: a key for each person's data, kept apart from them, and destroyed to erase them."""
