"""Many conversations at once: how near they come to the ideal time, and what a turn of them costs."""
