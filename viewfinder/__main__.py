"""`python -m viewfinder`, and the command `viewfinder`: the same."""

import gc
import sys


def main() -> None:
    """Run the command line; Ctrl-C is one line even while that is loaded."""
    try:
        from viewfinder.cli.main import main as run
    except KeyboardInterrupt:
        print("viewfinder: stopped", file=sys.stderr)
        sys.exit(130)
    try:
        run()
    finally:
        gc.freeze()  # else the interpreter looks through all objects of torch at its end: up to a second to the prompt


if __name__ == "__main__":
    main()
