"""`python -m services.nutrition [api|worker|rebuild VIEW]`."""

from hosting.command import main
from services.nutrition import nutrition

main(nutrition)
