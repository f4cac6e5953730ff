"""Maps between the user's rows and labels and the numbers that are learned, with their inverses."""
