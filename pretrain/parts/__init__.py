"""The parts that methods are composed of: branches, heads, targets, queues, pairs of views."""
