"""`python -m services.nutrition [api|worker|rebuild VIEW]`."""

from services.nutrition import nutrition
from shared.service import main

main(nutrition)
