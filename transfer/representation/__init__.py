"""What the features of a backbone are like: invariance, diversity and their kin."""
