"""Load a recipe from YAML and command-line overrides, and report every error with its location."""

from nmt_cli.recipe.loading.recipes import load_recipe, override, resolved_yaml

__all__ = ["load_recipe", "override", "resolved_yaml"]
