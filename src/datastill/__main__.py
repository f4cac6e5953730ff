"""`python -m datastill` is the command line."""

from datastill.cli import main

if __name__ == "__main__":
    main()
