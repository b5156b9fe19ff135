"""What belongs to semantic segmentation and to no engine."""
