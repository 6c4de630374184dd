"""The section `training.logging`."""

from nmt_cli.recipe.section import Count, Section


class Logging(Section):
    """How often to report progress."""

    every: Count = 50
    """Updates between reports."""
    tensorboard: bool = False
    """Also write TensorBoard events; needs `pip install 'nmt-cli[tensorboard]'`."""
    wandb: bool = False
    """Also log to Weights & Biases; needs `pip install 'nmt-cli[wandb]'`."""
    mlflow: bool = False
    """Also log to MLflow; needs `pip install 'nmt-cli[mlflow]'`."""
