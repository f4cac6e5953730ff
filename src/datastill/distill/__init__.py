"""Learning the support: objectives, Kernel Inducing Points, Label Solve, and the loop around them."""
