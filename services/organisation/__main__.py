"""`python -m services.organisation [api|worker|rebuild NAME|archive ACT]`."""

from hosting.command import main
from services.organisation import organisation

main(organisation)
