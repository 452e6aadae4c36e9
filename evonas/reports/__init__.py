"""What a run says of itself: tables, progress, status, profile, and the page with its pictures."""
