"""``python -m calhub.cli``."""

from calhub.cli.main import main

main()
