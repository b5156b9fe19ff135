"""The generated data: scenes of shapes in every layout that a task reads."""
