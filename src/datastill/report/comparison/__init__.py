"""The report of a comparison of methods, budgets and learners."""
