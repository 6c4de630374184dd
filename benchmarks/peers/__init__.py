"""Toolkits that the benchmarks can run beside this one, if installed."""

from collections.abc import Callable
from pathlib import Path

from peers.contract import System
from peers.fairseq import Fairseq
from peers.huggingface import HuggingFace
from peers.joeynmt import JoeyNmt
from peers.opennmt import Eole, OpenNmtPy

PEERS: dict[str, Callable[[Path], System]] = {
    "eole": Eole,
    "opennmt-py": OpenNmtPy,
    "fairseq": Fairseq,
    "joeynmt": JoeyNmt,
    "huggingface": HuggingFace,
}
"""Systems by name. Each receives the Python of the environment in which it is installed."""
