"""A certificate in words and as a page."""
