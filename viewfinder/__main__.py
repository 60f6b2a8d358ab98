"""`python -m viewfinder`, the same as `viewfinder`."""

from viewfinder.cli.main import main

if __name__ == "__main__":
    main()
