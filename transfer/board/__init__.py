"""Statistics over records: the leaderboard and everything computed from it."""
