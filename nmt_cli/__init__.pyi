"""Types of the Python interface, for type checkers; at run time its names are imported when they are first used."""

from nmt_cli.api import attention as attention
from nmt_cli.api import evaluate as evaluate
from nmt_cli.api import evaluate_texts as evaluate_texts
from nmt_cli.api import load_recipe as load_recipe
from nmt_cli.api import load_translator as load_translator
from nmt_cli.api import preprocess as preprocess
from nmt_cli.api import read_metrics as read_metrics
from nmt_cli.api import train as train
from nmt_cli.api.settings import TranslateSettings as TranslateSettings
from nmt_cli.api.translator import LoadedTranslator as LoadedTranslator
from nmt_cli.commands.evaluate import EvaluationResult as EvaluationResult
from nmt_cli.decoding.requests import Request as Request
from nmt_cli.decoding.results import TranslatedText as TranslatedText
from nmt_cli.decoding.results import Translation as Translation
from nmt_cli.decoding.scoring.scorer import ScoredPair as ScoredPair
from nmt_cli.errors import DataError as DataError
from nmt_cli.errors import DivergedError as DivergedError
from nmt_cli.errors import ModelError as ModelError
from nmt_cli.errors import NmtError as NmtError
from nmt_cli.errors import RecipeError as RecipeError
from nmt_cli.errors import ResourceError as ResourceError
from nmt_cli.errors import RunInUseError as RunInUseError
from nmt_cli.errors import StoppedError as StoppedError
from nmt_cli.errors import VocabularySizeError as VocabularySizeError
from nmt_cli.errors import WorkerFailedError as WorkerFailedError
from nmt_cli.recipe.schema import Recipe as Recipe
from nmt_cli.reporting.plots.attention import AttentionHeads as AttentionHeads

__version__: str
