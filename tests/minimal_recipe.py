"""The shortest recipe, for tests of settings."""

from typing import Any

MINIMAL_RECIPE: dict[str, Any] = {
    "run": "r",
    "data": {
        "source_language": "en",
        "target_language": "de",
        "prepared": "p",
        "train": {"t": {"source": "a", "target": "b"}},
        "valid": {"v": {"source": "a", "target": "b"}},
    },
    "model": {"architecture": "transformer", "preset": "small"},
}
