"""`python -m mesostic`: the same as the command `mesostic`."""

from mesostic.cli import main

main()
