"""Images in folders and archives: listing, labels, decoding, caching, and batches of random crops."""
