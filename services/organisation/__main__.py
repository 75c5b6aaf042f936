"""`python -m services.organisation [api|worker|rebuild VIEW]`."""

from services.organisation import organisation
from shared.service import main

main(organisation)
