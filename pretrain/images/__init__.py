"""Image folders and zips: listing, labels, decoding, caching, and batches of random crops."""
