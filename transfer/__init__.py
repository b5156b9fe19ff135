"""Makes numbers from backbones: read any checkpoint, convert it with proof, fine-tune it, measure it, gather records."""
