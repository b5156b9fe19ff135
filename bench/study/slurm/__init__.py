"""`--on slurm`: every cell that is ready is an element of a plain array of jobs; Slurm decides when and where it runs."""
