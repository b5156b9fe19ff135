"""Image folders and zips: which images there are, and batches of crops of them."""
