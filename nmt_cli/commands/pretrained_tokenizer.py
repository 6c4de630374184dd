"""The pretrained tokenizer of a recipe."""

from nmt_cli.commands.model_config import NamedModel
from nmt_cli.data.tokenizer import Tokenizer, is_sentencepiece
from nmt_cli.data.tokenizing.tags import tags_of
from nmt_cli.errors import RecipeError
from nmt_cli.recipe.model import DecoderOnlySettings
from nmt_cli.recipe.schema import Recipe
from nmt_cli.runs.directory import find_model


def pretrained_tokenizer(recipe: Recipe) -> Tokenizer | None:
    """Load the tokenizer at tokenizer.path: of a run, checkpoint or model, a tokenizer folder, or SentencePiece models.

    Returns:
        The tokenizer with the tags that the recipe's data needs, without the pieces of its `extension`; None if
        `tokenizer.path` is not set.

    Raises:
        RecipeError: The tokenizer is not joint, but all embeddings are tied or the model is decoder-only; it has other
            factors than the data; or it lacks words that the model copies, and a setting does not allow that.
    """
    path = recipe.tokenizer.path
    if path is None:
        return None
    if is_sentencepiece(path):
        tokenizer = Tokenizer.import_sentencepiece(path)
    else:
        if not Tokenizer.is_saved_in(path):
            path = NamedModel(find_model(path), None).tokenizer
        tokenizer = Tokenizer.load(path)
    if isinstance(recipe.model, DecoderOnlySettings) and not tokenizer.has_shared_ids:
        raise RecipeError(
            f"tokenizer.path: {path} has a vocabulary for each language, but model.architecture decoder_only requires"
            " a joint one"
        )
    tying = recipe.model.tied_embeddings
    if tying in ("all", "input") and recipe.gives("model.tied_embeddings") and not tokenizer.has_shared_ids:
        raise RecipeError(
            f"model.tied_embeddings: {tying} requires a joint vocabulary, but {path} has one for each language;"
            " use decoder"
        )
    if tokenizer.with_copies(recipe.model.output.copies).copies:
        for key in ("data.context", "training.subword_sampling", "training.augmentation"):
            if recipe.value(key) is not None:
                raise RecipeError(f"{key}: cannot be combined with pointer_generator and the vocabulary of {path}")
    if tokenizer.factors.names != recipe.data.factors:
        known, wanted = (", ".join(names) or "none" for names in (tokenizer.factors.names, recipe.data.factors))
        raise RecipeError(
            f"tokenizer.path: {path} has the source factors {known}, but data.factors is {wanted};"
            " they must be the same, in the same order"
        )
    languages = [] if recipe.tokenizer.extension is None else recipe.tokenizer.extension.languages
    return tokenizer.with_tags([*tags_of(recipe.data), *languages])
