"""Reports, comparisons and listings as HTML, Markdown and plain text."""
