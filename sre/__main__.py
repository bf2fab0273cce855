"""`python -m sre` is the same as the `sre` command."""

from sre.cli.main import main

main()
