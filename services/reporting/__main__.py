"""`python -m services.reporting [api|worker|rebuild VIEW]`."""

from services.reporting import reporting
from shared.service import main

main(reporting)
