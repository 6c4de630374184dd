"""Where translations are good and where not: kinds of sentences, words, lines, disturbed sources."""
