"""Entry point of `nmt`, also as `python -m nmt_cli`. Imports nothing before Ctrl-C is handled."""

import sys


def main() -> None:
    """Run `nmt`; exit with code 130 if Ctrl-C interrupts it, even during imports."""
    try:
        from nmt_cli.cli import main as run

        run()
    except KeyboardInterrupt:
        sys.exit(130)


if __name__ == "__main__":
    main()
