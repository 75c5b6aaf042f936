"""The register in which every measure of this service is declared."""

from shared.measure import Measures

measures = Measures()
