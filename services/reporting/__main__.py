"""`python -m services.reporting [api|worker|rebuild VIEW]`."""

from hosting.command import main
from services.reporting import reporting

main(reporting)
