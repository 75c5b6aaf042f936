"""Houqin on one machine: its state in one folder, no root, no container."""
