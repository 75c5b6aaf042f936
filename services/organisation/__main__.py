"""`python -m services.organisation [api|worker|rebuild VIEW]`."""

from hosting.command import main
from services.organisation import organisation

main(organisation)
