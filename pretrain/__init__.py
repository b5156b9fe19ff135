"""Makes backbones: augment, supervise, train. Knows no detector and no table."""
