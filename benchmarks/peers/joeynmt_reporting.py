"""Run JoeyNMT's command line and print the total `target_tokens N` with each of its reports."""

from typing import Any

from joeynmt.__main__ import main
from joeynmt.training import TrainManager

_log_scores = TrainManager._log_scores


def _log_scores_and_tokens(manager: Any, *arguments: Any) -> None:
    _log_scores(manager, *arguments)
    print("target_tokens", int(manager.stats.total_tokens), flush=True)


if __name__ == "__main__":
    TrainManager._log_scores = _log_scores_and_tokens
    main()
