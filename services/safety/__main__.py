"""`python -m services.safety [api|worker|rebuild VIEW]`."""

from hosting.command import main
from services.safety import safety

main(safety)
