"""The generated data: scenes of patterned objects in every layout that a task reads, of the kinds in `KINDS`."""

KINDS = ("shapes", "fabrics")
"""Names of the kinds; `transfer.shapes.kinds` says what each is made of."""
