"""What can be said of a recipe's text before anything is learned from it: checks that return findings."""
