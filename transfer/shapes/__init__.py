"""The generated data `shapes`: scenes of patterned shapes in every layout that a task reads."""
