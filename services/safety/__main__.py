"""`python -m services.safety [api|worker|rebuild VIEW]`."""

from services.safety import safety
from shared.service import main

main(safety)
