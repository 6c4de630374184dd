"""Format rows of Markdown tables."""

from collections.abc import Iterable


def table_row(cells: Iterable[str]) -> str:
    """Return a line of a table."""
    return f"| {' | '.join(cells)} |"
