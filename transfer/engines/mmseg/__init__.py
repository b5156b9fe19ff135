"""The engine that drives MMSegmentation."""
