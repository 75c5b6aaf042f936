"""The register in which every measure of this service is declared."""

from services.reporting.measure import Measures

measures = Measures()
