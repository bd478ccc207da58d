"""python -m glacierx."""

from glacierx.cli.main import main

if __name__ == "__main__":
    main()
