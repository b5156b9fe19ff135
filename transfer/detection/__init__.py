"""What belongs to object detection and to no engine: detections, masks, metrics, pictures."""
