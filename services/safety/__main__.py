"""`python -m services.safety [api|worker|rebuild NAME|archive ACT]`."""

from hosting.command import main
from services.safety import safety

main(safety)
