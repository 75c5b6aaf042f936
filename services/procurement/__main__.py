"""`python -m services.procurement [api|worker|rebuild VIEW]`."""

from services.procurement import procurement
from shared.service import main

main(procurement)
