"""Plumbing without images or networks: errors, settings, journals, signals, processes, files written whole."""
