"""The tokenizer that a recipe takes over from another model."""

from nmt_cli.data.tokenizer import Tokenizer, is_sentencepiece
from nmt_cli.data.tokenizing.tags import tags_of
from nmt_cli.errors import RecipeError
from nmt_cli.recipe.schema import Recipe
from nmt_cli.runs.directory import TOKENIZER, find_model


def taken_tokenizer(recipe: Recipe) -> Tokenizer | None:
    """What tokenizer.take_from names: a run, checkpoint, model or tokenizer folder, or SentencePiece models.

    None if it names nothing. It has the tags that the recipe's data needs, but not yet its `extension`. RecipeError if
    it does not fit the model, whose two sides must be one vocabulary if all embeddings are tied, or if the factors that
    it knows are not those of the data.
    """
    path = recipe.tokenizer.take_from
    if path is None:
        return None
    if is_sentencepiece(path):
        tokenizer = Tokenizer.import_sentencepiece(path)
    else:
        if not Tokenizer.is_saved_in(path):
            found = find_model(path)
            path = (found.folder if found.standalone or found.run is None else found.run.path) / TOKENIZER
        tokenizer = Tokenizer.load(path)
    if recipe.model.tied_embeddings == "all" and not tokenizer.joint:
        raise RecipeError(
            f"model.tied_embeddings: all needs a joint vocabulary, but {path} has one for each language; use decoder"
        )
    if tokenizer.factors.names != recipe.data.factors:
        known, wanted = (", ".join(names) or "none" for names in (tokenizer.factors.names, recipe.data.factors))
        raise RecipeError(
            f"tokenizer.take_from: {path} knows the source factors {known}, but data.factors says {wanted};"
            " they must be the same, in the same order"
        )
    return tokenizer.with_tags(tags_of(recipe.data))
