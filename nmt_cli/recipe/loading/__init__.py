"""YAML and the command line → a checked recipe, or every mistake in it with its place."""

from nmt_cli.recipe.loading.recipes import load_recipe, override, resolved_yaml

__all__ = ["load_recipe", "override", "resolved_yaml"]
