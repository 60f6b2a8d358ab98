"""`python -m viewfinder`, and the command `viewfinder`: the same."""

import sys


def main() -> None:
    """Run the command line; Ctrl-C is one line even while that is loaded."""
    try:
        from viewfinder.cli.main import main as run
    except KeyboardInterrupt:
        print("viewfinder: stopped", file=sys.stderr)
        sys.exit(130)
    run()


if __name__ == "__main__":
    main()
