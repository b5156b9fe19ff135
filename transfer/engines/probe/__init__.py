"""The engine that trains no backbone: linear evaluation and nearest neighbours on frozen features."""
