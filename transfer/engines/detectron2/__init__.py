"""The engine that drives Detectron2."""
