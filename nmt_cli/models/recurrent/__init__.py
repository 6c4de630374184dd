"""Recurrent encoder-decoders."""

from nmt_cli.models.recurrent.layers import RecurrentLayer
from nmt_cli.models.recurrent.rnn import Rnn

__all__ = ["RecurrentLayer", "Rnn"]
