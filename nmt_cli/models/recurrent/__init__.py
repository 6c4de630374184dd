"""The recurrent encoder-decoder: its layers, and the model made of them."""

from nmt_cli.models.recurrent.layers import AdditiveAttention, RecurrentEncoder, RecurrentLayer
from nmt_cli.models.recurrent.rnn import Rnn

__all__ = ["AdditiveAttention", "RecurrentEncoder", "RecurrentLayer", "Rnn"]
